import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { acquireLock } from './lock.js';
import { identify, isAlive } from './process-identity.js';
import { StateStore } from './state-store.js';
import type { StoredState } from './stored-state.js';

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'store-test-'));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}
const body = (name: string, n: number): string => `{"type":"STREAM","stream":{"stream_descriptor":{"name":"${name}"},"stream_state":{"n":${n}}}}`;
const stateOf = (id: number, run = 'r'): StoredState => ({
  v: 1, state_id: id, run_id: run, epoch: 0, source: '', catalog_hash: '', saved_at: '', states: [body('a', id)], generations: {},
});

describe('the state of a sync', () => {
  test('reads back byte for byte, and leaves only whole .json files', async () => {
    const store = new StateStore(join(folder(), 'x'));
    const odd = '{"type":"STREAM","stream":{"stream_descriptor":{"name":"a"},"stream_state":{"big":12345678901234567890.10}}}';
    await store.save({ ...stateOf(1), states: [odd] });
    expect((await store.load())?.states).toEqual([odd]);
    expect(readdirSync(store.directory).sort()).toEqual(['history', 'state.json']);
  });

  test('that never was is undefined', async () => {
    expect(await new StateStore(join(folder(), 'x')).load()).toBeUndefined();
  });

  test.each(['', '{"v":1,"sta', '[]', '{"v":2}', JSON.stringify({ ...stateOf(1), states: ['{'] })])('that is damaged is a config_error with the ways on: %s', async (text) => {
    const store = new StateStore(folder(), 'shop');
    writeFileSync(store.path, text);
    await expect(store.load()).rejects.toMatchObject({ kind: 'config_error', message: expect.stringMatching(/state\.json.*--from-destination.*runner state reset shop/s) });
  });

  test('keeps the newest 20 in its history, and the last of each of 20 runs', async () => {
    const store = new StateStore(join(folder(), 'x'));
    for (let id = 1; id <= 130; id++) await store.save(stateOf(id, `run ${Math.ceil(id / 2)}`));
    const ids = (await new StateStore(store.directory).history()).map(({ id }) => id);
    expect(ids).toHaveLength(40);
    expect([ids.at(-1), ids.at(-20), ids.at(-21), ids.at(-22), ids[0]]).toEqual([130, 111, 110, 108, 72]);
    expect((await store.fromHistory(72)).states).toEqual([body('a', 72)]);
  });

  test('cannot be set to what is no state, or a mixture', async () => {
    const store = new StateStore(join(folder(), 'x'));
    await expect(store.set(['{"type":"STREAM"}'])).rejects.toThrow();
    await expect(store.set(['{"data":{}}', body('a', 1)])).rejects.toThrow();
    expect(await store.overrides()).toBeUndefined();
  });

  test('lists the syncs of a state directory', async () => {
    const path = folder();
    await new StateStore(join(path, 'b')).save(stateOf(1));
    await new StateStore(join(path, 'a')).reset();
    mkdirSync(join(path, 'c'));
    expect(await StateStore.syncs(path)).toEqual(['a', 'b']);
  });
});

describe('the lock', () => {
  test('is had by one at a time, and is free after its release', async () => {
    const path = folder();
    const lock = await acquireLock(path, 'x');
    await expect(acquireLock(path, 'x')).rejects.toMatchObject({ kind: 'transient_error', code: 'locked', message: expect.stringContaining(`process ${process.pid}`) });
    await lock.release();
    await (await acquireLock(path, 'x')).release();
    expect(readdirSync(path)).toEqual([]);
  });

  test.each([
    ['is dead', { pid: 2 ** 22 - 1, start: '1', boot: '' }],
    ['had the number of a process that runs now', { ...identify(process.pid), start: '1' }],
    ['ran before the machine was restarted', { ...identify(process.pid), boot: 'another' }],
  ])('is taken over when its owner %s', async (_, owner) => {
    const path = folder();
    writeFileSync(join(path, 'lock'), JSON.stringify(owner));
    await (await acquireLock(path, 'x')).release();
  });

  test('of a dead owner goes to one of many that want it at once', async () => {
    const path = folder();
    writeFileSync(join(path, 'lock'), JSON.stringify({ pid: 2 ** 22 - 1, start: '1', boot: '' }));
    const tries = await Promise.allSettled(Array.from({ length: 20 }, () => acquireLock(path, 'x')));
    expect(tries.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  });
});

test('a process is known by number and start; an ended one is not alive', async () => {
  const child = spawn('sleep', ['60']);
  await new Promise((resolve) => child.once('spawn', resolve));
  const identity = identify(child.pid!);
  expect(isAlive(identity)).toBe(true);
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await ended;
  expect(isAlive(identity)).toBe(false);
});
