/**
 * numeric: how many base-10000 digits there are, the weight of the first (10000^weight), the sign, how many decimal digits are shown behind
 * the point, and the digits, neither the first nor the last of which is 0.
 * https://github.com/postgres/postgres/blob/master/src/backend/utils/adt/numeric.c (numeric_recv)
 */
import type { CopyMemory } from './memory.js';
import { fixedValues, NotAsItIs, sizedValues, type Field, type FieldValues } from './field.js';

const negative = 0x4000;
const powers = [1, 10, 100, 1000];
const twoTo32 = 4_294_967_296;
/** Up to here the upper half leaves a number that a double holds. */
const exactHalf = 2 ** 21;

/** numeric(precision, scale) out of integers of 4, 8 or 16 bytes; those of 16 have the most significant byte first. */
export function decimal(precision: number, scale: number): (values: FieldValues) => Field {
  const width = precision <= 9 ? 4 : precision <= 18 ? 8 : 16;
  /** Decimal digits in the last digit. */
  const last = scale % 4;
  const fraction = Math.ceil(scale / 4);

  return (values) => {
    const { memory } = values;
    const next = fixedValues(values, width);
    return (at) => {
      const from = next();
      const { view } = memory;
      let value: number;
      if (width === 4) value = view.getInt32(from, true);
      else {
        const high = width === 8 ? view.getInt32(from + 4, true) : view.getInt32(from + 8);
        const isLarge = high >= exactHalf || high < -exactHalf || (width === 16 && (view.getInt32(from) !== high >> 31 || view.getInt32(from + 4) !== high >> 31));
        if (isLarge) return large(memory, at, width === 8 ? view.getBigInt64(from, true) : (view.getBigInt64(from) << 64n) | view.getBigUint64(from + 8));
        value = high * twoTo32 + (width === 8 ? view.getUint32(from, true) : view.getUint32(from + 12));
      }
      let rest = Math.abs(value);
      let count = 0;
      if (last > 0) {
        const digit = rest % powers[last]!;
        rest = (rest - digit) / powers[last]!;
        reversed[count++] = digit * powers[4 - last]!;
      }
      while (rest > 0) {
        const digit = rest % 10_000;
        rest = (rest - digit) / 10_000;
        reversed[count++] = digit;
      }
      return writeReversed(memory, at, { count, weight: count - fraction - 1, isNegative: value < 0, scale });
    };
  };

  function large(memory: CopyMemory, at: number, value: bigint): number {
    let rest = value < 0n ? -value : value;
    let count = 0;
    if (last > 0) {
      reversed[count++] = Number(rest % BigInt(powers[last]!)) * powers[4 - last]!;
      rest /= BigInt(powers[last]!);
    }
    for (; rest > 0n; rest /= 10_000n) reversed[count++] = Number(rest % 10_000n);
    return writeReversed(memory, at, { count, weight: count - fraction - 1, isNegative: value < 0n, scale });
  }
}

/** The digits of one number, the least significant first: 38 decimal ones, and those that fill the last one up. */
const reversed = new Int32Array(12);

function writeReversed(memory: CopyMemory, at: number, { count, weight, isNegative, scale }: { count: number; weight: number; isNegative: boolean; scale: number }): number {
  let lowest = 0;
  while (lowest < count && reversed[lowest] === 0) lowest++;
  const digits = count - lowest;
  const { view } = memory;
  view.setInt32(at, 8 + 2 * digits);
  view.setInt16(at + 4, digits);
  view.setInt16(at + 6, digits === 0 ? 0 : weight);
  view.setInt16(at + 8, isNegative ? negative : 0);
  view.setInt16(at + 10, scale);
  let to = at + 12;
  for (let i = count - 1; i >= lowest; i--, to += 2) view.setInt16(to, reversed[i]!);
  return to;
}

/** numeric without bounds, out of plain digits. */
export function numericOfText(values: FieldValues): Field {
  const { memory } = values;
  const next = sizedValues(values);
  return (at) => {
    const from = next();
    const stop = from + memory.view.getUint32(from - 4, true);
    memory.reserve(at, 32 + stop - from);
    return writePlain(memory, at, from, stop);
  };
}

const minus = 0x2d;
const point = 0x2e;
const zero = 0x30;

function writePlain({ bytes, view }: CopyMemory, at: number, from: number, end: number): number {
  const isNegative = bytes[from] === minus;
  const start = isNegative ? from + 1 : from;
  let dot = start;
  while (dot < end && bytes[dot] !== point) dot++;
  const scale = Math.max(end - dot - 1, 0);
  if (dot === start || (dot < end && scale === 0)) throw new NotAsItIs();
  // Digits of the whole part end at the point: the first one may be short; the last one of the fraction is filled up.
  let to = at + 12;
  let weight = Math.ceil((dot - start) / 4) - 1;
  let [digits, lastEnd] = [0, to];
  const put = (begin: number, stop: number, shown: number): void => {
    let digit = 0;
    for (let i = begin; i < begin + shown; i++) {
      const one = i < stop ? bytes[i]! - zero : 0;
      if (one < 0 || one > 9) throw new NotAsItIs();
      digit = digit * 10 + one;
    }
    if (digit === 0 && digits === 0) {
      weight--;
      return;
    }
    view.setInt16(to, digit);
    to += 2;
    digits++;
    if (digit !== 0) lastEnd = to;
  };
  const first = (dot - start) % 4;
  if (first > 0) put(start, dot, first);
  for (let i = start + first; i < dot; i += 4) put(i, dot, 4);
  for (let i = dot + 1; i < end; i += 4) put(i, end, 4);
  const kept = (lastEnd - at - 12) / 2;
  view.setInt32(at, 8 + 2 * kept);
  view.setInt16(at + 4, kept);
  view.setInt16(at + 6, kept === 0 ? 0 : weight);
  view.setInt16(at + 8, isNegative && kept > 0 ? negative : 0);
  view.setInt16(at + 10, scale);
  return lastEnd;
}
