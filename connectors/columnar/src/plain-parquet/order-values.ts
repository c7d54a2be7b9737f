/** The texts that are of every row its own: its order, and the id that is made of it. In PLAIN: a length, then the text. */
import type { Memory } from './memory.js';

const digits = 16;
/** Four hex digits of each number of 16 bits, as they lie in memory. */
const hex = new Uint32Array(1 << 16);
for (let i = 0; i < hex.length; i++) hex[i] = Buffer.from(i.toString(16).padStart(4, '0'), 'latin1').readUInt32LE();

/** `prefix` and 16 hex digits that count from `first`. `before`: bytes that are left free ahead of them. In memory that was taken. */
export function countedTexts(memory: Memory, prefix: string, first: number, rows: number, before: number): Buffer {
  const head = Buffer.byteLength(prefix);
  const each = 4 + head + digits;
  const bytes = memory.take(before + rows * each);
  bytes.writeUInt32LE(head + digits, before);
  bytes.write(prefix, before + 4);
  const end = before + rows * each;
  for (let done = before + each; done < end; done += done - before) bytes.copyWithin(done, before, Math.min(done, before + end - done));
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let row = 0, at = before + 4 + head; row < rows; row++, at += each) {
    const number = first + row;
    const [high, low] = [Math.floor(number / 2 ** 32), number >>> 0];
    view.setUint32(at, hex[high >>> 16]!, true);
    view.setUint32(at + 4, hex[high & 0xffff]!, true);
    view.setUint32(at + 8, hex[low >>> 16]!, true);
    view.setUint32(at + 12, hex[low & 0xffff]!, true);
  }
  return bytes;
}

/** `prefix` ahead of each of `count` texts, which lie in `bytes`. The rest as above. */
export function prefixedTexts(memory: Memory, bytes: Buffer, prefix: string, count: number, before: number): Buffer {
  const head = Buffer.from(prefix);
  const made = memory.take(before + bytes.length + count * head.length);
  let to = before;
  for (let i = 0, at = 0; i < count; i++) {
    const length = bytes.readUInt32LE(at);
    made.writeUInt32LE(head.length + length, to);
    for (let j = 0; j < head.length; j++) made[to + 4 + j] = head[j]!;
    to += 4 + head.length;
    for (let j = 0; j < length; j++) made[to + j] = bytes[at + 4 + j]!;
    to += length;
    at += 4 + length;
  }
  return made;
}
