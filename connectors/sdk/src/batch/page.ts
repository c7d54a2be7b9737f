/** Pages (v1) of a Parquet file: their headers, and the levels that begin them where a row may have no value. */
import { CompactWriter } from './compact-writer.js';
import { encodings, fieldIds as ids, pageTypes } from './parquet-format.js';

export interface PageSize {
  readonly uncompressedBytes: number;
  /** As it lies in the file. */
  readonly bytes: number;
}

export function dataPageHeader({ rows, encoding, ...size }: PageSize & { readonly rows: number; readonly encoding: number }): Buffer {
  return pageHeader(pageTypes.data, size, (header) => header.struct(ids.page.data, () => {
    header.i32(1, rows);
    header.i32(2, encoding);
    header.i32(3, encodings.rle);
    header.i32(4, encodings.rle);
  }));
}

export function dictionaryPageHeader({ values, ...size }: PageSize & { readonly values: number }): Buffer {
  return pageHeader(pageTypes.dictionary, size, (header) => header.struct(ids.page.dictionary, () => {
    header.i32(1, values);
    header.i32(2, encodings.plain);
  }));
}

function pageHeader(type: number, { uncompressedBytes, bytes }: PageSize, more: (header: CompactWriter) => void): Buffer {
  const header = new CompactWriter();
  header.i32(ids.page.type, type);
  header.i32(ids.page.uncompressedBytes, uncompressedBytes);
  header.i32(ids.page.bytes, bytes);
  more(header);
  header.stop();
  return header.bytes;
}

/** Levels of rows by their validity: one run of bits, eight rows a byte, as the validity has them. */
export function bitLevels(validity: Uint8Array): Uint8Array[] {
  const run = varint(validity.length * 2 + 1);
  return [sized(run, validity.length), validity];
}

/** Levels of `rows` rows that all have a value, or all have none: one run. */
export function levels(rows: number, isThere: boolean): Buffer {
  return sized(runOf(rows, isThere ? 1 : 0, 1), 0);
}

/** `count` times the same value of so many bytes. */
export const runOf = (count: number, value: number, bytes: number): Buffer =>
  Buffer.concat([varint(count * 2), Buffer.from(Array.from({ length: bytes }, (_, i) => (value >> (8 * i)) & 0xff))]);

/** Behind its length, to which so many bytes count that follow it. */
function sized(run: Uint8Array, more: number): Buffer {
  const bytes = Buffer.alloc(4 + run.length);
  bytes.writeUInt32LE(run.length + more);
  bytes.set(run, 4);
  return bytes;
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let left = value;
  for (; left > 0x7f; left = Math.floor(left / 128)) bytes.push((left % 128) | 0x80);
  return Buffer.from([...bytes, left]);
}
