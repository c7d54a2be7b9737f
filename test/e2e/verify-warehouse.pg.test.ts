/** `runner verify` against a warehouse: what is equal is found equal in every way of writing, and what differs is named. */
import { existsSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { byTurns, everyday } from '../harness/everyday.js';
import { differencesById, verified, type Verified, type VerifyOptions } from '../harness/verified.js';
import { explain, succeeded } from '../harness/workspace.js';
import { availableTypes } from './available-types.js';
import { shop } from './seed.js';
import { matrix, settings } from './types-matrix.js';
import { warehouseWorkspace, type WarehouseWorkspace } from './warehouse-workspace.js';

const verify = (at: WarehouseWorkspace, { dest = '', ...options }: Partial<VerifyOptions> = {}): Promise<Verified> => verified(at, { dest: `${at.warehouse.uri}${dest}`, ...options });
const synced = (at: WarehouseWorkspace, args: readonly string[] = []): Promise<unknown> => succeeded(at.sync(args));

const seed = `CREATE TABLE t (id int PRIMARY KEY, v text, n numeric(10,2), at timestamptz DEFAULT now(), big text); INSERT INTO t SELECT i, 'v' || i, i / 4.0, now(), CASE WHEN i % 50 = 0 THEN repeat(md5(i::text), 2000) END FROM generate_series(1, 500) i`;
const changes = `UPDATE t SET v = v || '!' WHERE id % 3 = 0; DELETE FROM t WHERE id % 7 = 0; INSERT INTO t SELECT i, NULL, NULL, NULL FROM generate_series(3000, 3100) i;
  UPDATE t SET id = id + 10000 WHERE id BETWEEN 10 AND 20; UPDATE t SET n = 'NaN', at = 'infinity' WHERE id = 100; TRUNCATE emptied; INSERT INTO emptied VALUES (1)`;

test.each(everyday(['duckdb', 'postgres14'] as const, ['postgres14']))('a value of every type is equal at both ends, and what cannot be held counts as equal and is told: %s', async (kind) => {
  const at = await warehouseWorkspace(kind);
  const { seed: types } = matrix(18, await availableTypes(at.database));
  await at.database.query(`${settings} ${types}`);
  await synced(at);
  const outcome = await verify(at);
  expect(outcome.tables, explain(outcome)).toMatchObject([{ name: 'matrix', equal: true, differing_keys: [] }]);
  expect(outcome.tables[0]!.notes!.join()).toMatch(/\d+ rows hold a null where the destination cannot hold the value/);
  expect(outcome.exitCode, explain(outcome)).toBe(0);
});

describe.each(byTurns(['postgres18', 'duckdb'] as const))('%s', (kind) => {
  test('what was just synced is equal, exit 0; rows that somebody changed, removed, added or doubled are named', async () => {
    const at = await warehouseWorkspace(kind, { seed: shop });
    await synced(at);
    const equal = await verify(at);
    expect(equal.exitCode, explain(equal)).toBe(0);
    expect(equal.tables.map(({ name, source_rows, destination_rows }) => [name, source_rows, destination_rows])).toEqual([['orders', 64, 64], ['customers', 500, 500], ['nothing_yet', 0, 0], ['orders', 3000, 3000]]);
    await at.warehouse.query(`UPDATE public.customers SET name = 'somebody' WHERE id = 7`);
    await at.warehouse.query(`DELETE FROM public.customers WHERE id = 8`);
    await at.warehouse.query(`INSERT INTO public.customers SELECT * FROM public.customers WHERE id = 9`);
    const outcome = await verify(at, { args: ['--streams', 'public.customers'] });
    expect(outcome.exitCode).toBe(1);
    expect(differencesById(outcome.tables[0]!)).toEqual([[7, { kind: 'changed', columns: ['name'] }], [8, { kind: 'missing' }], [9, { kind: 'doubled' }]]);
  });
});

describe.each(byTurns(['duckdb', 'postgres18'] as const))('%s', (kind) => {
  test('a sync that never ran is a config_error, and no file is made for it', async () => {
    const at = await warehouseWorkspace(kind, { seed });
    const outcome = await at.run(['verify', '--source', at.database.url, '--dest', at.warehouse.uri, '--state-dir', at.stateDir, '--json']);
    expect([outcome.exitCode, JSON.stringify(outcome.messages.at(-1))]).toEqual([78, expect.stringContaining('run it first') as string]);
    if (at.warehouse.path !== undefined) expect(existsSync(at.warehouse.path)).toBe(false);
  });
});

// Ways of writing, each where it was not tried in the small (connectors/destination-warehouse/src/tools/digest.test.ts).
test.each(everyday([['duckdb', '', ''], ['postgres18', '?history=scd2', ''], ['postgres18', '', 'cdc/append']] as const, [['postgres18', '?history=scd2', '']]))(
  'change data capture is equal after inserts, updates, deletes, changed keys and a truncate: %s%s %s',
  async (kind, dest, mode) => {
    const query = '?replication=cdc';
    const at = await warehouseWorkspace(kind, { query: dest, seed: `${seed}; CREATE TABLE emptied (id int PRIMARY KEY); INSERT INTO emptied SELECT generate_series(1, 50)` });
    const modes = mode === '' ? [] : ['--mode', `*=${mode}`];
    const args = ['--source', `${at.database.url}${query}`, ...modes];
    await synced(at, args);
    await at.database.query(changes);
    await synced(at, args);
    const outcome = await verify(at, { query, dest, args: modes });
    expect(outcome.exitCode, explain(outcome)).toBe(0);
    const [rows] = await at.database.query<{ count: string }>('SELECT count(*) FROM t');
    expect(outcome.tables).toMatchObject([{ name: 'emptied', equal: true, source_rows: 1, destination_rows: 1 }, { name: 't', equal: true, source_rows: Number(rows!.count), destination_rows: Number(rows!.count) }]);
    if (kind !== 'duckdb') return;
    await at.database.query(`DELETE FROM t WHERE id = 1; UPDATE t SET v = 'later' WHERE id = 2`);
    const behind = await verify(at, { query, dest });
    expect(behind.tables[1]!.differences.map(({ kind: how }) => how).sort()).toEqual(['changed', 'extra']);
  },
);

test('incremental, appended: of several versions of a row the last one counts, and a value that came before its column became text reads the same', async () => {
  const at = await warehouseWorkspace('postgres18', { seed: `CREATE TABLE t (id int PRIMARY KEY, v text, turned int, at int NOT NULL); INSERT INTO t SELECT i, 'one', i, i FROM generate_series(1, 1000) i` });
  const args = ['--mode', 'public.t=incremental:at/append'];
  await synced(at, args);
  await at.database.query(`ALTER TABLE t ALTER turned TYPE text, ALTER at TYPE bigint; UPDATE t SET v = v || '+', turned = turned || 'x', at = at + 1000 WHERE id % 3 = 0`);
  await synced(at, args);
  expect((await verify(at, { args })).tables).toMatchObject([{ equal: true, source_rows: 1000, destination_rows: 1000 }]);
});
