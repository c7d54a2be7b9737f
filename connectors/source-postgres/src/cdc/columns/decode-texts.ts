/** What stays text in a batch: the log's own, or what a line has for an array. */
import type { Column } from '@tapline/sdk/batch';
import type { Decode } from '../../batch/fields.js';
import { writeArray, type ArrayElements } from '../decode/array-json.js';
import { LineBuffer } from '../decode/line-buffer.js';

/** Up to here a loop is done before a call has begun. */
const shortText = 64;

export const text: Decode = ({ bytes, view, starts, stride, rows }, field, column) => {
  let total = 0;
  for (let i = field, end = rows * stride; i < end; i += stride) {
    const at = starts[i]!;
    if (at >= 0) total += 4 + view.getInt32(at - 4);
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
    const length = view.getInt32(at - 4);
    out.setInt32(used, length, true);
    used += 4;
    if (length > shortText) bytes.copy(target, used, at, at + length);
    else {
      let j = 0;
      for (; j + 4 <= length; j += 4) out.setInt32(used + j, view.getInt32(at + j));
      for (; j < length; j++) target[used + j] = bytes[at + j]!;
    }
    used += length;
  }
  column.used = used;
  column.rows = row;
};

/** Of a value JSON is made, and in a line that is a string: here it is the string's own text. */
export const array = (elements: ArrayElements): Decode => ({ bytes, view, starts, stride, rows }, field, column) => {
  const line = new LineBuffer(256);
  for (let i = field, end = rows * stride; i < end; i += stride, column.rows++) {
    const at = starts[i]!;
    column.reserve(1, 0);
    if (at < 0) {
      column.setNull(column.rows);
      continue;
    }
    line.at = 0;
    writeArray(line, bytes, at, at + view.getInt32(at - 4), elements);
    append(column, JSON.parse(line.bytes.toString('utf8', 0, line.at)) as string);
  }
};

/** Behind the values that are there, of a row for which there is room. Does not count it. */
export function append(column: Column, value: string): void {
  const length = Buffer.byteLength(value);
  column.reserve(0, 4 + length);
  column.view.setInt32(column.used, length, true);
  column.used += 4 + column.bytes.write(value, column.used + 4);
}
