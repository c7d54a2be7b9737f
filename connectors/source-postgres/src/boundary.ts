/** Which rows share the cursor's newest value: those that a next run must leave out. */
import type { RowObserver } from './copy-frames.js';

/** More keys than this are not kept in a state. */
export const rememberedKeys = 100_000;

export interface BoundaryMark {
  /** The cursor's value, as text. */
  readonly value: string;
  /** Keys of all rows read that have it; undefined: there are too many. */
  keys(): string[] | undefined;
}

interface Group {
  value: Buffer;
  /** Keys, each after its length. */
  keys: Buffer;
  used: number;
  count: number;
}

/**
 * Follows rows in the order of their cursor. The fields of a row are the cursor's text and, if there is one, the key's. Costs a
 * comparison and a few copied bytes a row; text is made of them only when a state is.
 */
export class Boundary implements RowObserver {
  #group: Group | undefined;
  #marked = false;
  /** Keys that the last run had read at the value where this one begins. */
  readonly #before: { readonly value: string; readonly keys: readonly string[] } | undefined;

  constructor(before?: { readonly value: string; readonly keys: readonly string[] }) {
    this.#before = before;
  }

  row(bytes: Buffer, starts: readonly number[], ends: readonly number[]): void {
    const start = starts[0]!;
    const end = ends[0]!;
    const same = this.#group !== undefined && bytes.compare(this.#group.value, 0, this.#group.value.length, start, end) === 0;
    if (!same) this.#begin(bytes, start, end);
    if (starts.length > 1) append(this.#group!, bytes, starts[1]!, ends[1]!);
  }

  mark(): BoundaryMark | undefined {
    const group = this.#group;
    if (!group) return undefined;
    this.#marked = true;
    const { keys, used, count } = group;
    const value = group.value.toString('utf8');
    const before = this.#before?.value === value ? this.#before.keys : [];
    return { value, keys: () => (count + before.length > rememberedKeys ? undefined : [...before, ...textsOf(keys, used)]) };
  }

  #begin(bytes: Buffer, start: number, end: number): void {
    // A mark looks at the old group's bytes: they are left alone.
    const reuse = this.#marked ? undefined : this.#group;
    this.#marked = false;
    const value = reuse?.value.length === end - start ? reuse.value : Buffer.allocUnsafe(end - start);
    bytes.copy(value, 0, start, end);
    this.#group = { value, keys: reuse?.keys ?? Buffer.allocUnsafe(256), used: 0, count: 0 };
  }
}

function append(group: Group, bytes: Buffer, start: number, end: number): void {
  if (++group.count > rememberedKeys) return;
  const length = end - start;
  if (group.used + 4 + length > group.keys.length) {
    const larger = Buffer.allocUnsafe(2 * group.keys.length + 4 + length);
    group.keys.copy(larger, 0, 0, group.used);
    group.keys = larger;
  }
  group.keys.writeUInt32LE(length, group.used);
  bytes.copy(group.keys, group.used + 4, start, end);
  group.used += 4 + length;
}

function textsOf(keys: Buffer, used: number): string[] {
  const texts: string[] = [];
  for (let at = 0; at < used; ) {
    const length = keys.readUInt32LE(at);
    texts.push(keys.toString('utf8', at + 4, at + 4 + length));
    at += 4 + length;
  }
  return texts;
}
