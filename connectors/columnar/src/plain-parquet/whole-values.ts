/** Values of a batch file pass into the lake unread: that there are as many as there should be, each within its page, and text is text, is seen to first. */
import { isAscii, isUtf8 } from 'node:buffer';
import { widthOf, type BatchType, type PlainValues } from '@tapline/sdk/batch';
import type { Bounds } from './bounds.js';

/** How many of `rows` rows have no value. */
export function nullsOf({ validity }: PlainValues, rows: number): number {
  if (!validity) return 0;
  let set = 0;
  for (let i = 0; i < validity.length; i++) set += ones[validity[i]!]!;
  // Bits behind the last row say nothing.
  const over = validity.length * 8 - rows;
  if (over > 0) set -= ones[validity[validity.length - 1]! >> (8 - over)]!;
  return rows - set;
}

const ones = Uint8Array.from({ length: 256 }, (_, byte) => byte.toString(2).replaceAll('0', '').length);

/** `count` values of the type fill the page. */
export function areWhole(bytes: Buffer, { start, end }: PlainValues, type: BatchType, count: number): boolean {
  if (type.kind === 'boolean') return end - start === (count + 7) >> 3;
  const width = widthOf(type);
  if (width > 0) return end - start === count * width;
  // Lengths below 128 are letters, too: of most columns one look tells that all is text.
  return type.kind === 'bytes' || isAscii(bytes.subarray(start, end)) ? areSized(bytes, start, end, count) : areTexts(bytes, start, end, count);
}

/** What is stored in more bytes than it needs is what its type says. */
export function areInRange({ least, greatest }: Bounds, type: BatchType): boolean {
  if (type.kind !== 'int' || type.bits !== 16) return true;
  const [low, high] = [least, greatest].map((value) => new DataView(value.buffer, value.byteOffset).getInt32(0, true)) as [number, number];
  return low >= -0x8000 && high <= 0x7fff;
}

/** Each is behind its length. */
function areSized(bytes: Buffer, start: number, end: number, count: number): boolean {
  let at = start;
  for (let i = 0; i < count; i++) {
    if (at + 4 > end) return false;
    at += 4 + bytes.readUInt32LE(at);
  }
  return at === end;
}

let scratch = Buffer.alloc(0);
/** Beyond what texts of an ordinary batch take, it is not kept. */
const mostKept = 32 << 20;

/** A copy whose lengths are zeros is text if each value is: a letter that is cut off does not end in a zero. One call is a hundred times as fast as one a value. */
function areTexts(bytes: Buffer, start: number, end: number, count: number): boolean {
  const size = end - start;
  if (scratch.length < size || scratch.length > mostKept) scratch = Buffer.allocUnsafeSlow(Math.max(size, 1 << 20));
  const copy = scratch;
  bytes.copy(copy, 0, start, end);
  let at = 0;
  for (let i = 0; i < count; i++) {
    if (at + 4 > size) return false;
    const length = copy.readUInt32LE(at);
    copy[at] = copy[at + 1] = copy[at + 2] = copy[at + 3] = 0;
    at += 4 + length;
  }
  return at === size && isUtf8(copy.subarray(0, size));
}
