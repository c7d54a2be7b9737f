/** Values of a fixed size. PostgreSQL has the most significant byte first, and counts time from 2000-01-01. */
import { fixedValues, NotAsItIs, type Field, type FieldValues } from './field.js';

export function boolean({ memory, start, end }: FieldValues): Field {
  let bit = 8 * start;
  return (at) => {
    if (bit >= 8 * end) throw new NotAsItIs();
    memory.view.setInt32(at, 1);
    memory.bytes[at + 4] = (memory.bytes[bit >> 3]! >> (bit & 7)) & 1;
    bit++;
    return at + 5;
  };
}

export function int16(values: FieldValues): Field {
  const { memory } = values;
  const next = fixedValues(values, 4);
  return (at) => {
    const value = memory.view.getInt32(next(), true);
    if (value !== (value << 16) >> 16) throw new NotAsItIs();
    memory.view.setInt32(at, 2);
    memory.view.setInt16(at + 4, value);
    return at + 6;
  };
}

export function fourBytes(values: FieldValues): Field {
  const { memory } = values;
  const next = fixedValues(values, 4);
  return (at) => {
    memory.view.setInt32(at, 4);
    memory.view.setInt32(at + 4, memory.view.getInt32(next(), true));
    return at + 8;
  };
}

export function eightBytes(values: FieldValues): Field {
  const { memory } = values;
  const next = fixedValues(values, 8);
  return (at) => {
    const from = next();
    memory.view.setInt32(at, 8);
    memory.view.setInt32(at + 4, memory.view.getInt32(from + 4, true));
    memory.view.setInt32(at + 8, memory.view.getInt32(from, true));
    return at + 12;
  };
}

/** Days from 1970-01-01 to 2000-01-01, and back to 0001-01-01: what is before that lines do not bring either. */
const daysTo2000 = 10_957;
const firstDay = -719_162;
/** The engine's own infinity, and no day of PostgreSQL's. */
const lastDay = 0x7fffffff - 1;

export function date(values: FieldValues): Field {
  const { memory } = values;
  const next = fixedValues(values, 4);
  return (at) => {
    const day = memory.view.getInt32(next(), true);
    if (day < firstDay || day > lastDay) throw new NotAsItIs();
    memory.view.setInt32(at, 4);
    memory.view.setInt32(at + 4, day - daysTo2000);
    return at + 8;
  };
}

const twoTo32 = 4_294_967_296;
const microsOfDay = 86_400_000_000;

export function time(values: FieldValues): Field {
  const { memory } = values;
  const next = fixedValues(values, 8);
  return (at) => {
    const from = next();
    const [low, high] = [memory.view.getUint32(from, true), memory.view.getInt32(from + 4, true)];
    if (high < 0 || high * twoTo32 + low >= microsOfDay) throw new NotAsItIs();
    memory.view.setInt32(at, 8);
    memory.view.setInt32(at + 4, high);
    memory.view.setUint32(at + 8, low);
    return at + 12;
  };
}

/** Microseconds from 1970 to 2000, and back to the year 1, in two halves. */
const to2000 = halvesOf(946_684_800_000_000n);
const firstMicro = halvesOf(-62_135_596_800_000_000n);

export function timestamp(values: FieldValues): Field {
  const { memory } = values;
  const next = fixedValues(values, 8);
  return (at) => {
    const from = next();
    const [low, high] = [memory.view.getUint32(from, true), memory.view.getInt32(from + 4, true)];
    if (high < firstMicro.high || (high === firstMicro.high && low < firstMicro.low)) throw new NotAsItIs();
    // The engine's own infinity.
    if (high === 0x7fffffff && low >= 0xfffffffe) throw new NotAsItIs();
    memory.view.setInt32(at, 8);
    memory.view.setInt32(at + 4, high - to2000.high - (low < to2000.low ? 1 : 0));
    memory.view.setInt32(at + 8, low - to2000.low);
    return at + 12;
  };
}

function halvesOf(value: bigint): { readonly low: number; readonly high: number } {
  return { low: Number(BigInt.asUintN(32, value)), high: Number(value >> 32n) };
}

/** The same of a constant. */
export function timestampBytes(milliseconds: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(BigInt(milliseconds) * 1000n - 946_684_800_000_000n);
  return bytes;
}
