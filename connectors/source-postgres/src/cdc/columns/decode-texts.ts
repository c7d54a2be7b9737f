/** Text that is made: what a line has for an array. */
import type { Column } from '@tapline/sdk/batch';
import type { Decode } from '../../batch/fields.js';
import { writeArray, type ArrayElements } from '../decode/array-json.js';
import { LineBuffer } from '../decode/line-buffer.js';

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
