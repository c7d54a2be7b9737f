/**
 * The text of an array (`[0:1]={{1,NULL},{"a \"b\"",3}}`) to what to_json() makes of it, in a JSON string.
 * https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO
 */
import type { ColumnType } from '../../types.js';
import { writeBoolean, writeNull, writeRaw, writeString } from './json-text.js';
import { LineBuffer } from './line-buffer.js';
import { writeTimestamp } from './timestamp.js';
import { int32 } from './tuple.js';

/** How to_json() writes an element: by the type's own text, except for these. */
type ElementKind = 'boolean' | 'number' | 'json' | 'timestamp' | 'string';

export interface ArrayElements {
  readonly kind: ElementKind;
  readonly delimiter: number;
}

const COMMA = 0x2c;
const SEMICOLON = 0x3b;
const BOX = 603;
const NULL = 0x4e554c4c;

/** undefined: elements are rows, arrays, or have a cast to json: the server must write them. */
export function arrayElements({ element }: ColumnType): ArrayElements | undefined {
  if (!element) return undefined;
  const delimiter = element.oid === BOX ? SEMICOLON : COMMA;
  switch (element.logical.kind) {
    case 'boolean': return { kind: 'boolean', delimiter };
    case 'int':
    case 'float':
    case 'decimal':
    case 'bigdecimal': return { kind: 'number', delimiter };
    case 'json': return { kind: 'json', delimiter };
    case 'timestamp':
    case 'timestamptz': return { kind: 'timestamp', delimiter };
    case 'array': return undefined;
    case 'text': return element.isPlain || element.isQuoted ? { kind: 'string', delimiter } : undefined;
    default: return { kind: 'string', delimiter };
  }
}

const usual = 4096;
/** The array's JSON before it becomes a string, and an element without its quotes. */
let json = new LineBuffer(usual);
let plain = new LineBuffer(usual);

export function writeArray(out: LineBuffer, bytes: Buffer, start: number, end: number, { kind, delimiter }: ArrayElements): void {
  json.at = 0;
  let at = bytes[start] === 0x5b ? bytes.indexOf(0x3d, start) + 1 : start;
  while (at < end) {
    const byte = bytes[at]!;
    if (byte === 0x7b || byte === 0x7d || byte === delimiter) {
      json.reserve(1);
      json.bytes[json.at++] = byte === 0x7b ? 0x5b : byte === 0x7d ? 0x5d : COMMA;
      at++;
    } else if (byte === 0x22) {
      at = unquote(bytes, at + 1, end);
      writeElement(kind, plain.bytes, 0, plain.at);
    } else {
      const from = at;
      while (at < end && bytes[at] !== delimiter && bytes[at] !== 0x7d) at++;
      // A text that reads NULL is quoted.
      if (at - from === 4 && int32(bytes, from) === NULL) writeNull(json);
      else writeElement(kind, bytes, from, at);
    }
  }
  writeString(out, json.bytes, 0, json.at);
  if (json.bytes.length > 64 * usual) json = new LineBuffer(usual);
  if (plain.bytes.length > 64 * usual) plain = new LineBuffer(usual);
}

/** Returns the offset after the closing quote. */
function unquote(bytes: Buffer, from: number, end: number): number {
  plain.at = 0;
  for (let at = from; at < end; at++) {
    let byte = bytes[at]!;
    if (byte === 0x22) return at + 1;
    if (byte === 0x5c) byte = bytes[++at]!;
    plain.reserve(1);
    plain.bytes[plain.at++] = byte;
  }
  return end;
}

function writeElement(kind: ElementKind, bytes: Buffer, start: number, end: number): void {
  switch (kind) {
    case 'number': {
      // 2, -1.5e-7, but NaN, -Infinity
      const first = bytes[start] === 0x2d ? bytes[start + 1]! : bytes[start]!;
      if (first > 0x39) writeString(json, bytes, start, end);
      else writeRaw(json, bytes, start, end);
      return;
    }
    case 'boolean': writeBoolean(json, bytes[start] === 0x74); return;
    case 'json': writeRaw(json, bytes, start, end); return;
    case 'timestamp': writeTimestamp(json, bytes, start, end); return;
    default: writeString(json, bytes, start, end);
  }
}
