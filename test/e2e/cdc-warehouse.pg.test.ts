/**
 * What change data capture leaves in a warehouse is what the source has, row by row: under random DML and DDL over every type, some of it while
 * a run goes on, some between runs; while a copy runs under load; through a TRUNCATE. CHAOS=full takes every engine and form;
 * DIFFERENTIAL_SEED one seed.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { startCdcServer, type CdcServer } from '../chaos/cdc-world.js';
import { randomOf } from '../chaos/random.js';
import { createWarehouseCdcWorld } from '../chaos/warehouse-cdc-world.js';
import { forms, optionOf, type Form } from '../chaos/warehouse-cdc-verify.js';
import { byTurns } from '../harness/everyday.js';
import { dropSlots } from '../harness/slots.js';
import { testWarehouse, warehouseKinds, type TestWarehouse, type WarehouseKind } from '../harness/warehouse.js';
import { explain, succeeded, workspace } from '../harness/workspace.js';
import { changingSource } from './changing-source.js';
import { mergedDifferences } from './merged.js';

const full = process.env['CHAOS'] === 'full';
const seed = process.env['DIFFERENTIAL_SEED'] ?? String(Date.now() % 1_000_000);
const aliveIn: Readonly<Record<Form, string>> = { hard: 'true', soft: '_ab_cdc_deleted_at IS NULL', scd2: 'is_current' };

async function warehouseOf(kind: WarehouseKind): Promise<TestWarehouse> {
  const at = await testWarehouse(kind);
  onTestFinished(() => at.dispose());
  return at;
}

interface Case {
  readonly version: 14 | 18;
  readonly kind: WarehouseKind;
  readonly form: Form;
}
const everyday: readonly Case[] = [{ version: 18, kind: 'duckdb', form: 'hard' }, { version: 14, kind: 'postgres18', form: 'scd2' }];
const all = warehouseKinds.flatMap((kind) => forms.map((form, i): Case => ({ version: i % 2 === 0 ? 18 : 14, kind, form })));

describe('under random changes of rows and of tables, the merged table equals the source and a fresh copy, value for value', () => {
  test.each(full ? all : [everyday[randomOf(seed).below(everyday.length)]!])('PostgreSQL $version into $kind ($form)', { timeout: 300_000 }, async ({ version, kind, form }) => {
    const { at, client, tables, work, workDuring, explained } = await changingSource(version, randomOf(`${seed} ${version} ${kind} ${form}`), { binary: randomOf(`${seed} form`).below(2) === 0 });
    const merged = await warehouseOf(kind);
    const args = ['--sync', 'stream', '--dest', `${merged.uri}?${optionOf(form)}`, '--flush', '200ms'];

    await work(full ? 40 : 20);
    await succeeded(at.sync(args));
    await work(full ? 20 : 10);
    // Every value of the list by the stream, the keys of all rows changed.
    await client.query(`UPDATE matrix SET id = -1 - id`);
    if (full) await succeeded(at.sync(args));
    await workDuring(args, full ? 40 : 15);
    await work(full ? 20 : 10);
    await succeeded(at.sync(args));

    const fresh = await warehouseOf(kind);
    await succeeded(at.sync(['--sync', 'fresh', '--source', `${at.database.url}?schemas=public`, '--dest', fresh.uri]));
    const found = await mergedDifferences({ merged, alive: aliveIn[form], fresh, source: at.database }, tables);
    expect(found, explained(seed)).toEqual([]);
  });
});

let server: CdcServer;
beforeAll(async () => {
  server = await startCdcServer({ conf: { track_commit_timestamp: 'on' } });
});
afterAll(() => server?.stop());

describe('the copy and the stream meet exactly in the merged table', () => {
  const cases: readonly (readonly [WarehouseKind, Form])[] = full ? warehouseKinds.flatMap((kind) => forms.map((form) => [kind, form] as const)) : byTurns([['postgres14', 'hard'], ['duckdb', 'soft']]);
  test.each(cases)('into %s (%s), with changes and deletions of rows while they are copied, and of rows that were not copied yet', { timeout: 300_000 }, async (kind, form) => {
    const world = await createWarehouseCdcWorld(server, { seed: `copy ${kind} ${form}`, pauseMs: 0, largest: full ? 2_000 : 300, writers: full ? 3 : 2, kind, form });
    onTestFinished(() => world.dispose());
    await world.load.transactions(full ? 40 : 20);
    const stop = new AbortController();
    const writing = world.load.write(stop.signal);
    await succeeded(world.sync().finally(() => stop.abort()));
    await writing;
    expect(await world.damage(), 'after the copy').toEqual([]);
    await world.copied();
    if (full || form === 'hard') {
      await world.load.transactions(10);
      await succeeded(world.sync());
    }
    // Between two transactions of each writer: no reader sees a part of one.
    expect(await world.damage(), 'in the middle of the load').toEqual([]);
    await world.load.finish();
    await succeeded(world.sync());
    expect(await world.finalDamage()).toEqual([]);
  });

  test.each<WarehouseKind>(full ? [...warehouseKinds] : [])('into %s, a table that is added later is copied while the others go on', async (kind) => {
    const world = await createWarehouseCdcWorld(server, { seed: `added ${kind}`, pauseMs: 0, largest: 300, writers: 2, kind, form: 'hard' });
    onTestFinished(() => world.dispose());
    await world.load.transactions(10);
    await succeeded(world.sync({ args: ['--streams', 'public.keyed'] }));
    await world.load.transactions(10);
    const stop = new AbortController();
    const writing = world.load.write(stop.signal);
    await succeeded(world.sync().finally(() => stop.abort()));
    await writing;
    await world.copied();
    await succeeded(world.sync());
    expect(await world.damage()).toEqual([]);
    await world.load.finish();
    await succeeded(world.sync());
    expect(await world.finalDamage()).toEqual([]);
  });

  const refreshes = full ? warehouseKinds.flatMap((kind) => (['hard', 'soft'] as const).flatMap((form) => [1, 2, 4].map((hit) => [kind, form, hit] as const))) : [];
  test.each(refreshes)('into %s (%s), a full refresh of tables that are followed, killed in its commit %i: readers see the old rows until the new ones are whole, and the changes go on', { timeout: 300_000 }, async (kind, form, hit) => {
    const world = await createWarehouseCdcWorld(server, { seed: `refresh ${kind} ${form} ${hit}`, pauseMs: 20, largest: 600, writers: 2, kind, form });
    onTestFinished(() => world.dispose());
    await world.load.transactions(20);
    await succeeded(world.sync());
    await world.copied();
    const stop = new AbortController();
    const writing = world.load.write(stop.signal);
    const marker = join(world.directory, 'fired');
    const killed = await world.sync({ args: ['--full-refresh', '--retries', '0'], failpoints: [`dest.in_commit@${hit}:kill>${marker}`] });
    await readFile(marker, 'utf8').catch(() => expect.fail(`the refresh has fewer than ${hit} commits\n${explain(killed)}`));
    // Whatever of the new rows has come, it is not to be seen: a table is as it was, or whole. They become so one after the other.
    expect((await world.damage()).filter((what) => !what.startsWith('no moment')), 'right after the crash').toEqual([]);
    await succeeded(world.sync());
    stop.abort();
    await writing;
    await succeeded(world.sync());
    expect(await world.damage(), 'after the refresh').toEqual([]);
    await world.load.finish();
    await succeeded(world.sync());
    expect(await world.finalDamage()).toEqual([]);
  });
});

describe('a TRUNCATE in the middle of the stream', () => {
  const cases: readonly (readonly [WarehouseKind, Form])[] = full ? warehouseKinds.flatMap((kind) => forms.map((form) => [kind, form] as const)) : [['duckdb', 'scd2']];
  test.each(cases)('into %s (%s) leaves what came after it; a history keeps what was before, closed', async (kind, form) => {
    const at = await workspace({ query: '?schemas=public&replication=cdc', seed: `CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t SELECT i, 0 FROM generate_series(1, 50) i` });
    onTestFinished(() => dropSlots(at.database));
    const warehouse = await warehouseOf(kind);
    const args = ['--sync', 'stream', '--dest', `${warehouse.uri}?${optionOf(form)}`];
    await succeeded(at.sync(args));
    await at.database.query('UPDATE t SET n = 1');
    await at.database.query('BEGIN; INSERT INTO t VALUES (200, 2); TRUNCATE t; INSERT INTO t SELECT i, 3 FROM generate_series(41, 60) i; COMMIT');
    await at.database.query('UPDATE t SET n = 4 WHERE id = 41; DELETE FROM t WHERE id = 42');
    await succeeded(at.sync(args));
    const rows = await warehouse.query(`SELECT id, n FROM public.t WHERE ${aliveIn[form]} ORDER BY id`);
    expect(rows).toEqual([{ id: 41, n: 4 }, ...Array.from({ length: 18 }, (_, i) => ({ id: 43 + i, n: 3 }))]);
    if (form !== 'scd2') return;
    const [closed] = await warehouse.query(`SELECT count(*) AS n, count(DISTINCT id) AS ids FROM public.t WHERE NOT is_current AND n IN (0, 1) AND valid_to >= valid_from`);
    expect(closed).toEqual({ n: '100', ids: '50' });
  });
});

test('a large value that the log does not carry stands in the merged table under the new name of its column, too, in its run and in later ones', async () => {
  const table = (name: string): string => `CREATE TABLE ${name} (id int PRIMARY KEY, n int, pad text); ALTER TABLE ${name} ALTER pad SET STORAGE EXTERNAL; INSERT INTO ${name} SELECT i, 0, repeat('x', 5000) FROM generate_series(1, 3) i;`;
  const at = await workspace({ query: '?schemas=public&replication=cdc', seed: ['renamed', 'retyped', 'twice'].map(table).join(' ') });
  onTestFinished(() => dropSlots(at.database));
  const warehouse = await warehouseOf('duckdb');
  const args = ['--sync', 'stream', '--dest', warehouse.uri];
  const change = async (id: number): Promise<void> => void (await at.database.query(['renamed', 'retyped', 'twice'].map((name) => `UPDATE ${name} SET n = 1 WHERE id = ${id};`).join(' ')));
  await succeeded(at.sync(args));
  await at.database.query(`ALTER TABLE renamed RENAME pad TO big; ALTER TABLE retyped ALTER pad TYPE jsonb USING to_jsonb(pad); ALTER TABLE twice RENAME pad TO other; UPDATE twice SET other = repeat('y', 6000) WHERE id < 3`);
  await at.database.query('ALTER TABLE twice RENAME other TO pad');
  await change(1);
  await succeeded(at.sync(args));
  await change(2);
  await succeeded(at.sync(args));
  const sizes = async (name: string, column: string): Promise<unknown> => (await warehouse.query(`SELECT id, length("${column}") AS size FROM public.${name} WHERE n = 1 ORDER BY id`)).map((row) => Number(row['size']));
  expect(await sizes('renamed', 'big')).toEqual([5000, 5000]);
  expect(await sizes('retyped', 'pad__json')).toEqual([5002, 5002]);
  expect(await sizes('twice', 'pad')).toEqual([6000, 6000]);
});
