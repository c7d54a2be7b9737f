/**
 * numeric: PostgreSQL sends the number of its base-10000 digits, the weight of the first of them (10000^weight), the sign, how many decimal
 * digits are shown behind the point, and the digits; neither the first nor the last one is 0.
 * https://github.com/postgres/postgres/blob/master/src/backend/utils/adt/numeric.c (numeric_send)
 */
import type { Decode } from './fields.js';

const positive = 0;
const negative = 0x4000;
const specials: Readonly<Record<number, string>> = { 0xc000: 'NaN', 0xd000: 'Infinity', 0xf000: '-Infinity' };
const headBytes = 8;

const powers = Array.from({ length: 16 }, (_, n) => 10 ** n);
const twoTo32 = 4_294_967_296;
/** So many decimal digits a double holds exactly. */
const exactDigits = 15;

/** numeric(precision, scale) as an integer of 4, 8 or 16 bytes, without an object a value. */
export function decimal(precision: number, scale: number): Decode {
  const width = precision <= 9 ? 4 : precision <= 18 ? 8 : 16;

  /** The power of ten of the last base-10000 digit, in units of the column's own. */
  const shiftOf = (view: DataView, at: number): number => 4 * (view.getInt16(at + 2) - view.getUint16(at) + 1) + scale;

  /** A finite number of no more digits than the column's, before the point and behind it: a foreign table may hold others. */
  const fits = (view: DataView, at: number): boolean => {
    const count = view.getUint16(at);
    const sign = view.getUint16(at + 4);
    if (sign !== positive && sign !== negative) return false;
    if (count === 0) return true;
    const shift = shiftOf(view, at);
    if (shift < 0 && (shift <= -4 || view.getUint16(at + headBytes + 2 * (count - 1)) % powers[-shift]! !== 0)) return false;
    const weight = view.getInt16(at + 2);
    if (weight < 0 || 4 * (weight + 1) <= precision - scale) return true;
    const first = view.getUint16(at + headBytes);
    return 4 * weight + (first < 10 ? 1 : first < 100 ? 2 : first < 1000 ? 3 : 4) <= precision - scale;
  };

  return ({ view, starts, stride, rows }, field, column, stray) => {
    column.reserve(rows, width * rows);
    const out = column.view;
    let { used, rows: row } = column;
    for (let i = field, end = rows * stride; i < end; i += stride, row++) {
      const at = starts[i]!;
      if (at < 0) {
        column.setNull(row);
        continue;
      }
      if (!fits(view, at)) {
        column.setNull(row);
        stray(row, numericText(view, at));
        continue;
      }
      const count = view.getUint16(at);
      const shift = shiftOf(view, at);
      if (count > 0 && 4 * count + shift > exactDigits) {
        // Only columns of 8 and of 16 bytes have so many digits.
        toLimbs(view, at, shift);
        if (width === 8) {
          out.setInt32(used, limbs[0]!, true);
          out.setInt32(used + 4, limbs[1]!, true);
        } else {
          for (let j = 0; j < 4; j++) out.setInt32(used + 4 * j, limbs[3 - j]!);
        }
        used += width;
        continue;
      }
      let value = 0;
      if (count > 0) {
        const last = at + headBytes + 2 * (count - 1);
        for (let digit = at + headBytes; digit < last; digit += 2) value = value * 10_000 + view.getUint16(digit);
        value = shift >= 0 ? (value * 10_000 + view.getUint16(last)) * powers[shift]! : value * powers[4 + shift]! + view.getUint16(last) / powers[-shift]!;
        if (view.getUint16(at + 4) === negative) value = -value;
      }
      if (width === 4) out.setInt32(used, value, true);
      else {
        const high = Math.floor(value / twoTo32);
        const low = value - high * twoTo32;
        if (width === 8) {
          out.setUint32(used, low, true);
          out.setInt32(used + 4, high, true);
        } else {
          const extension = value < 0 ? -1 : 0;
          out.setInt32(used, extension);
          out.setInt32(used + 4, extension);
          out.setInt32(used + 8, high);
          out.setUint32(used + 12, low);
        }
      }
      used += width;
    }
    column.used = used;
    column.rows = row;
  };
}

/** 128 bits, the least significant first. */
const limbs = new Int32Array(4);

function toLimbs(view: DataView, at: number, shift: number): void {
  limbs.fill(0);
  const last = at + headBytes + 2 * (view.getUint16(at) - 1);
  for (let digit = at + headBytes; digit < last; digit += 2) multiplyAdd(10_000, view.getUint16(digit));
  if (shift < 0) multiplyAdd(powers[4 + shift]!, view.getUint16(last) / powers[-shift]!);
  else {
    multiplyAdd(10_000, view.getUint16(last));
    for (let left = shift; left > 0; left -= 4) multiplyAdd(powers[Math.min(left, 4)]!, 0);
  }
  if (view.getUint16(at + 4) === negative) negate();
}

function multiplyAdd(factor: number, addend: number): void {
  let carry = addend;
  for (let j = 0; j < 4; j++) {
    const product = (limbs[j]! >>> 0) * factor + carry;
    limbs[j] = product;
    carry = Math.floor(product / twoTo32);
  }
}

function negate(): void {
  let carry = 1;
  for (let j = 0; j < 4; j++) {
    const sum = (~limbs[j]! >>> 0) + carry;
    limbs[j] = sum;
    carry = sum >= twoTo32 ? 1 : 0;
  }
}

/** numeric without bounds, as text. */
export const numeric: Decode = ({ view, starts, stride, rows }, field, column) => {
  for (let i = field, end = rows * stride; i < end; i += stride, column.rows++) {
    const at = starts[i]!;
    if (at < 0) {
      column.reserve(1, 0);
      column.setNull(column.rows);
      continue;
    }
    column.reserve(1, 4 + longest(view, at));
    const after = writeNumeric(view, at, column.bytes, column.used + 4);
    column.view.setInt32(column.used, after - column.used - 4, true);
    column.used = after;
  }
};

export function numericText(view: DataView, at: number): string {
  const bytes = Buffer.allocUnsafe(longest(view, at));
  return bytes.toString('latin1', 0, writeNumeric(view, at, bytes, 0));
}

/** A few characters of digits may stand for a hundred thousand of text. */
const longest = (view: DataView, at: number): number => 4 * Math.max(view.getInt16(at + 2) + 1, 1) + view.getUint16(at + 6) + 16;

/** As PostgreSQL prints it. Returns where the text ends. */
function writeNumeric(view: DataView, at: number, out: Buffer, to: number): number {
  const count = view.getUint16(at);
  const weight = view.getInt16(at + 2);
  const sign = view.getUint16(at + 4);
  const scale = view.getUint16(at + 6);
  const special = specials[sign];
  if (special !== undefined) return to + out.write(special, to, 'latin1');
  if (sign === negative) out[to++] = 0x2d;
  const digit = (index: number): number => (index >= 0 && index < count ? view.getUint16(at + headBytes + 2 * index) : 0);
  if (weight < 0) out[to++] = 0x30;
  for (let index = 0; index <= weight; index++) {
    const value = digit(index);
    // The first one has no zeros before it.
    if (index > 0 || value >= 1000) out[to++] = 0x30 + Math.floor(value / 1000);
    if (index > 0 || value >= 100) out[to++] = 0x30 + (Math.floor(value / 100) % 10);
    if (index > 0 || value >= 10) out[to++] = 0x30 + (Math.floor(value / 10) % 10);
    out[to++] = 0x30 + (value % 10);
  }
  if (scale === 0) return to;
  out[to++] = 0x2e;
  const end = to + scale;
  for (let index = weight + 1; to < end; index++) {
    const value = digit(index);
    out[to++] = 0x30 + Math.floor(value / 1000);
    out[to++] = 0x30 + (Math.floor(value / 100) % 10);
    out[to++] = 0x30 + (Math.floor(value / 10) % 10);
    out[to++] = 0x30 + (value % 10);
  }
  return end;
}

