import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { readBlocks, readLines, splitBlock } from './line-reader.js';

async function* chunksOf(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}
async function linesOf(input: AsyncIterable<Buffer>): Promise<string[]> {
  const lines: string[] = [];
  for await (const { bytes, terminated } of readLines(input)) lines.push(bytes.toString('latin1') + (terminated ? '' : '…'));
  return lines;
}
const latin = (text: string): string => Buffer.from(text).toString('latin1');

describe('lines', () => {
  test('are the same whatever the size of the chunks', async () => {
    const text = Buffer.from('{"a":1}\n\n{"b":"é😀"}\r\n{"c":"\r"}\nx\ry\r\n\r\n{"last":"ü"}');
    const expected = ['{"a":1}', '', latin('{"b":"é😀"}'), '{"c":"\r"}', 'x\ry', '', latin('{"last":"ü"}…').replace(latin('…'), '…')];
    for (let size = 1; size <= text.length; size++) expect(await linesOf(chunksOf(text, size))).toEqual(expected);
  });

  test('end with LF or CRLF; a lone CR ends none', async () => {
    expect(await linesOf(chunksOf(Buffer.from('a\r\nb\rc\n\rd\r'), 100))).toEqual(['a', 'b\rc', '\rd\r…']);
  });

  test('pass with bytes that are no UTF-8, and characters split between chunks, as they came', async () => {
    const bytes = Buffer.concat([Buffer.from([0xff, 0xfe, 0x0a]), Buffer.from('😀\n')]);
    const lines: Buffer[] = [];
    for await (const { bytes: line } of readLines(chunksOf(bytes, 1))) lines.push(Buffer.from(line));
    expect(lines).toEqual([Buffer.from([0xff, 0xfe]), Buffer.from('😀')]);
  });

  test('without a last newline are told from whole ones', async () => {
    expect(await linesOf(chunksOf(Buffer.from('a\nb'), 2))).toEqual(['a', 'b…']);
    expect(await linesOf(chunksOf(Buffer.from('a\nb\n'), 2))).toEqual(['a', 'b']);
    expect(await linesOf(chunksOf(Buffer.alloc(0), 1))).toEqual([]);
  });

  test('U+2028 and U+0085 end none', async () => {
    expect(await linesOf(chunksOf(Buffer.from('a\u2028b\u0085c\n'), 3))).toHaveLength(1);
  });
});

describe('blocks', () => {
  test('are whole lines, and together the input, byte for byte', async () => {
    const input = Buffer.from('one\ntwo\r\nthree three three\nfour\nfive');
    for (let size = 1; size <= input.length; size++) {
      const blocks: Buffer[] = [];
      for await (const block of readBlocks(chunksOf(input, size))) blocks.push(block);
      expect(Buffer.concat(blocks)).toEqual(input);
      for (const block of blocks.slice(0, -1)) expect(block.at(-1)).toBe(0x0a);
      expect([...splitBlock(blocks.at(-1)!)].filter(({ terminated }) => !terminated)).toHaveLength(1);
      expect(blocks.at(-1)!.toString()).toBe('five');
    }
  });

  test('are not copied where no line crosses a chunk', async () => {
    const chunk = Buffer.from('a\nb\n');
    for await (const block of readBlocks(chunksOf(chunk, 100))) expect(block.buffer).toBe(chunk.buffer);
  });
});

test('chunks that lie in the same memory, one after the other, make the same blocks', async () => {
  const input = Buffer.from('one\ntwo\r\nthree three three\nfour\nfive');
  async function* reused(size: number): AsyncGenerator<Buffer> {
    const memory = Buffer.alloc(size);
    for (let at = 0; at < input.length; at += size) yield memory.subarray(0, input.copy(memory, 0, at, at + size));
    memory.fill(0);
  }
  for (let size = 1; size <= input.length; size++) {
    let text = '';
    for await (const block of readBlocks(reused(size), { reused: true })) text += block.toString();
    expect(text).toBe(input.toString());
  }
});

test('a line of 100 MB passes, three times, in memory that stays flat', async () => {
  const chunk = Buffer.alloc(65_536, 0x78);
  async function* input(): AsyncGenerator<Buffer> {
    for (let line = 0; line < 3; line++) {
      for (let i = 0; i < 1600; i++) yield Buffer.from(chunk);
      yield Buffer.from('\n');
    }
  }
  let lines = 0;
  let peak = 0;
  const before = process.memoryUsage().rss;
  for await (const { bytes } of readLines(input())) {
    lines++;
    expect(bytes.length).toBe(104_857_600);
    peak = Math.max(peak, process.memoryUsage().rss);
  }
  expect(lines).toBe(3);
  expect(peak - before).toBeLessThan(700e6);
});

describe('a time limit on silence', () => {
  const silent = new Readable({ read() {} });
  test('fails with a transient_error when nothing comes', async () => {
    silent.push('a\n');
    const seen: string[] = [];
    const reading = (async () => {
      for await (const { bytes } of readLines(silent, { idleTimeoutMs: 50 })) seen.push(bytes.toString());
    })();
    await expect(reading).rejects.toMatchObject({ kind: 'transient_error', code: 'silent' });
    expect(seen).toEqual(['a']);
  });

  test('does not count the time that the reader of the lines takes', async () => {
    async function* input(): AsyncGenerator<Buffer> {
      for (let i = 0; i < 4; i++) yield Buffer.from('x\n');
    }
    let lines = 0;
    for await (const _line of readLines(input(), { idleTimeoutMs: 30 })) {
      lines++;
      await sleep(60);
    }
    expect(lines).toBe(4);
  });

  test('passes on what the input itself fails with', async () => {
    const failing = new Readable({ read() { this.destroy(new Error('reset')); } });
    await expect(linesOf(failing)).rejects.toThrow('reset');
  });
});
