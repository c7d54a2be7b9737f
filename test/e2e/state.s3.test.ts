import { cp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { everyday } from '../harness/everyday.js';
import { rowsOf, type Lake } from '../harness/lake.js';
import { explain, workspace } from '../harness/workspace.js';
import { shop } from './seed.js';

const incremental = ['--streams', 'public.orders', '--mode', 'public.orders=incremental:updated_at', '--sync', 'orders'];
const ids = async (lake: Lake) => (await rowsOf(lake, 'public', 'orders')).map((row) => Number(row['id'])).sort((a, b) => a - b);
const upTo = (n: number) => Array.from({ length: n }, (_, i) => i + 1);
const more = (from: number, to: number) =>
  `INSERT INTO orders SELECT i, 1, 'more', '2027-01-01T00:00:00Z'::timestamptz + i * interval '1 second' FROM generate_series(${from}, ${to}) i`;

/** Takes a copy of the lake and gives what puts it back: a restored back-up. */
async function backUp(lake: Lake): Promise<() => Promise<void>> {
  const saved = new Map<string, Buffer>();
  for (const key of await lake.keys()) saved.set(key, await lake.read(key));
  return async () => {
    for (const key of await lake.keys()) await lake.remove(key);
    for (const [key, content] of saved) await lake.write(key, content);
  };
}

describe('runner and destination compare what they hold', () => {
  test.each(everyday(['folder', 'S3'] as const, ['S3']))('the runner lost its state directory: it takes the destination’s state, and no row comes twice', async (kind) => {
    const at = await workspace({ lake: kind, seed: shop });
    expect((await at.sync(incremental)).summary).toMatchObject({ records: 3000 });
    await rm(at.stateDir, { recursive: true });
    await at.database.query(more(3001, 3010));
    const outcome = await at.sync(incremental);
    expect(outcome.exitCode, explain(outcome)).toBe(0);
    expect(outcome.summary).toMatchObject({ records: 10 });
    expect(await ids(at.lake)).toEqual(upTo(3010));
  });

  test('the destination is ahead of the runner: its word is taken', async () => {
    const at = await workspace({ lake: 'S3', seed: shop });
    await at.sync(incremental);
    await cp(at.stateDir, `${at.stateDir}.old`, { recursive: true });
    await at.database.query(more(3001, 3010));
    await at.sync(incremental);
    await rm(at.stateDir, { recursive: true });
    await cp(`${at.stateDir}.old`, at.stateDir, { recursive: true });
    await at.database.query(more(3011, 3015));
    const outcome = await at.sync(incremental);
    expect(outcome.exitCode, explain(outcome)).toBe(0);
    expect(outcome.summary).toMatchObject({ records: 5 });
    expect(await ids(at.lake)).toEqual(upTo(3015));
  });

  test.each([['restored', 'folder'], ['emptied', 'S3']] as const)('a destination that was %s stops the run and names both ways on; each of them works', async (what, kind) => {
    const at = await workspace({ lake: kind, seed: shop });
    await at.sync(incremental);
    const restore = await backUp(at.lake);
    await at.database.query(more(3001, 3010));
    await at.sync(incremental);
    if (what === 'restored') await restore();
    else for (const key of await at.lake.keys()) await at.lake.remove(key);
    await at.database.query(more(3011, 3015));
    const left = (await ids(at.lake)).length;

    const stopped = await at.sync(incremental);
    expect(stopped.exitCode, explain(stopped)).toBe(78);
    expect(stopped.summary).toMatchObject({ status: 'failed', error: { kind: 'config_error' } });
    for (const way of ['--from-destination', '--full-refresh']) expect(stopped.summary?.error?.message).toContain(way);
    expect((await ids(at.lake)).length, 'nothing was written').toBe(left);
    if (what === 'restored') expect((await at.sync(incremental)).exitCode, 'it stays stopped').toBe(78);

    const way = what === 'restored' ? '--from-destination' : '--full-refresh';
    const outcome = await at.sync([...incremental, way]);
    expect(outcome.exitCode, explain(outcome)).toBe(0);
    expect(await ids(at.lake)).toEqual(upTo(3015));
    const next = await at.sync(incremental);
    expect(next.summary, explain(next)).toMatchObject({ status: 'succeeded', records: 0 });
  });

  test('--full-refresh of an incremental stream begins a generation: the old rows leave, and the cursor goes on from the new one', async () => {
    const at = await workspace({ lake: 'folder', seed: shop });
    await at.sync(incremental);
    await at.database.query('DELETE FROM orders WHERE id <= 1000');
    const outcome = await at.sync([...incremental, '--full-refresh']);
    expect(outcome.exitCode, explain(outcome)).toBe(0);
    const rows = await rowsOf(at.lake, 'public', 'orders');
    expect(rows).toHaveLength(2000);
    expect(new Set(rows.map((row) => row['_airbyte_generation_id']))).toEqual(new Set([2n]));
    await at.database.query(more(3001, 3010));
    expect((await at.sync(incremental)).summary).toMatchObject({ records: 10 });
    expect(await ids(at.lake)).toEqual(upTo(3010).slice(1000));
  });

  test('another source never inherits a state', async () => {
    const at = await workspace({ lake: 'S3', seed: shop });
    await at.sync(incremental);
    const other = await workspace({ seed: shop });
    const outcome = await at.sync(['--source', other.database.url, ...incremental]);
    expect(outcome.exitCode, explain(outcome)).toBe(78);
    expect(outcome.summary?.error?.message).toMatch(/another (source|database)|different (source|database)|identity/i);
    expect(await ids(at.lake)).toEqual(upTo(3000));
    // Nor when only the destination remembers.
    await rm(at.stateDir, { recursive: true });
    const again = await at.sync(['--source', other.database.url, ...incremental]);
    expect(again.exitCode, explain(again)).toBe(78);
    expect(await ids(at.lake)).toEqual(upTo(3000));
  });
});

describe('the state directory', () => {
  test('holds state.json with what the contract names, history, and nothing half written', async () => {
    const at = await workspace({ seed: shop });
    await at.sync(incremental);
    const state = await at.state('orders');
    expect(state).toMatchObject({ v: 1, state_id: expect.any(Number) as number, run_id: expect.any(String) as string, epoch: expect.any(Number) as number, source: expect.any(String) as string, catalog_hash: expect.any(String) as string });
    const states = state['states'] as string[];
    expect(states).toHaveLength(1);
    expect(JSON.parse(states[0]!)).toMatchObject({ type: 'STREAM', stream: { stream_descriptor: { name: 'orders', namespace: 'public' } } });
    const files = (await readdir(at.stateDir, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
    for (const file of files.filter((entry) => entry.name.endsWith('.json'))) JSON.parse(await readFile(join(file.parentPath, file.name), 'utf8'));
    expect(files.some((file) => file.parentPath.endsWith('history'))).toBe(true);
    expect(files.filter((file) => file.name === 'lock'), 'the lock is gone after the run').toEqual([]);
  });

  test('a state file that is cut off is a clear error, and the destination still knows', async () => {
    const at = await workspace({ seed: shop });
    await at.sync(incremental);
    const file = join(at.stateDir, 'orders', 'state.json');
    const text = await readFile(file, 'utf8');
    await writeFile(file, text.slice(0, text.length / 2));
    const outcome = await at.sync(incremental);
    expect(outcome.exitCode, explain(outcome)).toBe(78);
    expect(outcome.summary?.error?.message).toContain('state.json');
    expect(outcome.summary?.error?.message).toMatch(/--from-destination|history/);
    expect(await ids(at.lake)).toEqual(upTo(3000));
    const saved = await at.sync([...incremental, '--from-destination']);
    expect(saved.exitCode, explain(saved)).toBe(0);
    expect(saved.summary).toMatchObject({ records: 0 });
  });

  test('state list, show, set and reset: what a user types is taken as meant at the next run', async () => {
    const at = await workspace({ seed: shop });
    await at.sync(incremental);
    const dir = ['--state-dir', at.stateDir];
    const list = await at.run(['state', 'list', ...dir]);
    expect(list.exitCode, explain(list)).toBe(0);
    expect(list.stdout).toContain('orders');
    const show = await at.run(['state', 'show', 'orders', ...dir]);
    expect(show.exitCode, explain(show)).toBe(0);
    expect(show.stdout).toMatch(/public\.orders.*2026-02-01.00:05:00/);
    const before = (await at.state('orders'))['states'] as string[];
    const file = join(at.directory, 'kept.json');
    await writeFile(file, `[${before.join(',')}]`);

    const reset = await at.run(['state', 'reset', 'orders', ...dir]);
    expect(reset.exitCode, explain(reset)).toBe(0);
    const afresh = await at.sync(incremental);
    expect(afresh.exitCode, explain(afresh)).toBe(0);
    expect(afresh.summary, 'from the start again').toMatchObject({ records: 3000 });

    await at.database.query(more(3001, 3010));
    expect((await at.sync(incremental)).summary).toMatchObject({ records: 10 });
    const set = await at.run(['state', 'set', 'orders', file, ...dir]);
    expect(set.exitCode, explain(set)).toBe(0);
    const again = await at.sync(incremental);
    expect(again.exitCode, explain(again)).toBe(0);
    expect(again.summary, 'from where the set state says').toMatchObject({ records: 10 });
  });
});
