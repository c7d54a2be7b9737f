/** JSON strings as the server writes them (escape_json): short escapes where there are, \u00xx for other controls, all else as it is. */
import type { LineBuffer } from './line-buffer.js';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
/** 0: as it is; 1: by its number; else the letter of its short escape. */
const escapes = new Uint8Array(256);
escapes.fill(1, 0, 0x20);
for (const [byte, letter] of [[QUOTE, '"'], [BACKSLASH, '\\'], [8, 'b'], [9, 't'], [10, 'n'], [12, 'f'], [13, 'r']] as const) escapes[byte] = letter.charCodeAt(0);
const hex = Buffer.from('0123456789abcdef');

/** Longer texts are looked through and then copied at once, in pieces. */
const copiedByByte = 96;
const piece = 4096;
const measuredFrom = 262_144;

export function writeString(out: LineBuffer, bytes: Buffer, start: number, end: number): void {
  if (end - start > copiedByByte) {
    writeLongString(out, bytes, start, end);
    return;
  }
  out.reserve((end - start) * 6 + 2);
  const target = out.bytes;
  let at = out.at;
  target[at++] = QUOTE;
  for (let i = start; i < end; i++) {
    const byte = bytes[i]!;
    const escape = escapes[byte]!;
    if (escape === 0) {
      target[at++] = byte;
      continue;
    }
    at = writeEscape(target, at, byte, escape);
  }
  target[at++] = QUOTE;
  out.at = at;
}

/** Returns the offset behind it. `escape`: the letter after the backslash, or 1 for the four digits. */
function writeEscape(target: Buffer, at: number, byte: number, escape: number): number {
  target[at++] = BACKSLASH;
  if (escape !== 1) {
    target[at++] = escape;
    return at;
  }
  target[at++] = 0x75;
  target[at++] = 0x30;
  target[at++] = 0x30;
  target[at++] = hex[byte >> 4]!;
  target[at++] = hex[byte & 15]!;
  return at;
}

function writeLongString(out: LineBuffer, bytes: Buffer, start: number, end: number): void {
  // A big value is measured first: to grow step by step would hold it twice.
  out.reserve(end - start > measuredFrom ? escapedLength(bytes, start, end) + 6 * piece + 2 : 1);
  out.bytes[out.at++] = QUOTE;
  for (let from = start; from < end; ) {
    const to = Math.min(from + piece, end);
    out.reserve((to - from) * 6 + 1);
    const target = out.bytes;
    let at = out.at;
    for (let i = from; i < to; ) {
      const begin = i;
      while (i < to && escapes[bytes[i]!] === 0) i++;
      if (i - begin > copiedByByte) {
        bytes.copy(target, at, begin, i);
        at += i - begin;
      } else {
        for (let j = begin; j < i; j++) target[at++] = bytes[j]!;
      }
      if (i === to) break;
      const byte = bytes[i++]!;
      at = writeEscape(target, at, byte, escapes[byte]!);
    }
    out.at = at;
    from = to;
  }
  out.reserve(1);
  out.bytes[out.at++] = QUOTE;
}

function escapedLength(bytes: Buffer, start: number, end: number): number {
  let length = end - start;
  for (let i = start; i < end; i++) {
    const escape = escapes[bytes[i]!]!;
    if (escape !== 0) length += escape === 1 ? 5 : 1;
  }
  return length;
}

/** A text in which nothing needs an escape. */
export function writeQuoted(out: LineBuffer, bytes: Buffer, start: number, end: number): void {
  out.reserve(end - start + 2);
  const target = out.bytes;
  let at = out.at;
  target[at++] = QUOTE;
  for (let i = start; i < end; i++) target[at++] = bytes[i]!;
  target[at++] = QUOTE;
  out.at = at;
}

export function writeRaw(out: LineBuffer, bytes: Buffer, start: number, end: number): void {
  out.reserve(end - start);
  const target = out.bytes;
  let at = out.at;
  for (let i = start; i < end; i++) target[at++] = bytes[i]!;
  out.at = at;
}

export function writeBoolean(out: LineBuffer, yes: boolean): void {
  out.reserve(5);
  const { bytes, at } = out;
  bytes[at] = yes ? 0x74 : 0x66;
  bytes[at + 1] = yes ? 0x72 : 0x61;
  bytes[at + 2] = yes ? 0x75 : 0x6c;
  bytes[at + 3] = yes ? 0x65 : 0x73;
  if (!yes) bytes[at + 4] = 0x65;
  out.at = at + (yes ? 4 : 5);
}

export function writeNull(out: LineBuffer): void {
  out.reserve(4);
  const { bytes, at } = out;
  bytes[at] = 0x6e;
  bytes[at + 1] = 0x75;
  bytes[at + 2] = 0x6c;
  bytes[at + 3] = 0x6c;
  out.at = at + 4;
}
