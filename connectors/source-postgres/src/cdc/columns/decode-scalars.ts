/** Booleans, numbers and bytes of the log's text into columns. What a column has no place for goes beside it as the text of a line. */
import { booleanOf } from '../../batch/decode-fixed.js';
import type { Decode } from '../../batch/fields.js';
import { liesHalfway } from '../decode/float-text.js';

const MINUS = 0x2d;
const POINT = 0x2e;
const ZERO = 0x30;
const twoTo32 = 4_294_967_296;
/** So many decimal digits a double holds exactly. */
const exactDigits = 15;

/** `t` or `f`. */
export const boolean: Decode = booleanOf(0x74);

/** int2 and int4. */
export const int32: Decode = ({ bytes, view, starts, stride, rows }, field, column) => {
  column.reserve(rows, 4 * rows);
  const out = column.view;
  let { used, rows: row } = column;
  for (let i = field, end = rows * stride; i < end; i += stride, row++) {
    const at = starts[i]!;
    if (at < 0) {
      column.setNull(row);
      continue;
    }
    const stop = at + view.getInt32(at - 4);
    const negative = bytes[at] === MINUS;
    let value = 0;
    for (let j = negative ? at + 1 : at; j < stop; j++) value = value * 10 + (bytes[j]! - ZERO);
    out.setInt32(used, negative ? -value : value, true);
    used += 4;
  }
  column.used = used;
  column.rows = row;
};

/** A decimal of up to 18 digits as an integer in units of its last place, or with scale 0 an int8. */
const scaled = (width: 4 | 8, scale: number, isInteger: boolean): Decode => ({ bytes, view, starts, stride, rows }, field, column, stray) => {
  column.reserve(rows, width * rows);
  const out = column.view;
  let { used, rows: row } = column;
  for (let i = field, end = rows * stride; i < end; i += stride, row++) {
    const at = starts[i]!;
    if (at < 0) {
      column.setNull(row);
      continue;
    }
    const stop = at + view.getInt32(at - 4);
    const negative = bytes[at] === MINUS;
    const first = negative ? at + 1 : at;
    // The server writes as many places as the column has. NaN alone is not digits, and has no point either.
    const whole = scale === 0 ? stop : stop - scale - 1;
    if (!isInteger && (bytes[first]! > 0x39 || whole <= first || (scale > 0 && bytes[whole] !== POINT))) {
      column.setNull(row);
      stray(row, bytes.toString('latin1', at, stop));
      continue;
    }
    let high = 0;
    let low = 0;
    if (stop - first <= exactDigits) {
      for (let j = first; j < whole; j++) low = low * 10 + (bytes[j]! - ZERO);
      for (let j = whole + 1; j < stop; j++) low = low * 10 + (bytes[j]! - ZERO);
      if (width === 4) {
        out.setInt32(used, negative ? -low : low, true);
        used += 4;
        continue;
      }
      if (negative) low = -low;
      high = Math.floor(low / twoTo32);
      low -= high * twoTo32;
    } else {
      // In two halves, of which the lower has the last nine digits.
      let digits = stop - first - (scale > 0 ? 1 : 0) - 9;
      let [upper, lower] = [0, 0];
      for (let j = first; j < stop; j++) {
        if (bytes[j] === POINT) continue;
        if (digits-- > 0) upper = upper * 10 + (bytes[j]! - ZERO);
        else lower = lower * 10 + (bytes[j]! - ZERO);
      }
      // upper * 10^9 + lower, by 16 bits, so that nothing is beyond 2^53.
      const product = Math.floor(upper / 65_536) * 1_000_000_000;
      const productHigh = Math.floor(product / 65_536);
      const sum = (product - productHigh * 65_536) * 65_536 + (upper % 65_536) * 1_000_000_000 + lower;
      const carry = Math.floor(sum / twoTo32);
      low = sum - carry * twoTo32;
      high = productHigh + carry;
      if (width === 4) {
        out.setInt32(used, negative ? -low : low, true);
        used += 4;
        continue;
      }
      if (negative) {
        high = low === 0 ? -high : -high - 1;
        low = low === 0 ? 0 : twoTo32 - low;
      }
    }
    out.setInt32(used, low, true);
    out.setInt32(used + 4, high, true);
    used += 8;
  }
  column.used = used;
  column.rows = row;
};

export const int64: Decode = scaled(8, 0, true);
export const decimal = (precision: number, scale: number): Decode => scaled(precision <= 9 ? 4 : 8, scale, false);

export const float64: Decode = ({ bytes, view, starts, stride, rows }, field, column) => {
  column.reserve(rows, 8 * rows);
  const out = column.view;
  let { used, rows: row } = column;
  for (let i = field, end = rows * stride; i < end; i += stride, row++) {
    const at = starts[i]!;
    if (at < 0) {
      column.setNull(row);
      continue;
    }
    out.setFloat64(used, Number(bytes.toString('latin1', at, at + view.getInt32(at - 4))), true);
    used += 8;
  }
  column.used = used;
  column.rows = row;
};

const smallestNormal = 2 ** -126;

/** By way of a double, which is right unless that lies halfway between two floats: it may have been rounded to there. */
export const float32: Decode = ({ bytes, view, starts, stride, rows }, field, column, stray) => {
  column.reserve(rows, 4 * rows);
  const out = column.view;
  let { used, rows: row } = column;
  for (let i = field, end = rows * stride; i < end; i += stride, row++) {
    const at = starts[i]!;
    if (at < 0) {
      column.setNull(row);
      continue;
    }
    const text = bytes.toString('latin1', at, at + view.getInt32(at - 4));
    const value = Number(text);
    if (liesHalfway(value) || (value !== 0 && Math.abs(value) < smallestNormal)) {
      column.setNull(row);
      stray(row, text);
      continue;
    }
    out.setFloat32(used, value, true);
    used += 4;
  }
  column.used = used;
  column.rows = row;
};

/** Of a digit in hexadecimal, as the server writes it. */
const nibbles = new Uint8Array(128);
for (let value = 0; value < 16; value++) nibbles[value.toString(16).charCodeAt(0)] = value;

/** bytea: `\x`, and two digits a byte. */
export const hexBytes: Decode = ({ bytes, view, starts, stride, rows }, field, column) => {
  for (let i = field, end = rows * stride; i < end; i += stride, column.rows++) {
    const at = starts[i]!;
    column.reserve(1, 0);
    if (at < 0) {
      column.setNull(column.rows);
      continue;
    }
    const length = (view.getInt32(at - 4) - 2) >> 1;
    column.reserve(0, 4 + length);
    const out = column.bytes;
    column.view.setInt32(column.used, length, true);
    let to = column.used + 4;
    for (let from = at + 2, stop = from + 2 * length; from < stop; from += 2) out[to++] = (nibbles[bytes[from]!]! << 4) | nibbles[bytes[from + 1]!]!;
    column.used = to;
  }
};
