/** What every row has of its own: its order, and the id that is made of it. */
import type { Field, FieldValues } from './field.js';
import type { CopyMemory } from './memory.js';
import { text } from './text-fields.js';

/** A field of each; both are of the same row when both were asked once. */
export interface OrderFields {
  readonly order: Field;
  readonly rawId: Field;
}

/** The order lies in the file. */
export function givenOrder(values: FieldValues, rawIdPrefix: string): OrderFields {
  return { order: text(values), rawId: text(values, [...Buffer.from(rawIdPrefix)]) };
}

/** `prefix` and 16 hex digits that count from `first`. */
export function countedOrder(memory: CopyMemory, { prefix, first, rawIdPrefix }: { readonly prefix: string; readonly first: number; readonly rawIdPrefix: string }): OrderFields {
  return { order: counted(memory, prefix, first), rawId: counted(memory, rawIdPrefix + prefix, first) };
}

const digits = 16;

function counted(memory: CopyMemory, prefix: string, first: number): Field {
  const length = Buffer.byteLength(prefix) + digits;
  // Room behind it: it is copied four bytes at a time.
  const field = Buffer.alloc(4 + length + 4);
  field.writeInt32BE(length);
  field.write(prefix, 4);
  field.write(first.toString(16).padStart(digits, '0'), 4 + length - digits, 'latin1');
  const view = new DataView(field.buffer, field.byteOffset, field.length);
  const end = 4 + length;
  return (at) => {
    const to = memory.view;
    for (let i = 0; i < end; i += 4) to.setInt32(at + i, view.getInt32(i));
    for (let i = end - 1; ; i--) {
      const digit = field[i]!;
      field[i] = digit === nine ? a : digit === f ? zero : digit + 1;
      if (digit !== f) return at + end;
    }
  };
}

const [zero, nine, a, f] = [0x30, 0x39, 0x61, 0x66];
