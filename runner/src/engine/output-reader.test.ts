import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { PassThrough, type Readable } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { OutputReader } from './output-reader.js';

const start = (script: string) => spawn('/bin/sh', ['-c', script], { stdio: ['ignore', 'pipe', 'inherit'] });
const digest = (text: string | Uint8Array): string => createHash('sha256').update(text).digest('hex');

/** What it reads, taken slowly: between two chunks come turns in which more may arrive. */
async function read(stdout: Readable, first?: Promise<unknown>): Promise<string> {
  const reader = new OutputReader(stdout);
  const hash = createHash('sha256');
  await first;
  let chunks = 0;
  for await (const chunk of reader.chunks()) {
    const before = digest(chunk);
    if (chunks++ % 3 === 0) for (let i = 0; i < 3; i++) await turn();
    expect(digest(chunk), 'a chunk holds until the next one is asked for').toBe(before);
    hash.update(chunk);
  }
  return hash.digest('hex');
}

describe('the output of a process', () => {
  test.each([['much', 'seq 1 400000', upTo(400_000)], ['a little', 'echo a; echo b', 'a\nb\n'], ['nothing', 'exit 0', '']])('is read to its end: %s', async (_what, script, expected) => {
    expect(await read(start(script).stdout)).toBe(digest(expected));
  });

  test.each([['echo a; echo b', 'a\nb\n'], ['exit 0', '']])('is not lost if its process is gone before anybody reads: %s', async (script, expected) => {
    const child = start(script);
    expect(await read(child.stdout, once(child, 'exit'))).toBe(digest(expected));
  });

  test('that comes faster than it is taken waits in the pipe, and not in memory', async () => {
    const reader = new OutputReader(start('yes').stdout);
    await expect.poll(() => reader.reads).toBe(1);
    for (let i = 0; i < 50; i++) await turn();
    expect(reader.reads).toBe(1);
    for await (const _chunk of reader.chunks()) if (reader.reads === 20) break;
    for (let i = 0; i < 50; i++) await turn();
    expect(reader.reads).toBe(20);
    reader.destroy();
  });

  test('that is closed by us ends, for who waits, too', async () => {
    const reader = new OutputReader(start('echo a; sleep 5').stdout);
    const seen: string[] = [];
    for await (const chunk of reader.chunks()) {
      seen.push(chunk.toString());
      setImmediate(() => reader.destroy());
    }
    expect(seen).toEqual(['a\n']);
  });
});

test('a stream that hides its pipe is read as a stream, even if somebody makes it flow', async () => {
  const stream = new PassThrough();
  const reading = read(stream);
  for (let i = 0; i < 300; i++) {
    stream.write(`${i}\n`.repeat(1000));
    if (i % 7 === 0) stream.resume();
    await turn();
  }
  stream.end();
  expect(await reading).toBe(digest(Array.from({ length: 300 }, (_, i) => `${i}\n`.repeat(1000)).join('')));
});

function upTo(count: number): string {
  return Array.from({ length: count }, (_, i) => `${i + 1}\n`).join('');
}
