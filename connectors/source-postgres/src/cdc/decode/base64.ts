/** bytea in hex (`\x00ff`) to a JSON string in base64. */
import type { LineBuffer } from './line-buffer.js';

const alphabet = Buffer.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/');
const nibbles = new Uint8Array(256);
for (let i = 0; i < 16; i++) nibbles[i.toString(16).charCodeAt(0)] = i;

export function writeBase64(out: LineBuffer, bytes: Buffer, start: number, end: number): void {
  const count = (end - start - 2) >> 1;
  out.reserve(Math.ceil(count / 3) * 4 + 2);
  const target = out.bytes;
  let at = out.at;
  target[at++] = 0x22;
  let from = start + 2;
  const byte = (offset: number): number => (nibbles[bytes[offset]!]! << 4) | nibbles[bytes[offset + 1]!]!;
  for (let left = count; left >= 3; left -= 3, from += 6) {
    const three = (byte(from) << 16) | (byte(from + 2) << 8) | byte(from + 4);
    target[at++] = alphabet[three >> 18]!;
    target[at++] = alphabet[(three >> 12) & 63]!;
    target[at++] = alphabet[(three >> 6) & 63]!;
    target[at++] = alphabet[three & 63]!;
  }
  if (count % 3 > 0) {
    const two = (byte(from) << 16) | (count % 3 === 2 ? byte(from + 2) << 8 : 0);
    target[at++] = alphabet[two >> 18]!;
    target[at++] = alphabet[(two >> 12) & 63]!;
    target[at++] = count % 3 === 2 ? alphabet[(two >> 6) & 63]! : 0x3d;
    target[at++] = 0x3d;
  }
  target[at++] = 0x22;
  out.at = at;
}
