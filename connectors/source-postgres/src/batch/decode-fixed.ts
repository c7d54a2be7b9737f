/** Booleans, integers, floats, dates and times: PostgreSQL sends them big-endian, and counts from 2000. */
import { halvesOf } from '../halves.js';
import type { Decode } from './fields.js';
import { dateText, timestampText } from './calendar-text.js';

/** `truth`: the byte that is true. */
export const booleanOf = (truth: number): Decode => ({ bytes, starts, stride, rows }, field, column) => {
  column.reserve(rows, (rows >> 3) + 1);
  const out = column.bytes;
  let count = column.rows - column.nulls;
  let row = column.rows;
  for (let i = field, end = rows * stride; i < end; i += stride, row++) {
    const at = starts[i]!;
    if (at < 0) {
      column.setNull(row);
      continue;
    }
    const value = bytes[at] === truth ? 1 : 0;
    const bit = count & 7;
    if (bit === 0) out[count >> 3] = value;
    else out[count >> 3]! |= value << bit;
    count++;
  }
  column.used = (count + 7) >> 3;
  column.rows = row;
};

export const boolean: Decode = booleanOf(1);

export const int16: Decode = ({ view, starts, stride, rows }, field, column) => {
  column.reserve(rows, 4 * rows);
  const out = column.view;
  let { used, rows: row } = column;
  for (let i = field, end = rows * stride; i < end; i += stride, row++) {
    const at = starts[i]!;
    if (at < 0) {
      column.setNull(row);
      continue;
    }
    out.setInt32(used, view.getInt16(at), true);
    used += 4;
  }
  column.used = used;
  column.rows = row;
};

/** int4 and float4. */
export const fourBytes: Decode = ({ view, starts, stride, rows }, field, column) => {
  column.reserve(rows, 4 * rows);
  const out = column.view;
  let { used, rows: row } = column;
  for (let i = field, end = rows * stride; i < end; i += stride, row++) {
    const at = starts[i]!;
    if (at < 0) {
      column.setNull(row);
      continue;
    }
    out.setInt32(used, view.getInt32(at), true);
    used += 4;
  }
  column.used = used;
  column.rows = row;
};

/** int8 and float8: in halves, since a 64-bit integer would be an object. */
export const eightBytes: Decode = ({ view, starts, stride, rows }, field, column) => {
  column.reserve(rows, 8 * rows);
  const out = column.view;
  let { used, rows: row } = column;
  for (let i = field, end = rows * stride; i < end; i += stride, row++) {
    const at = starts[i]!;
    if (at < 0) {
      column.setNull(row);
      continue;
    }
    out.setInt32(used, view.getInt32(at + 4), true);
    out.setInt32(used + 4, view.getInt32(at), true);
    used += 8;
  }
  column.used = used;
  column.rows = row;
};

const daysTo2000 = 10_957;
/** 0001-01-01, in days since 2000. Every later day that PostgreSQL knows is one for the readers, too. */
const firstDay = -730_119;
const infinite = 0x7fff_ffff;

export const date: Decode = ({ view, starts, stride, rows }, field, column, stray) => {
  column.reserve(rows, 4 * rows);
  const out = column.view;
  let { used, rows: row } = column;
  for (let i = field, end = rows * stride; i < end; i += stride, row++) {
    const at = starts[i]!;
    if (at < 0) {
      column.setNull(row);
      continue;
    }
    const day = view.getInt32(at);
    if (day < firstDay || day === infinite) {
      column.setNull(row);
      stray(row, dateText(day));
      continue;
    }
    out.setInt32(used, day + daysTo2000, true);
    used += 4;
  }
  column.used = used;
  column.rows = row;
};

/** 24:00:00 in microseconds, in halves. */
const midnightHigh = 20;
const midnightLow = 500_654_080;

export const time: Decode = ({ view, starts, stride, rows }, field, column, stray) => {
  column.reserve(rows, 8 * rows);
  const out = column.view;
  let { used, rows: row } = column;
  for (let i = field, end = rows * stride; i < end; i += stride, row++) {
    const at = starts[i]!;
    if (at < 0) {
      column.setNull(row);
      continue;
    }
    const high = view.getInt32(at);
    const low = view.getInt32(at + 4);
    if (high === midnightHigh && low === midnightLow) {
      column.setNull(row);
      stray(row, '24:00:00');
      continue;
    }
    out.setInt32(used, low, true);
    out.setInt32(used + 4, high, true);
    used += 8;
  }
  column.used = used;
  column.rows = row;
};

const microsTo2000 = 946_684_800_000_000n;
const { high: epochHigh, low: epochLow } = halvesOf(microsTo2000);
/** What readers hold, in microseconds since 2000: from 0001-01-01 to below the one that is their infinity. */
const first = halvesOf(-62_135_596_800_000_000n - microsTo2000);
const last = halvesOf(2n ** 63n - 2n - microsTo2000);

const timestampOf = (zone: string): Decode => ({ view, starts, stride, rows }, field, column, stray) => {
  column.reserve(rows, 8 * rows);
  const out = column.view;
  let { used, rows: row } = column;
  for (let i = field, end = rows * stride; i < end; i += stride, row++) {
    const at = starts[i]!;
    if (at < 0) {
      column.setNull(row);
      continue;
    }
    const high = view.getInt32(at);
    const low = view.getUint32(at + 4);
    if (high <= first.high || high >= last.high) {
      if (high < first.high || high > last.high || (high === first.high && low < first.low) || (high === last.high && low > last.low)) {
        column.setNull(row);
        stray(row, timestampText(view.getBigInt64(at), zone));
        continue;
      }
    }
    const sum = low + epochLow;
    out.setInt32(used, sum, true);
    out.setInt32(used + 4, high + epochHigh + (sum > 0xffff_ffff ? 1 : 0), true);
    used += 8;
  }
  column.used = used;
  column.rows = row;
};

export const timestamp: Decode = timestampOf('');
export const timestamptz: Decode = timestampOf('+00:00');
