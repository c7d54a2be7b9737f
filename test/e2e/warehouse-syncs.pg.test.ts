/** Into a warehouse through the command line: our own source, and sources of other people. */
import { copyFile, rm } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { byTurns, everyday } from '../harness/everyday.js';
import { fakeSource, type FakeSource } from '../harness/fake-connector.js';
import type { Outcome } from '../harness/tapline.js';
import { columnsIn, quoted, rowsIn, tablesIn, type WarehouseKind, type WarehouseRow } from '../harness/warehouse.js';
import { explain } from '../harness/workspace.js';
import { shop } from './seed.js';
import { warehouseWorkspace, type WarehouseWorkspace } from './warehouse-workspace.js';

const kinds: readonly WarehouseKind[] = ['duckdb', 'postgres18'];

const succeeded = (outcome: Outcome): Outcome => {
  expect(outcome.exitCode, explain(outcome)).toBe(0);
  return outcome;
};
const refused = (outcome: Outcome, ...words: readonly (string | RegExp)[]): void => {
  expect(outcome.exitCode, explain(outcome)).toBe(78);
  for (const word of words) expect(outcome.summary?.error?.message).toMatch(word);
};
const changesOf = (row: WarehouseRow): unknown => (JSON.parse(String(row['_airbyte_meta'])) as { changes: unknown }).changes;

const countOf = async (at: WarehouseWorkspace, schema: string, table: string, key = 'id'): Promise<string> => {
  const [row] = await at.warehouse.query(`SELECT count(*) AS n, count(DISTINCT ${quoted(key)}) AS d FROM ${quoted(schema, table)}`);
  return `${row!['n']} rows, ${row!['d']} distinct`;
};
const upTo = (count: number): FakeSource => ({ read: `for (let id = (saved?.id ?? 0) + 1; id <= ${count}; id++) record({ id, word: 'w' }); state({ id: ${count} }); status('COMPLETE');` });
const homeOf = (kind: WarehouseKind): string => (kind === 'duckdb' ? 'main' : 'public');

describe.each(kinds)('%s', (kind) => {
  test('a database arrives table by table with native types, comes again without doubling, and a second sync may not touch its tables', async () => {
    const at = await warehouseWorkspace(kind, { seed: shop });
    const first = succeeded(await at.sync());
    expect(first.summary).toMatchObject({ status: 'succeeded', records: 3564 });
    expect(first.summary?.sync).toMatch(/^postgres-to-warehouse-[0-9a-f]{8}$/);
    expect(await tablesIn(at.warehouse)).toEqual(['billing.orders', 'public.customers', 'public.nothing_yet', 'public.orders']);
    const types = await columnsIn(at.warehouse, 'public', 'customers');
    expect(types).toMatchObject(
      kind === 'duckdb'
        ? { id: 'INTEGER', name: 'VARCHAR', vip: 'BOOLEAN', credit: 'DECIMAL(12,2)', created: 'TIMESTAMP WITH TIME ZONE' }
        : { id: 'integer', name: 'text', vip: 'boolean', credit: 'numeric', created: 'timestamp with time zone' },
    );
    expect((await rowsIn(at.warehouse, 'public', 'customers', '"id"'))[6]).toMatchObject({ id: 7, name: 'Customer 7', vip: true, credit: '8.75', created: '2026-01-01T07:00:00.000000' });
    await at.database.query(`DELETE FROM customers WHERE id > 400; UPDATE customers SET vip = NULL WHERE id = 7`);
    const tableId = async () => (kind === 'duckdb' ? [] : at.warehouse.query(`SELECT 'public.customers'::regclass::oid AS oid`));
    const before = await tableId();
    succeeded(await at.sync());
    expect(await countOf(at, 'public', 'customers')).toBe('400 rows, 400 distinct');
    if (kind !== 'duckdb') expect(await tableId(), 'a new table').not.toEqual(before);
    expect(await countOf(at, 'billing', 'orders', 'number')).toBe('64 rows, 64 distinct');
    refused(await at.sync(['--sync', 'another', '--streams', 'public.customers']), /public\.customers/, /another|postgres-to-/);
    expect(await countOf(at, 'public', 'customers')).toBe('400 rows, 400 distinct');
    if (kind !== 'duckdb') {
      const [statistics] = await at.warehouse.query(`SELECT reltuples AS n FROM pg_class WHERE oid = 'public.orders'::regclass`);
      expect(statistics!['n'], 'statistics are fresh').toBe(3000);
    }
  });
});

// Each engine's statements are tried in the small, every day (connectors/destination-warehouse/src/sink, tables, load).
describe.each(byTurns(kinds))('%s', (kind) => {
  const home = homeOf(kind);

  test('incremental: merged where a key is known, so that no row is there twice; appended where there is none, and said so', async () => {
    const at = await warehouseWorkspace(kind, { seed: `${shop} CREATE TABLE log (at int NOT NULL, line text); INSERT INTO log SELECT i / 10, 'line ' || i FROM generate_series(1, 100) i` });
    const args = ['--sync', 'inc', '--streams', 'public.orders,public.log', '--mode', 'public.orders=incremental:updated_at', '--mode', 'public.log=incremental:at'];
    succeeded(await at.sync(args));
    await at.database.query(`UPDATE orders SET note = 'changed', updated_at = '2026-03-01Z' WHERE id <= 100; INSERT INTO orders VALUES (9999, 1, 'new', '2026-03-02Z'); INSERT INTO log VALUES (11, 'later')`);
    succeeded(await at.sync(args));
    expect(await countOf(at, 'public', 'orders')).toBe('3001 rows, 3001 distinct');
    expect(await at.warehouse.query(`SELECT count(*) AS n FROM public.orders WHERE note = 'changed'`)).toEqual([{ n: '100' }]);
    expect((await countOf(at, 'public', 'log', 'line')).endsWith('101 distinct')).toBe(true);
    const key = await at.warehouse.query(`SELECT table_name FROM information_schema.table_constraints WHERE constraint_type = 'PRIMARY KEY' AND table_schema = 'public'`);
    if (kind !== 'duckdb') expect(key).toEqual([{ table_name: 'orders' }]);
  });

  test('a table that changes between runs: freeze refuses and says what changed, evolve follows, and no row is lost between them', async () => {
    const at = await warehouseWorkspace(kind, { seed: `CREATE TABLE t (id int PRIMARY KEY, small int, turned int, gone text); INSERT INTO t VALUES (1, 1, 1, 'kept')` });
    const sync = (policy: string) => at.sync(['--dest', `${at.warehouse.uri}?schema=${policy}`, '--sync', 'changing', '--mode', 'public.t=incremental:id', '--retries', '0']);
    succeeded(await sync('freeze'));
    await at.database.query(
      `ALTER TABLE t ADD COLUMN added numeric(5,2), DROP COLUMN gone, ALTER COLUMN small TYPE bigint, ALTER COLUMN turned TYPE text; INSERT INTO t (id, small, turned, added) VALUES (2, 9007199254740993, 'two', 1.5)`,
    );
    refused(await sync('freeze'), /public\.t/, /added/, /small/, /turned/);
    expect(await rowsIn(at.warehouse, 'public', 't')).toHaveLength(1);
    succeeded(await sync('evolve'));
    expect(await rowsIn(at.warehouse, 'public', 't', '"id"')).toMatchObject([
      { id: 1, small: '1', turned: 1, turned__text: null, gone: 'kept', added: null },
      { id: 2, small: '9007199254740993', turned: null, turned__text: 'two', gone: null, added: '1.50' },
    ]);
  });

  test('a warehouse that was emptied, or restored from yesterday, is recognised, and the ways on lead on', async () => {
    const at = await warehouseWorkspace(kind);
    const { path } = at.warehouse;
    const sync = async (count: number, ...more: readonly string[]) => at.sync(['--source', await fakeSource(at.directory, upTo(count)), '--sync', 'restored', '--mode', 'items=incremental:id', ...more]);
    succeeded(await sync(100));
    const keep = path ? () => copyFile(path, `${path}.yesterday`) : () => at.warehouse.query('CREATE SCHEMA yesterday; CREATE TABLE yesterday.checkpoint AS TABLE _tapline._tapline_checkpoint');
    const restore = path
      ? () => copyFile(`${path}.yesterday`, path)
      : () => at.warehouse.query('DELETE FROM _tapline._tapline_checkpoint; INSERT INTO _tapline._tapline_checkpoint SELECT * FROM yesterday.checkpoint');
    await keep();
    succeeded(await sync(101));
    await restore();
    refused(await sync(102), /--from-destination/, /--full-refresh/);
    succeeded(await sync(102, '--from-destination'));
    expect(await countOf(at, home, 'items')).toBe('102 rows, 102 distinct');
    if (path) await rm(path);
    else await at.warehouse.query('DROP SCHEMA _tapline CASCADE; DROP TABLE public.items');
    refused(await sync(103), /--full-refresh/);
    succeeded(await sync(103, '--full-refresh'));
    expect(await countOf(at, home, 'items')).toBe('103 rows, 103 distinct');
  });
});

// What no engine has to do with: on both by CHAOS=full.
describe.each(everyday(kinds, ['duckdb']))('%s', (kind) => {
  const home = homeOf(kind);

  test('a stream that changes in the middle of a run: columns appear and widen between two records, and later ones have them', async () => {
    const at = await warehouseWorkspace(kind);
    const properties = (more: string) => `{ id: { type: 'integer', tapline_type: 'int32' }, word: { type: ['null', 'string'], tapline_type: 'text' }${more} }`;
    const source = await fakeSource(at.directory, {
      spec: `send('SPEC', { spec: { connectionSpecification: { type: 'object', properties: {} }, supportsIncremental: true, tapline: { version: 1, extensions: ['schema'] } } });`,
      always: `stream.json_schema.properties = ${properties('')};`,
      read: `record({ id: 1, word: 'a' }); state({ id: 1 });
        stream.json_schema.properties = ${properties(`, more: { type: ['null', 'string'], tapline_type: 'date' }`)}; stream.json_schema.properties.id.tapline_type = 'int64';
        send('TAPLINE', { tapline: { type: 'SCHEMA', schema_version: 2, stream } });
        record({ id: 5000000000, word: 'b', more: '2026-11-20' }); state({ id: 2 }); status('COMPLETE');`,
    });
    succeeded(await at.sync(['--source', source, '--mode', 'items=incremental:id']));
    expect((await rowsIn(at.warehouse, home, 'items', '"id"')).map((row) => [row['id'], row['word'], row['more']])).toEqual([['1', 'a', null], ['5000000000', 'b', '2026-11-20']]);
  });

  describe('sources of other people', () => {
    const started = async (fake: FakeSource) => {
      const at = await warehouseWorkspace(kind);
      const source = await fakeSource(at.directory, fake);
      return { at, sync: (args: readonly string[] = []) => at.sync(['--source', source, '--sync', 'theirs', '--retries', '0', '--mode', 'items=incremental:id/append_dedup', ...args]) };
    };
    const wordsIn = async (at: WarehouseWorkspace): Promise<unknown[]> => (await rowsIn(at.warehouse, home, 'items', '"word"')).map((row) => [row['id'], row['word']]);

    test('legacy states, records out of order, undeclared fields, a word of junk: one row a key, and the state is kept', async () => {
      const { at, sync } = await started({
        read: `line('Traceback: nothing to worry about'); record({ id: 3, word: 'c', extra: [1] }); record({ id: 1, word: 'a' }); record({ id: 2, word: 'b' }); record({ id: 1, word: 'a again' });
          line(JSON.stringify({ type: 'STATE', state: { data: { cursor: 3 } } }));`,
      });
      const outcome = succeeded(await sync());
      expect(outcome.summary).toMatchObject({ records: 4, states_saved: 1 });
      expect(await wordsIn(at)).toEqual([['1', 'a again'], ['2', 'b'], ['3', 'c']]);
      const [row] = await at.warehouse.query(`SELECT "_tapline_extra" AS extra FROM ${quoted(home, 'items')} WHERE id = 3`);
      expect(JSON.parse(String(row!['extra']))).toEqual({ extra: [1] });
      expect(outcome.stderr).toMatch(/extra/);
      expect(((await at.state('theirs'))['states'] as string[]).map((state) => JSON.parse(state) as unknown)).toMatchObject([{ data: { cursor: 3 } }]);
      succeeded(await sync());
      expect(await wordsIn(at)).toEqual([['1', 'a again'], ['2', 'b'], ['3', 'c']]);
    });

    test('a key that is null throughout fails the stream by its name, and nothing of the commit is there', async () => {
      const { at, sync } = await started({ read: `record({ id: 1, word: 'a' }); record({ id: null, word: 'nobody' }); state({ id: 1 }); status('COMPLETE');` });
      const outcome = await sync();
      expect([76, 78], explain(outcome)).toContain(outcome.exitCode);
      expect(outcome.summary?.error?.message).toMatch(/items/);
      expect(outcome.summary?.error?.message).toMatch(/key/);
      expect(outcome.stdout + outcome.stderr, 'no values').not.toContain('nobody');
      if ((await tablesIn(at.warehouse)).includes(`${home}.items`)) expect(await wordsIn(at)).toEqual([]);
    });

    test('bad values: fail ends the run with stream, field and how many; quarantine takes the rows, lists each value besides, and the summary counts them', async () => {
      const { at, sync } = await started({
        read: `record({ id: 1, word: 'a', n: 1 }); record({ id: 2, word: 'b', n: 'many' }); record({ id: 3, word: 'c', n: 1.5 }); state({ id: 3 }); status('COMPLETE');`,
        always: `stream.json_schema.properties.n = { type: 'integer' };`,
      });
      const failed = await sync(['--dest', `${at.warehouse.uri}?bad_values=fail`]);
      refused(failed, /items/, /\bn\b/, /\b2\b/);
      expect(failed.stdout + failed.stderr, 'no value is told').not.toContain('many"');
      if ((await tablesIn(at.warehouse)).includes(`${home}.items`)) expect(await rowsIn(at.warehouse, home, 'items')).toEqual([]);

      expect(succeeded(await sync(['--dest', `${at.warehouse.uri}?bad_values=quarantine`])).summary).toMatchObject({ records: 3, nulled_values: 2 });
      const rows = await rowsIn(at.warehouse, home, 'items', '"id"');
      expect(rows.map((row) => row['n'])).toEqual(['1', null, null]);
      expect(rows.map(changesOf)).toEqual([[], ...[2, 3].map(() => [{ field: 'n', change: 'NULLED', reason: 'DESTINATION_TYPECAST_ERROR' }])]);
      const listed = await at.warehouse.query(`SELECT "stream", "key", "field", "reason", "run" FROM _tapline._tapline_quarantine ORDER BY "key"`);
      expect(listed.map((row) => [row['stream'], JSON.parse(String(row['key'])), row['field'], row['reason']])).toEqual([2, 3].map((id) => ['items', { id }, 'n', 'DESTINATION_TYPECAST_ERROR']));
      for (const row of listed) expect(row['run']).toMatch(/./);
    });
  });

  /** Items up to that number, from where the state is. */

  test('post_sql runs after the load, in order, and one that fails is named; what was loaded stays', async () => {
    const at = await warehouseWorkspace(kind);
    const sync = async (count: number, post_sql: readonly string[]) =>
      at.sync(['--source', await fakeSource(at.directory, upTo(count)), '--sync', 'hooks', '--mode', 'items=incremental:id', '--retries', '0', ...(await at.destConfig({ post_sql }))]);
    succeeded(await sync(71, ['CREATE SCHEMA IF NOT EXISTS marts', 'DROP TABLE IF EXISTS marts.copies', `CREATE TABLE marts.copies AS SELECT id FROM ${home}.items`]));
    expect(await countOf(at, 'marts', 'copies')).toBe('71 rows, 71 distinct');
    refused(await sync(80, ['INSERT INTO marts.copies SELECT id FROM items', 'SELECT * FROM nowhere_at_all']), /statement 2 of post_sql/, /nowhere_at_all/);
    expect(await countOf(at, home, 'items')).toBe('80 rows, 80 distinct');
    expect(await countOf(at, 'marts', 'copies')).toBe('151 rows, 80 distinct');
  });

  test('a pattern names the tables; two streams that it brings to one table are refused, both named', async () => {
    const at = await warehouseWorkspace(kind, { seed: shop });
    const sync = async (options: object, sync: string) => at.sync(['--sync', sync, '--retries', '0', ...(await at.destConfig(options))]);
    succeeded(await sync({ schema_name: 'raw', table_name: '{namespace}_{stream}' }, 'patterned'));
    expect(await tablesIn(at.warehouse)).toEqual(['raw.billing_orders', 'raw.public_customers', 'raw.public_nothing_yet', 'raw.public_orders']);
    refused(await sync({ schema_name: 'flat', table_name: '{stream}' }, 'clashing'), /billing\.orders/, /public\.orders/);
  });
});
