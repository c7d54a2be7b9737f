/** Dates and times of the log's text (DateStyle ISO, TimeZone UTC) into columns; the infinities, BC and years beyond 9999 go beside them as text. */
import type { Decode } from '../../batch/fields.js';
import { LineBuffer } from '../decode/line-buffer.js';
import { writeTimestamp } from '../decode/timestamp.js';

const DASH = 0x2d;
const PLUS = 0x2b;
const POINT = 0x2e;
const SPACE = 0x20;
const ZERO = 0x30;
const twoTo32 = 4_294_967_296;

const two = (bytes: Buffer, at: number): number => (bytes[at]! - ZERO) * 10 + (bytes[at + 1]! - ZERO);

/** `2026-11-20`, in days since 1970. https://howardhinnant.github.io/date_algorithms.html#days_from_civil */
function dayOf(bytes: Buffer, at: number): number {
  const month = two(bytes, at + 5);
  const year = two(bytes, at) * 100 + two(bytes, at + 2) - (month <= 2 ? 1 : 0);
  const cycle = Math.floor(year / 400);
  const yearOfCycle = year - cycle * 400;
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + two(bytes, at + 8) - 1;
  return cycle * 146_097 + yearOfCycle * 365 + Math.floor(yearOfCycle / 4) - Math.floor(yearOfCycle / 100) + dayOfYear - 719_468;
}

const hasDay = (bytes: Buffer, at: number): boolean => bytes[at + 4] === DASH && bytes[at + 7] === DASH;

export const date: Decode = ({ bytes, view, starts, stride, rows }, field, column, stray) => {
  column.reserve(rows, 4 * rows);
  const out = column.view;
  let { used, rows: row } = column;
  for (let i = field, end = rows * stride; i < end; i += stride, row++) {
    const at = starts[i]!;
    if (at < 0) {
      column.setNull(row);
      continue;
    }
    const length = view.getInt32(at - 4);
    if (length !== 10 || !hasDay(bytes, at)) {
      column.setNull(row);
      stray(row, bytes.toString('latin1', at, at + length));
      continue;
    }
    out.setInt32(used, dayOf(bytes, at), true);
    used += 4;
  }
  column.used = used;
  column.rows = row;
};

/** Seconds up to here times a million are exact. */
const exactSeconds = 9_000_000_000;

/** `zone`: characters behind the time. */
const timestampOf = (zone: 0 | 3): Decode => ({ bytes, view, starts, stride, rows }, field, column, stray) => {
  column.reserve(rows, 8 * rows);
  const out = column.view;
  let { used, rows: row } = column;
  for (let i = field, end = rows * stride; i < end; i += stride, row++) {
    const at = starts[i]!;
    if (at < 0) {
      column.setNull(row);
      continue;
    }
    const length = view.getInt32(at - 4);
    const stop = at + length - zone;
    const fraction = stop - at - 20;
    const isUsual = (fraction === -1 || (fraction > 0 && fraction <= 6 && bytes[at + 19] === POINT)) && hasDay(bytes, at) && bytes[at + 10] === SPACE && (zone === 0 || bytes[stop] === PLUS);
    if (!isUsual) {
      column.setNull(row);
      stray(row, lineText(bytes, at, at + length));
      continue;
    }
    const seconds = dayOf(bytes, at) * 86_400 + two(bytes, at + 11) * 3600 + two(bytes, at + 14) * 60 + two(bytes, at + 17);
    let micros = 0;
    for (let j = 0; j < 6; j++) micros = micros * 10 + (j < fraction ? bytes[at + 20 + j]! - ZERO : 0);
    if (seconds < exactSeconds && seconds > -exactSeconds) {
      const all = seconds * 1_000_000 + micros;
      const high = Math.floor(all / twoTo32);
      out.setInt32(used, all - high * twoTo32, true);
      out.setInt32(used + 4, high, true);
    } else out.setBigInt64(used, BigInt(seconds) * 1_000_000n + BigInt(micros), true);
    used += 8;
  }
  column.used = used;
  column.rows = row;
};

export const timestamp: Decode = timestampOf(0);
export const timestamptz: Decode = timestampOf(3);

/** The text that a line has for it, without its quotes. */
function lineText(bytes: Buffer, start: number, end: number): string {
  const out = new LineBuffer(64);
  writeTimestamp(out, bytes, start, end);
  return out.bytes.toString('latin1', 1, out.at - 1);
}
