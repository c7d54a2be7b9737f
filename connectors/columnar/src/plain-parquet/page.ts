/** Pages of a column: what they are made of, and their header. */
import { CompactWriter, encodings, fieldIds as ids, pageTypes } from '@tapline/sdk/batch';
import type { Bounds } from './bounds.js';

/** A page that is not compressed yet. */
export interface Page {
  readonly kind: 'plain' | 'dictionary' | 'indexes';
  /** Rows; of a dictionary its values. */
  readonly values: number;
  readonly nulls: number;
  /** Levels and values, as the format has them. */
  readonly body: Uint8Array;
  /** Of its values; undefined = not known, or there is none. */
  readonly bounds: Bounds | undefined;
}

export function headerOf({ kind, values, body }: Page, compressedBytes: number): Buffer {
  const header = new CompactWriter();
  header.i32(ids.page.type, kind === 'dictionary' ? pageTypes.dictionary : pageTypes.data);
  header.i32(ids.page.uncompressedBytes, body.length);
  header.i32(ids.page.bytes, compressedBytes);
  if (kind === 'dictionary') {
    header.struct(ids.page.dictionary, () => {
      header.i32(1, values);
      header.i32(2, encodings.plain);
    });
  } else {
    header.struct(ids.page.data, () => {
      header.i32(1, values);
      header.i32(2, kind === 'plain' ? encodings.plain : encodings.dictionary);
      header.i32(3, encodings.rle);
      header.i32(4, encodings.rle);
    });
  }
  header.stop();
  return header.bytes;
}

/** Levels of `rows` rows that all have a value, or all have none: one run. */
export const levels = (rows: number, isThere: boolean): Buffer => sized(runOf(rows, isThere ? 1 : 0, 1));

/** Levels of rows by their validity: one run of bits. */
export const bitLevels = (validity: Uint8Array): Buffer => sized(Buffer.concat([varint(validity.length * 2 + 1), validity]));

function sized(run: Uint8Array): Buffer {
  const bytes = Buffer.alloc(4 + run.length);
  bytes.writeUInt32LE(run.length);
  bytes.set(run, 4);
  return bytes;
}

/** `count` times the same value of so many bytes. */
const runOf = (count: number, value: number, bytes: number): Buffer =>
  Buffer.concat([varint(count * 2), Buffer.from(Array.from({ length: bytes }, (_, i) => (value >> (8 * i)) & 0xff))]);

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let left = value;
  for (; left > 0x7f; left = Math.floor(left / 128)) bytes.push((left % 128) | 0x80);
  return Buffer.from([...bytes, left]);
}

/** Values one after another, as PLAIN has them. */
export const dictionaryPage = (values: readonly Uint8Array[], bounds: Bounds | undefined): Page =>
  ({ kind: 'dictionary', values: values.length, nulls: 0, body: Buffer.concat(values), bounds });

/** So many rows after another that have the same value of a dictionary, up to 65,536 values. */
export function indexPage(runs: readonly { readonly rows: number; readonly index: number }[], dictionarySize: number): Page {
  // A dictionary of one value would do with none: not all readers know that.
  const bits = Math.max(1, Math.ceil(Math.log2(dictionarySize)));
  const rows = runs.reduce((sum, run) => sum + run.rows, 0);
  const body = [levels(rows, true), Buffer.from([bits]), ...runs.map((run) => runOf(run.rows, run.index, Math.ceil(bits / 8)))];
  return { kind: 'indexes', values: rows, nulls: 0, body: Buffer.concat(body), bounds: undefined };
}
