import { spawn } from 'node:child_process';
import { PassThrough, Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { LineWriter } from './line-writer.js';

const outcome = (promise: Promise<void>): Promise<string> =>
  Promise.race([promise.then(() => 'written', (error: NodeJS.ErrnoException) => error.code ?? error.message), sleep(2000, 'hangs')]);

test('messages become lines, in the order of the calls', async () => {
  const stream = new PassThrough();
  const writer = new LineWriter(stream);
  void writer.message({ type: 'LOG', text: 'a\nb' });
  void writer.bytes('raw\n');
  void writer.bytes(Buffer.from('bytes\n'));
  await writer.end();
  expect(stream.read()?.toString()).toBe('{"type":"LOG","text":"a\\nb"}\nraw\nbytes\n');
});

describe('awaiting it', () => {
  test('bounds what lies in memory to one line over the stream\'s own mark', async () => {
    let most = 0;
    const slow = new Writable({ highWaterMark: 1000, write: (_chunk, _encoding, next) => void setTimeout(() => next(), 1) });
    const writer = new LineWriter(slow);
    for (let i = 0; i < 50; i++) {
      await writer.bytes('x'.repeat(400));
      most = Math.max(most, slow.writableLength);
    }
    expect(most).toBeLessThanOrEqual(1400);
  });

  test('many calls at once are all settled by one drain', async () => {
    const slow = new Writable({ highWaterMark: 1, write: (_chunk, _encoding, next) => void setTimeout(() => next(), 1) });
    const writer = new LineWriter(slow);
    await Promise.all(Array.from({ length: 50 }, () => writer.bytes('x\n')));
    expect(slow.listenerCount('drain')).toBe(0);
    expect(slow.writableNeedDrain).toBe(false);
  });
});

describe('a stream that fails', () => {
  test('rejects the call that waits, and every later one', async () => {
    const broken = new Writable({ highWaterMark: 1, write: (_chunk, _encoding, next) => void setTimeout(() => next(Object.assign(new Error('broken'), { code: 'EPIPE' })), 5) });
    const writer = new LineWriter(broken);
    expect([await outcome(writer.bytes('x\n')), await outcome(writer.bytes('y\n')), await outcome(writer.end())]).toEqual(['EPIPE', 'EPIPE', 'EPIPE']);
  });

  test('a reader that ended makes every write fail, none hang', async () => {
    const child = spawn('true', { stdio: ['pipe', 'ignore', 'ignore'] });
    const writer = new LineWriter(child.stdin);
    await new Promise((resolve) => child.once('close', resolve));
    for (let i = 0; i < 3; i++) expect(await outcome(writer.bytes('x'.repeat(100_000)))).toMatch(/EPIPE|ERR_STREAM_DESTROYED/);
    expect(await outcome(writer.end())).toMatch(/EPIPE|ERR_STREAM_DESTROYED/);
  });

  test('a stream destroyed without an error fails the call that waits', async () => {
    const stuck = new Writable({ highWaterMark: 1, write() {} });
    const writer = new LineWriter(stuck);
    const waiting = outcome(writer.bytes('x\n'));
    stuck.destroy();
    expect([await waiting, await outcome(writer.bytes('y\n'))]).toEqual(['ERR_STREAM_DESTROYED', 'ERR_STREAM_DESTROYED']);
  });
});

describe('lines that are lent', () => {
  test('may be overwritten when they are written, however slowly they are taken', async () => {
    const child = spawn('sh', ['-c', 'sleep 0.1; cat'], { stdio: ['pipe', 'pipe', 'inherit'] });
    const writer = new LineWriter(child.stdin);
    const taken: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => taken.push(chunk));
    const ended = new Promise((resolve) => child.once('close', resolve));
    const memory = Buffer.alloc(300_001);
    const sizes = [5, 300_000, 70_000, 1, 200_000];
    for (const [at, size] of sizes.entries()) {
      memory.fill(0x41 + at, 0, size);
      memory[size] = 0x0a;
      await writer.lent(memory.subarray(0, size + 1));
    }
    await writer.end();
    await ended;
    expect(Buffer.concat(taken).toString() === sizes.map((size, at) => `${String.fromCharCode(0x41 + at).repeat(size)}\n`).join('')).toBe(true);
  });

  test('fail where the stream fails, at once or later, and every later call does', async () => {
    const later = new Writable({ write: (_chunk, _encoding, next) => void setTimeout(() => next(Object.assign(new Error('broken'), { code: 'EPIPE' })), 5) });
    const atOnce = new Writable({ write: (_chunk, _encoding, next) => next(Object.assign(new Error('broken'), { code: 'EPIPE' })) });
    for (const stream of [later, atOnce]) {
      const writer = new LineWriter(stream);
      const line = Buffer.from('x\n');
      expect([await outcome(writer.lent(line)), await outcome(writer.lent(line)), await outcome(writer.bytes(line))]).toEqual(['EPIPE', 'EPIPE', 'EPIPE']);
    }
    const stuck = new Writable({ write() {} });
    const waiting = outcome(new LineWriter(stuck).lent(Buffer.from('x\n')));
    stuck.destroy();
    expect(await waiting).toBe('ERR_STREAM_DESTROYED');
  });
});

test('end resolves only when all has left the process', async () => {
  const written: string[] = [];
  const slow = new Writable({ write: (chunk: Buffer, _encoding, next) => void setTimeout(() => { written.push(chunk.toString()); next(); }, 20) });
  const writer = new LineWriter(slow);
  void writer.bytes('a\n');
  void writer.bytes('b\n');
  await writer.end();
  expect(written).toEqual(['a\n', 'b\n']);
});
