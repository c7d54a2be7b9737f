/** What is some bytes: text, JSON, bytea; and uuid, which becomes text. */
import type { Column } from '@tapline/sdk/batch';
import { hexPairs } from '../hex-pairs.js';
import type { Decode, Fields } from './fields.js';

/** Up to here a loop is done before a call has begun. */
const shortText = 32;
/** The same, from one buffer into another. */
const shortCopy = 64;
/** From here on a copy is worth avoiding. */
const largeText = 65_536;

/** Copies the field's bytes but for the first `skip`. COPY and the file both have the length before the bytes; only its order differs. */
const bytesFrom = (skip: number): Decode => (fields, field, column) => {
  const { bytes, view, starts, stride, rows, scratch } = fields;
  if (scratch < 0) {
    if (!fields.owned || !staysInPlace(fields, field, column, skip)) copied(fields, field, column, skip);
    return;
  }
  column.reserve(rows, 0);
  let out = scratch;
  let row = column.rows;
  for (let i = field, end = rows * stride; i < end; i += stride, row++) {
    const at = starts[i]!;
    if (at < 0) {
      column.setNull(row);
      continue;
    }
    const length = view.getInt32(at - 4) - skip;
    const from = at + skip;
    view.setInt32(out, length, true);
    out += 4;
    if (length > shortText) bytes.copyWithin(out, from, from + length);
    else for (let j = 0; j < length; j += 4) view.setInt32(out + j, view.getInt32(from + j));
    out += length;
  }
  column.reserve(rows, out - scratch);
  column.bytes.set(bytes.subarray(scratch, out), column.used);
  column.used += out - scratch;
  column.rows = row;
};

/** Of a large row there is one, in a buffer of its own; what makes it large stays where it is. False: it has to be copied. */
function staysInPlace({ bytes, view, starts, rows }: Fields, field: number, column: Column, skip: number): boolean {
  const at = starts[field]!;
  if (rows !== 1 || at < 0 || column.used > 0) return false;
  const length = view.getInt32(at - 4) - skip;
  if (length <= largeText) return false;
  const from = at + skip - 4;
  view.setInt32(from, length, true);
  column.reserve(1, 0);
  column.adopt(bytes.subarray(from, from + 4 + length));
  column.rows++;
  return true;
}

/** From one buffer into another. */
function copied({ bytes, view, starts, stride, rows }: Fields, field: number, column: Column, skip: number): void {
  let total = 0;
  for (let i = field, end = rows * stride; i < end; i += stride) {
    const at = starts[i]!;
    if (at >= 0) total += 4 + view.getInt32(at - 4) - skip;
  }
  column.reserve(rows, total);
  const { bytes: target, view: out } = column;
  let { used, rows: row } = column;
  for (let i = field, end = rows * stride; i < end; i += stride, row++) {
    const at = starts[i]!;
    if (at < 0) {
      column.setNull(row);
      continue;
    }
    const length = view.getInt32(at - 4) - skip;
    const from = at + skip;
    out.setInt32(used, length, true);
    used += 4;
    if (length > shortCopy) bytes.copy(target, used, from, from + length);
    else {
      let j = 0;
      for (; j + 4 <= length; j += 4) out.setInt32(used + j, view.getInt32(from + j));
      for (; j < length; j++) target[used + j] = bytes[from + j]!;
    }
    used += length;
  }
  column.used = used;
  column.rows = row;
}

export const bytes: Decode = bytesFrom(0);
/** Behind a byte that tells the version of the form. */
export const jsonb: Decode = bytesFrom(1);

const uuidLength = 36;
const dash = 0x2d;

export const uuid: Decode = ({ bytes: input, starts, stride, rows }, field, column) => {
  column.reserve(rows, (4 + uuidLength) * rows);
  const out = column.view;
  let { used, rows: row } = column;
  for (let i = field, end = rows * stride; i < end; i += stride, row++) {
    const at = starts[i]!;
    if (at < 0) {
      column.setNull(row);
      continue;
    }
    out.setInt32(used, uuidLength, true);
    used += 4;
    for (let j = 0; j < 16; j++) {
      if (j === 4 || j === 6 || j === 8 || j === 10) out.setUint8(used++, dash);
      out.setUint16(used, hexPairs[input[at + j]!]!);
      used += 2;
    }
  }
  column.used = used;
  column.rows = row;
};
