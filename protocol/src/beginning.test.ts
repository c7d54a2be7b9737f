import { expect, test } from 'vitest';
import { Beginning, viewOf } from './beginning.js';

const text = '{"type":"RECORD","record":';
const begins = (beginning: string, line: string, before = ''): boolean =>
  new Beginning(Buffer.from(beginning)).begins(viewOf(Buffer.from(before + line)), before.length, before.length + line.length);

test('a line begins so wherever it stands in the block, of whatever length the beginning is', () => {
  for (let length = 4; length < text.length; length++) {
    for (let before = 0; before < 9; before++) expect(begins(text.slice(0, length), text, 'x'.repeat(before)), `${length} bytes at ${before}`).toBe(true);
  }
});

test('one other byte anywhere in it, and it does not', () => {
  for (let length = 4; length < text.length; length++) {
    for (let other = 0; other < length; other++) {
      const line = `${text.slice(0, other)}~${text.slice(other + 1)}`;
      expect(begins(text.slice(0, length), line, 'abc'), `${length} bytes, ${other}`).toBe(false);
      expect(begins(text.slice(0, length), `${text.slice(0, other)}\u00e9${text.slice(other + 1)}`)).toBe(false);
    }
  }
});

test('a line that ends with it, or before it, does not go on: what follows in the block is of the next one', () => {
  const block = viewOf(Buffer.from(`${text}\n${text}`));
  const beginning = new Beginning(Buffer.from(text.slice(0, 12)));
  expect([11, 12, 13].map((end) => beginning.begins(block, 0, end))).toEqual([false, false, true]);
});
