/** Values of a column, file after file, to pages: a large file's are one, as they lie there; those of small files are put together. */
import { bitLevels, levels, type BatchType } from '@tapline/sdk/batch';
import { boundsOfBoth, type Bounds } from './bounds.js';
import type { Page } from './page.js';
import type { RowValues } from './row-values.js';

/** Bytes of values that make a page of their own. */
const largeBytes = 1 << 16;
/** Bytes of values that are put together. */
const pageBytes = 1 << 18;

export class PageMaker {
  readonly #type: BatchType;
  #waiting: RowValues[] = [];
  #bytes = 0;

  constructor(type: BatchType) {
    this.#type = type;
  }

  /** The pages that are made now, if any. */
  add(values: RowValues): Page[] {
    const bytes = values.bytes.length - values.start;
    if (bytes >= largeBytes) return [...this.rest(), asItLies(values)];
    this.#waiting.push(copied(values));
    this.#bytes += bytes;
    return this.#bytes >= pageBytes ? this.rest() : [];
  }

  /** What waits, as a page; none where nothing does. */
  rest(): Page[] {
    const waiting = this.#waiting;
    if (waiting.length === 0) return [];
    this.#waiting = [];
    this.#bytes = 0;
    return [waiting.length === 1 ? asItLies(waiting[0]!) : together(waiting, this.#type)];
  }
}

/** On its own: the file's memory is needed for the next one. */
function copied(values: RowValues): RowValues {
  const from = values.body ?? values.start;
  const bytes = Buffer.from(values.bytes.subarray(from));
  return { ...values, bytes, start: values.start - from, body: values.body && 0, validity: values.validity && Buffer.from(values.validity) };
}

/** Without a copy: levels go where the header of its page was, which is longer. */
function asItLies({ rows, nulls, bytes, start, body, bounds }: RowValues): Page {
  const page = { kind: 'plain', values: rows, nulls, bounds } as const;
  if (body !== undefined) return { ...page, body: bytes.subarray(body) };
  const own = levels(rows, nulls === 0);
  if (start < own.length) return { ...page, body: Buffer.concat([own, bytes.subarray(start)]) };
  bytes.set(own, start - own.length);
  return { ...page, body: bytes.subarray(start - own.length) };
}

function together(all: readonly RowValues[], type: BatchType): Page {
  const rows = all.reduce((sum, one) => sum + one.rows, 0);
  const nulls = all.reduce((sum, one) => sum + one.nulls, 0);
  const values = type.kind === 'boolean' ? [bitsOf(all, rows - nulls)] : all.map(({ bytes, start }) => bytes.subarray(start));
  const own = nulls === 0 || nulls === rows ? [levels(rows, nulls === 0)] : bitLevels(validityOf(all, rows));
  const withValues = all.filter((one) => one.nulls < one.rows);
  const bounds = withValues.slice(1).reduce<Bounds | undefined>((sum, one) => boundsOfBoth(sum, one.bounds, type), withValues[0]?.bounds);
  return { kind: 'plain', values: rows, nulls, body: Buffer.concat([...own, ...values]), bounds };
}

function validityOf(all: readonly RowValues[], rows: number): Buffer {
  const bits = Buffer.alloc((rows + 7) >> 3, 0xff);
  let at = 0;
  for (const one of all) {
    for (let row = 0; row < one.rows && one.nulls > 0; row++) {
      const isThere = one.validity !== undefined && ((one.validity[row >> 3]! >> (row & 7)) & 1) === 1;
      if (!isThere) bits[(at + row) >> 3]! &= ~(1 << ((at + row) & 7));
    }
    at += one.rows;
  }
  return bits;
}

/** A bit a value. */
function bitsOf(all: readonly RowValues[], count: number): Buffer {
  const bits = Buffer.alloc((count + 7) >> 3);
  let at = 0;
  for (const { bytes, start, rows, nulls } of all) {
    for (let i = 0; i < rows - nulls; i++, at++) {
      if ((bytes[start + (i >> 3)]! >> (i & 7)) & 1) bits[at >> 3]! |= 1 << (at & 7);
    }
  }
  return bits;
}
