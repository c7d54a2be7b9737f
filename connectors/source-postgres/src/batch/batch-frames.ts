/**
 * The frames of `COPY … (FORMAT binary)` as batches of columns. Frames are gathered in one buffer; the fields of those that are whole are
 * found, row by row, and then taken column by column. No object is made for a row or a value.
 * https://www.postgresql.org/docs/current/sql-copy.html#SQL-COPY-BINARY-FORMAT
 */
import { Column, parquetFile } from '@tapline/sdk/batch';
import { DATA, headerBytes, int32, isCopyMessage, type RowObserver } from '../copy-frames.js';
import type { AddedColumn } from './added-columns.js';
import type { Fields } from './fields.js';
import type { BatchForm } from './forms.js';
import { strayColumn, Strays } from './strays.js';

/** Frames up to this size are gathered in the input region; bigger ones go into a block of their own. */
const inputBytes = 131_072;
const gatheredFrame = 65_536;
/** Values are copied four bytes at a time, and read and written beyond their ends. */
const slack = 8;
const mostRows = 1_000_000;

export interface BatchColumn {
  readonly name: string;
  readonly form: BatchForm;
}

/** Valid until more bytes are pushed. */
export interface Batch {
  readonly rows: number;
  /** The fields of the columns, in their order. */
  readonly columns: readonly string[];
  /** The file, views of the buffers. */
  readonly parts: readonly Uint8Array[];
  /** Of the batch's last row the fields behind the columns, or the columns that were asked for. */
  readonly last: readonly string[];
  /** What `mark` said after that row. */
  readonly mark: unknown;
}

export interface BatchFramesOptions {
  /** At least one. */
  readonly columns: readonly BatchColumn[];
  readonly added: readonly AddedColumn[];
  /** How many fields follow the columns. */
  readonly fields: number;
  /** Where no field follows: columns of integers, none of them null, whose text is wanted of the last row. Default: none. */
  readonly lastIntegers?: readonly number[];
  readonly observe?: RowObserver | undefined;
  /** A batch ends with the bytes that make it larger. */
  readonly batchBytes: number;
  readonly onBlock: (batch: Batch) => void;
}

export class BatchFrames {
  readonly #options: BatchFramesOptions;
  readonly #columns: readonly Column[];
  readonly #strays = new Strays();
  readonly #strayOf: readonly ((row: number, text: string) => void)[];
  /** The input region, and behind it as much again for the columns to work in. */
  readonly #input: Region;
  readonly #stride: number;
  readonly #starts: number[];
  readonly #ends: number[];
  /** Bytes of an unfinished frame at the beginning of the input region. */
  #held = 0;
  #begun = false;
  #rows = 0;
  #last: string[] = [];
  /** The columns hold what was handed over. */
  #handedOver = false;
  #large: { readonly frame: Buffer; at: number } | undefined;
  /** What came behind the large row that was handed over. */
  #rest: Buffer | undefined;

  constructor(options: BatchFramesOptions) {
    this.#options = options;
    this.#columns = options.columns.map(({ form }) => new Column(form.type));
    this.#strayOf = options.columns.map((_, column) => (row, text) => this.#strays.add(row, column, text));
    this.#stride = options.columns.length + options.fields;
    this.#input = regionOf(Buffer.allocUnsafeSlow(2 * (inputBytes + slack)), { stride: this.#stride, scratch: inputBytes + slack });
    this.#starts = Array.from({ length: options.fields }, () => 0);
    this.#ends = Array.from({ length: options.fields }, () => 0);
  }

  /**
   * Takes bytes of the connection. Returns those that are not of the copy, from the first on: they are the driver's. Hands over a batch
   * at most once, at its end.
   */
  push(chunk: Buffer): Buffer | undefined {
    this.#reuse();
    if (this.#rest) chunk = chunk.length > 0 ? Buffer.concat([this.#rest, chunk]) : this.#rest;
    this.#rest = undefined;
    let from = 0;
    while (from < chunk.length) {
      if (this.#large) {
        from += this.#fillLarge(chunk, from);
        if (this.#large) continue;
        // Alone: beside it there would be a copy of it.
        this.cut();
        this.#rest = chunk.subarray(from);
        return undefined;
      }
      const take = Math.min(chunk.length - from, inputBytes - this.#held);
      this.#input.bytes.set(take === chunk.length ? chunk : chunk.subarray(from, from + take), this.#held);
      from += take;
      const end = this.#held + take;
      const stop = this.#frames(end);
      if (stop !== -1) return Buffer.concat([this.#input.bytes.subarray(stop, end), chunk.subarray(from)]);
    }
    // What came before a large row does not wait for it.
    if (this.#large || this.#rows >= mostRows || this.#bytes() >= this.#options.batchBytes) this.cut();
    return undefined;
  }

  /** Hands over the rows that are whole so far. */
  cut(): void {
    const rows = this.pendingRows;
    if (rows === 0) return;
    const { columns, added, observe, onBlock } = this.#options;
    const strays = this.#strays.count > 0 ? [this.#strays.columnOf(rows)] : [];
    this.#handedOver = true;
    onBlock({
      rows,
      columns: [...columns.map(({ name }) => name), ...added.map(({ name }) => name), ...strays.map(() => strayColumn)],
      parts: parquetFile([...this.#columns, ...added.map(({ column }) => column), ...strays], rows),
      last: this.#last,
      mark: observe?.mark(),
    });
  }

  /** More is made of what was pushed so far, once the batch is consumed: `push` nothing. */
  get holdsBack(): boolean {
    return this.#rest !== undefined;
  }

  /** Rows that wait in the batch that is being made. */
  get pendingRows(): number {
    return this.#handedOver ? 0 : this.#rows;
  }

  #bytes(): number {
    let bytes = 0;
    for (const column of this.#columns) bytes += column.used;
    for (const { column } of this.#options.added) bytes += column.used;
    return bytes;
  }

  #reuse(): void {
    if (!this.#handedOver) return;
    this.#handedOver = false;
    for (const column of this.#columns) column.reset();
    for (const { column } of this.#options.added) column.reset();
    this.#strays.reset();
    this.#rows = 0;
  }

  /** Works through the input region up to `end`. Returns the offset of the first message that is the driver's, or -1. */
  #frames(end: number): number {
    const { bytes, starts } = this.#input;
    const stride = this.#stride;
    let at = 0;
    let rows = 0;
    let count = 0;
    while (at + 5 <= end) {
      const type = bytes[at];
      const next = at + 1 + int32(bytes, at + 1);
      if (type !== DATA) {
        if (!isCopyMessage(type)) {
          this.#take(this.#input, rows);
          return at;
        }
        // The server ends a copy with messages that are small: they fit.
        if (next > end) break;
        at = next;
        continue;
      }
      if (next > end) {
        if (next - at <= gatheredFrame) break;
        this.#take(this.#input, rows);
        this.#large = { frame: Buffer.allocUnsafeSlow(next - at + slack), at: 0 };
        this.#fillLarge(bytes.subarray(0, end), at);
        this.#held = 0;
        return -1;
      }
      const body = this.#bodyOf(at);
      at = next;
      // A frame of the header alone, or the trailer (-1 fields).
      if (next - body < 6) continue;
      let field = body + 2;
      for (let i = 0; i < stride; i++) {
        const length = int32(bytes, field);
        starts[count++] = length < 0 ? -1 : field + 4;
        field += length < 0 ? 4 : length + 4;
      }
      rows++;
    }
    this.#take(this.#input, rows);
    bytes.copyWithin(0, at, end);
    this.#held = end - at;
    return -1;
  }

  /** Where the row of a frame begins, which is behind the header in the first one. */
  #bodyOf(frame: number): number {
    if (this.#begun) return frame + 5;
    this.#begun = true;
    return frame + 5 + headerBytes;
  }

  #take(region: Region, rows: number): void {
    if (rows === 0) return;
    region.rows = rows;
    this.#rows += rows;
    const { columns, added, fields, lastIntegers = [], observe } = this.#options;
    for (let i = 0; i < columns.length; i++) columns[i]!.form.decode(region, i, this.#columns[i]!, this.#strayOf[i]!);
    for (const { fill } of added) fill(rows);
    if (lastIntegers.length > 0) this.#last = lastIntegers.map((column) => integerAt(region, region.starts[(rows - 1) * this.#stride + column]!));
    if (fields === 0) return;
    for (let row = observe ? 0 : rows - 1; row < rows; row++) {
      this.#fields(region, row * this.#stride + columns.length);
      observe?.row(region.bytes, this.#starts, this.#ends);
    }
    this.#last = this.#starts.map((start, i) => region.bytes.toString('utf8', start, this.#ends[i]));
  }

  #fields({ bytes, starts }: Region, from: number): void {
    for (let i = 0; i < this.#starts.length; i++) {
      const start = starts[from + i]!;
      this.#starts[i] = Math.max(start, 0);
      this.#ends[i] = start < 0 ? 0 : start + int32(bytes, start - 4);
    }
  }

  /** Returns how many bytes it took. */
  #fillLarge(chunk: Buffer, from: number): number {
    const large = this.#large!;
    const taken = chunk.copy(large.frame, large.at, from, Math.min(chunk.length, from + large.frame.length - slack - large.at));
    large.at += taken;
    if (large.at < large.frame.length - slack) return taken;
    this.#large = undefined;
    const region = regionOf(large.frame, { stride: this.#stride, scratch: -1 });
    let field = this.#bodyOf(0) + 2;
    for (let i = 0; i < this.#stride; i++) {
      const length = int32(large.frame, field);
      region.starts[i] = length < 0 ? -1 : field + 4;
      field += length < 0 ? 4 : length + 4;
    }
    this.#take(region, 1);
    return taken;
  }
}

/** Of two, four or eight bytes. */
function integerAt({ bytes, view }: Fields, at: number): string {
  const length = int32(bytes, at - 4);
  return String(length === 8 ? view.getBigInt64(at) : length === 4 ? view.getInt32(at) : view.getInt16(at));
}

interface Region extends Fields {
  rows: number;
}

/** Each field has a length of four bytes at least. */
function regionOf(bytes: Buffer, { stride, scratch }: Pick<Fields, 'stride' | 'scratch'>): Region {
  return { bytes, view: new DataView(bytes.buffer, bytes.byteOffset, bytes.length), starts: new Int32Array(inputBytes / 4), stride, rows: 0, scratch, owned: true };
}
