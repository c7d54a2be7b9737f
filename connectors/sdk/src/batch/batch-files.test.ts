import { mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { BatchFiles, writeError } from './batch-files.js';

function filesIn({ maxBytes = 100, signal = new AbortController().signal, dir = folder() } = {}) {
  return { dir, there: () => readdirSync(dir).sort(), files: new BatchFiles({ dir, format: 'parquet', max_bytes: maxBytes }, signal) };
}

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'tapline-batch-files-'));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

const bytes = (count: number): Uint8Array[] => [new Uint8Array(count).fill(1)];
/** Has it settled once all that can happen by itself has happened? */
async function waits(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  const note = (): void => void (settled = true);
  promise.then(note, note);
  await sleep(120);
  return !settled;
}

describe('a file', () => {
  test('holds its parts in order, under a name that nobody else has, for this user alone', async () => {
    const { dir, files, there } = filesIn();
    const first = await files.write([Buffer.from('PAR1'), new Uint8Array(0), Buffer.from('x'), Buffer.from('PAR1')]);
    const second = await files.write([Buffer.from('y')]);
    expect([first.bytes, second.bytes]).toEqual([9, 1]);
    expect(there()).toEqual([first.path, second.path]);
    expect(readFileSync(join(dir, first.path), 'utf8')).toBe('PAR1xPAR1');
    expect([first.path.endsWith('.parquet'), statSync(join(dir, first.path)).mode & 0o777]).toEqual([true, 0o600]);
  });

  test('of more parts than the system takes at once is whole', async () => {
    const { dir, files } = filesIn({ maxBytes: 1e6 });
    const parts = Array.from({ length: 3000 }, (_, i) => Buffer.from(`${i},`));
    const { path } = await files.write(parts);
    expect(readFileSync(join(dir, path), 'utf8')).toBe(Buffer.concat(parts).toString());
  });

  test('that fails leaves nothing behind, and names the folder', async () => {
    const { dir, files } = filesIn();
    rmSync(dir, { recursive: true });
    await expect(files.write(bytes(1))).rejects.toMatchObject({ kind: 'system_error', message: expect.stringContaining(dir) as string });
  });

  test('for which the disk has no room is a config_error that says what to do', () => {
    for (const code of ['ENOSPC', 'EDQUOT']) {
      const error = writeError('/ram/batches', Object.assign(new Error(code), { code }));
      expect([error.kind, error.code, error.message]).toEqual(['config_error', 'disk_full', expect.stringMatching(/\/ram\/batches has no room.*--transport json/)]);
    }
  });

  test('of two writers of one process has another name', async () => {
    const dir = folder();
    const [one, two] = [filesIn({ dir }), filesIn({ dir })];
    const written = await Promise.all([one.files.write(bytes(1)), two.files.write(bytes(1)), one.files.write(bytes(1))]);
    expect(new Set(written.map(({ path }) => path)).size).toBe(3);
  });
});

describe('credit', () => {
  test('is what the destination has deleted: while max_bytes lie there the next file waits', async () => {
    const { dir, files, there } = filesIn();
    const [one, two] = [await files.write(bytes(60)), await files.write(bytes(40))];
    const third = files.write(bytes(30));
    expect([await waits(third), there().length]).toEqual([true, 2]);
    rmSync(join(dir, one.path));
    const { path } = await third;
    expect(there()).toEqual([two.path, path]);
  });

  test('comes back in any order, and by moving a file away, too', async () => {
    const { dir, files } = filesIn();
    const [, second] = [await files.write(bytes(60)), await files.write(bytes(40))];
    const third = files.write(bytes(40));
    expect(await waits(third)).toBe(true);
    renameSync(join(dir, second.path), join(folder(), 'taken'));
    await third;
  });

  test('is not asked for while no more than half of max_bytes lies there: a file larger than that never waits for ever', async () => {
    const { files, there } = filesIn();
    await files.write(bytes(50));
    await files.write(bytes(1000));
    expect(there().length).toBe(2);
    expect(await waits(files.write(bytes(1)))).toBe(true);
  });

  test('has a file alone that is larger than all', async () => {
    const { files } = filesIn();
    expect((await files.write(bytes(1000))).bytes).toBe(1000);
  });

  test('goes to writers in the order in which they asked', async () => {
    const { dir, files, there } = filesIn();
    const { path } = await files.write(bytes(100));
    const order: number[] = [];
    const waiting = [1, 2, 3].map((n) => files.write(bytes(10)).then(() => order.push(n)));
    rmSync(join(dir, path));
    await Promise.all(waiting);
    expect([order, there().length]).toEqual([[1, 2, 3], 3]);
  });

  test('lets a source that is asked to stop come to its next state: where there is room it writes, and for a moment it waits for room', async () => {
    const stop = new AbortController();
    const { dir, files, there } = filesIn({ signal: stop.signal });
    const { path } = await files.write(bytes(40));
    stop.abort(new DOMException('SIGTERM received', 'AbortError'));
    await files.write(bytes(40));
    const waiting = files.write(bytes(90));
    rmSync(join(dir, path));
    await waiting;
    expect(there().length).toBe(2);
  });

  test('is not waited for for long once the source is asked to stop: nothing is written', async () => {
    const stop = new AbortController();
    const { files, there } = filesIn({ signal: stop.signal });
    await files.write(bytes(100));
    const waiting = files.write(bytes(10));
    const behind = files.write(bytes(10));
    stop.abort(new DOMException('SIGTERM received', 'AbortError'));
    await expect(waiting).rejects.toMatchObject({ name: 'AbortError' });
    await expect(behind).rejects.toMatchObject({ name: 'AbortError' });
    expect(there().length).toBe(1);
  });
});
