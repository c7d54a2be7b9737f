/** One column of a file, row after row, in the binary form of COPY. */
import type { CopyMemory } from './memory.js';

/** Writes the next row's field at `at`: its length and its value. Returns where it ends. */
export type Field = (at: number) => number;

/** Values of a column, one after another, as a batch file has them: from `start` to `end` in the memory. */
export interface FieldValues {
  readonly memory: CopyMemory;
  readonly start: number;
  readonly end: number;
}

/** A value that the server would not hold as it is, or that is none: the rows have to be looked at one by one. */
export class NotAsItIs extends Error {
  override name = 'NotAsItIs';
}

/**
 * Where the next value of `width` bytes begins. Where the column's values end there is no further one: a file that says otherwise is not what
 * it seems.
 */
export function fixedValues({ start, end }: FieldValues, width: number): () => number {
  let next = start;
  return () => {
    const at = next;
    next += width;
    if (next > end) throw new NotAsItIs();
    return at;
  };
}

/** Where the next value of a length of its own begins: that stands before it, in four bytes, the least significant first. */
export function sizedValues({ memory, start, end }: FieldValues): () => number {
  let next = start;
  return () => {
    const from = next + 4;
    if (from > end) throw new NotAsItIs();
    next = from + memory.view.getUint32(from - 4, true);
    if (next > end) throw new NotAsItIs();
    return from;
  };
}

/** `validity`: a bit a row, set where there is a value. */
export function nullable(memory: CopyMemory, validity: Uint8Array, field: Field): Field {
  let row = 0;
  return (at) => {
    const isThere = (validity[row >> 3]! >> (row & 7)) & 1;
    row++;
    if (isThere) return field(at);
    memory.view.setInt32(at, -1);
    return at + 4;
  };
}

/** The same in every row. */
export function constant(memory: CopyMemory, value: Uint8Array | null): Field {
  const bytes = Buffer.alloc(4 + (value?.length ?? 0));
  bytes.writeInt32BE(value?.length ?? -1);
  if (value) bytes.set(value, 4);
  return (at) => {
    memory.reserve(at, bytes.length);
    for (let i = 0; i < bytes.length; i++) memory.bytes[at + i] = bytes[i]!;
    return at + bytes.length;
  };
}
