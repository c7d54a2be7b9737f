/**
 * From the text of a value in the log to its JSON, byte for byte as a copy has it (types.ts, jsonForm), given the settings of a
 * connection: TimeZone UTC, DateStyle ISO, bytea in hex, floats in their shortest exact form.
 */
import type { ColumnType } from '../../types.js';
import { arrayElements, writeArray, type ArrayElements } from './array-json.js';
import { writeBase64 } from './base64.js';
import { writeBoolean, writeQuoted, writeRaw, writeString } from './json-text.js';
import type { LineBuffer } from './line-buffer.js';
import { writeTimestamp } from './timestamp.js';

export const Form = {
  /** Not wanted. */
  skip: 0,
  /** A number as it is. */
  number: 1,
  /** A number, beyond 2^53 a string. */
  int64: 2,
  /** A number, or NaN or an infinity as a string. */
  float: 3,
  boolean: 4,
  /** A string without anything to escape. */
  plain: 5,
  text: 6,
  timestamp: 7,
  bytes: 8,
  array: 9,
  /** Only the server can write it: `to_json()` of the value cast to its type. */
  server: 10,
} as const;
export type Form = (typeof Form)[keyof typeof Form];

export function formOf(type: ColumnType): Form {
  switch (type.logical.kind) {
    case 'boolean': return Form.boolean;
    case 'int': return type.logical.bits === 64 ? Form.int64 : Form.number;
    case 'float': return Form.float;
    case 'decimal':
    case 'bigdecimal':
    case 'date':
    case 'time':
    case 'interval':
    case 'uuid': return Form.plain;
    case 'timestamp':
    case 'timestamptz': return Form.timestamp;
    case 'bytes': return Form.bytes;
    case 'array': return arrayElements(type) ? Form.array : Form.server;
    default: return Form.text;
  }
}

/** What the form needs to know beyond itself. */
export const elementsOf = (type: ColumnType): ArrayElements | undefined => (type.logical.kind === 'array' ? arrayElements(type) : undefined);

/** Writes the text in [start, end). `elements`: of an array. */
export function writeValue(out: LineBuffer, form: Form, bytes: Buffer, start: number, end: number, elements: ArrayElements | undefined): void {
  switch (form) {
    case Form.number: writeRaw(out, bytes, start, end); return;
    case Form.int64: writeInt64(out, bytes, start, end); return;
    case Form.float:
      // -1.5, 2e-05, but -Infinity, NaN
      if (bytes[start]! > 0x39 || bytes[start + 1] === 0x49) writeQuoted(out, bytes, start, end);
      else writeRaw(out, bytes, start, end);
      return;
    case Form.boolean: writeBoolean(out, bytes[start] === 0x74); return;
    case Form.plain: writeQuoted(out, bytes, start, end); return;
    case Form.timestamp: writeTimestamp(out, bytes, start, end); return;
    case Form.bytes: writeBase64(out, bytes, start, end); return;
    case Form.array: writeArray(out, bytes, start, end, elements!); return;
    default: writeString(out, bytes, start, end);
  }
}

const safe = Buffer.from(String(Number.MAX_SAFE_INTEGER));

function writeInt64(out: LineBuffer, bytes: Buffer, start: number, end: number): void {
  const digits = bytes[start] === 0x2d ? start + 1 : start;
  if (end - digits > 16 || (end - digits === 16 && isAboveSafe(bytes, digits))) writeQuoted(out, bytes, start, end);
  else writeRaw(out, bytes, start, end);
}

function isAboveSafe(bytes: Buffer, digits: number): boolean {
  for (let i = 0; i < 16; i++) if (bytes[digits + i] !== safe[i]) return bytes[digits + i]! > safe[i]!;
  return false;
}
