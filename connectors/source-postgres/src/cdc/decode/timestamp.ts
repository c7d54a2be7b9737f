import type { LineBuffer } from './line-buffer.js';

/** `2026-11-20 07:00:00.1+00` becomes `2026-11-20T07:00:00.1+00:00`; before Christ, ` BC` follows either; `infinity` is one word. */
export function writeTimestamp(out: LineBuffer, bytes: Buffer, start: number, end: number): void {
  out.reserve(end - start + 8);
  const target = out.bytes;
  let at = out.at;
  let i = start;
  target[at++] = 0x22;
  while (i < end && bytes[i] !== 0x20) target[at++] = bytes[i++]!;
  if (i < end) {
    target[at++] = 0x54;
    i++;
    let zone = -1;
    for (; i < end && bytes[i] !== 0x20; i++) {
      const byte = bytes[i]!;
      if (byte === 0x2b || byte === 0x2d) zone = at;
      target[at++] = byte;
    }
    // Only whole hours come without minutes.
    if (zone !== -1 && at - zone === 3) {
      target[at++] = 0x3a;
      target[at++] = 0x30;
      target[at++] = 0x30;
    }
    while (i < end) target[at++] = bytes[i++]!;
  }
  target[at++] = 0x22;
  out.at = at;
}
