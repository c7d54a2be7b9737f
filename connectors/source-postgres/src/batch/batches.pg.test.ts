import { postgresVersions } from '@tapline/test/everyday';
import { databaseAt, type TestDatabase } from '@tapline/test/services';
import { testDatabase } from '@tapline/test/shared';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { BatchFolder } from '../fixtures/batch-folder.js';
import { replicated, runCdc } from '../fixtures/cdc.js';
import { configOf, configure, discoverAll, readAll, type BatchItem, type Outcome, type ReadOptions } from '../fixtures/harness.js';

describe.each(postgresVersions('batches'))('tables of PostgreSQL %i in batches', (version) => {
  let database: TestDatabase;
  let folder: BatchFolder;
  beforeAll(async () => {
    database = await testDatabase(version);
    folder = await BatchFolder.open();
  });
  afterAll(async () => {
    await folder[Symbol.asyncDispose]();
    await database.drop();
  });

  /** A folder with so little room that every piece of what comes makes a batch. */
  const tight = (): ReadOptions['batches'] => ({ session: { ...folder.session, max_bytes: 64 }, take: (item) => folder.take(item) });
  const valuesOf = async (batches: readonly BatchItem[], sql: string): Promise<(string | null)[]> => {
    const found: (string | null)[] = [];
    for (const batch of batches) found.push(...(await folder.query(`SELECT (${sql})::VARCHAR FROM ${folder.from(batch)} ORDER BY row`)).map(([value]) => value ?? null));
    return found;
  };
  async function table(sql: string, name: string, wish: Parameters<typeof configure>[1][string] = {}): Promise<(options?: Partial<ReadOptions>) => Promise<Outcome>> {
    await database.query(sql);
    const config = configOf(database);
    const streams = configure(await discoverAll(config), { [name]: wish });
    return (options = {}) => readAll({ config, streams, batches: folder, ...options });
  }

  test.each([
    ['bigint', 'g * 3'], ['smallint', 'g'], ['text COLLATE "C"', `'k' || g`], ['bytea', `decode(md5(g::text), 'hex')`], ['timestamptz', `timestamptz '2026-01-01' + g * interval '1.000001 s'`],
  ])('interrupted at any state, a read by a key of %s goes on with every row once', async (type, value) => {
    const run = await table(`DROP TABLE IF EXISTS big; CREATE TABLE big (id ${type}, part int, body text, PRIMARY KEY (part, id));
      INSERT INTO big SELECT ${value}, g % 3, repeat('x', g % 800) FROM generate_series(1, 4000) g`, 'big');
    const all: (string | null)[] = [];
    let states: ReadonlyMap<string, unknown> = new Map();
    let runs = 0;
    for (; runs < 100; runs++) {
      let left = 1 + (runs % 3);
      const outcome = await run({ states, batches: tight()!, stateIntervalMs: 0, stopAfter: (item) => item.kind === 'stream_state' && --left === 0 });
      expect([outcome.failures, outcome.error, outcome.lines]).toEqual([[], undefined, []]);
      all.push(...(await valuesOf(outcome.batches, 'part || \':\' || id::VARCHAR')));
      states = new Map(JSON.parse(JSON.stringify([...outcome.states])) as [string, unknown][]);
      if ((states.get('public.big') as { complete: boolean }).complete) break;
    }
    expect(runs).toBeGreaterThan(3);
    expect(all).toHaveLength(4000);
    expect(new Set(all).size).toBe(4000);
    expect((await run({ states })).batches).toEqual([]);
  });

  test('read by a cursor and interrupted at any state, rows that share a value come once', async () => {
    const run = await table(`CREATE TABLE chopped (id uuid PRIMARY KEY, at numeric, body text);
      INSERT INTO chopped SELECT md5(g::text)::uuid, CASE WHEN g > 5 THEN (g / 370) * 1.5 END, repeat('b', g % 800) FROM generate_series(1, 4000) g`, 'chopped', { sync_mode: 'incremental', cursor_field: ['at'] });
    const all: (string | null)[] = [];
    let states: ReadonlyMap<string, unknown> | undefined;
    let runs = 0;
    for (; runs < 100; runs++) {
      let left = 1 + (runs % 3);
      const outcome = await run({ ...(states && { states }), batches: tight()!, stateIntervalMs: 0, stopAfter: (item) => item.kind === 'stream_state' && --left === 0 });
      all.push(...(await valuesOf(outcome.batches, 'id')));
      states = outcome.states;
      if (runs === 2) await database.query(`INSERT INTO chopped SELECT md5('new' || g)::uuid, $1::numeric, '' FROM generate_series(1, 5) g`, [(states.get('public.chopped') as { value: string }).value]);
      if (outcome.statuses.includes('chopped COMPLETE')) break;
    }
    expect(runs).toBeGreaterThan(3);
    expect(all).toHaveLength(4005);
    expect(new Set(all).size).toBe(4005);
  });

  test('a state comes behind the batches that it speaks of', async () => {
    const run = await table(`CREATE TABLE told (id int PRIMARY KEY, body text); INSERT INTO told SELECT g, repeat('x', 500) FROM generate_series(1, 2000) g`, 'told');
    const { log } = await run({ batches: tight()!, stateIntervalMs: 0 });
    let last: string | null | undefined;
    let states = 0;
    for (const entry of log) {
      if ('batch' in entry) last = (await valuesOf([entry.batch], 'id')).at(-1);
      else if ('state' in entry && !(entry.state as { complete: boolean }).complete) {
        states++;
        expect((entry.state as { after: string[] }).after).toEqual([last]);
      }
    }
    expect(states).toBeGreaterThan(5);
  });

  test('a row of 20 MB passes between small ones, whole, and alone', async () => {
    const run = await table(`CREATE TABLE wide (id int PRIMARY KEY, body text); INSERT INTO wide VALUES (1, 'a'), (2, repeat('0123456789', 2000000)), (3, 'c'), (4, repeat('y', 70000)), (5, 'e')`, 'wide');
    const { batches } = await run();
    expect(await valuesOf(batches, 'id || \' \' || md5(body)')).toEqual(
      (await database.query<{ text: string }>(`SELECT id || ' ' || md5(body) AS text FROM wide ORDER BY id`)).map(({ text }) => text),
    );
    expect(batches[0]!.rows).toBe(1);
  });

  test('a slow table does not keep its rows', async () => {
    // The server sends what fills a buffer of its own.
    const run = await table(`CREATE VIEW slow AS SELECT g AS id, repeat('x', 20000) AS body, pg_sleep(0.5)::text AS waited FROM generate_series(1, 6) g`, 'slow');
    const { batches } = await run();
    expect(batches.length).toBeGreaterThan(1);
    expect(await valuesOf(batches, 'id')).toEqual(['1', '2', '3', '4', '5', '6']);
  });

  test('columns may be called anything and be many; what a batch cannot hold goes as lines', async () => {
    const names = ['a "b"', 'select', 'ünï', 't', 's', 'r', 'A', 'a', 'c1', 'row'];
    const run = await table(`CREATE TABLE odd (${names.map((name) => `"${name.replaceAll('"', '""')}" int`).join(', ')}); INSERT INTO odd VALUES (${names.map((_, i) => i).join(', ')})`, 'odd');
    const [odd] = (await run()).batches;
    expect(odd!.columns).toEqual(names);
    const many = await table(`DO $$ BEGIN EXECUTE (SELECT 'CREATE TABLE many (' || string_agg('c' || g || ' int DEFAULT ' || g, ', ') || ')' FROM generate_series(1, 1500) g); END $$; INSERT INTO many DEFAULT VALUES`, 'many');
    expect(await valuesOf((await many()).batches, 'c1500')).toEqual(['1500']);
    const none = await table('CREATE TABLE nothing (); INSERT INTO nothing DEFAULT VALUES', 'nothing');
    const ours = await table('CREATE TABLE ours (_tapline_values text); INSERT INTO ours VALUES (\'{}\')', 'ours');
    for (const outcome of [await none(), await ours()]) expect([outcome.lines.length, outcome.batches.length, outcome.failures]).toEqual([1, 0, []]);
    const empty = await table('CREATE TABLE empty (id int)', 'empty');
    expect((await empty()).batches).toEqual([]);
  });

  test('a database that does not say what its text is goes as lines', async () => {
    const name = `${database.name}_ascii`;
    await database.query(`CREATE DATABASE ${name} ENCODING 'SQL_ASCII' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'`);
    const ascii = databaseAt(database, name);
    try {
      await ascii.query(`CREATE TABLE t (body text); INSERT INTO t VALUES ('plain')`);
      const config = configOf(ascii);
      const { lines, batches } = await readAll({ config, streams: configure(await discoverAll(config), { t: {} }), batches: folder });
      expect([lines.length, batches.length]).toEqual([1, 0]);
    } finally {
      await ascii.drop();
    }
  });

  test('the copies of change data capture carry what lines do, each row at a place of its own, and changes follow them', async () => {
    const slot = `t_${database.name.replaceAll(/[^a-z0-9]/g, '_')}`;
    const config = configOf(database, { replication: 'cdc', slot, schemas: ['public'], snapshot_range_bytes: 8192 * 20, snapshot_workers: 3 });
    await database.query(`CREATE TABLE copied (id int PRIMARY KEY, body text); INSERT INTO copied SELECT g, repeat('x', g % 900) FROM generate_series(1, 3000) g`);
    const streams = replicated(await discoverAll(config), ['copied']);
    const session = { batch: folder.session };
    const first = await runCdc({ config, streams, session, each: (item) => item.kind === 'batch' && folder.take(item) });
    expect([first.error, first.failures]).toEqual([undefined, []]);
    const batches = first.items.filter((item) => item.kind === 'batch');
    expect(batches.length).toBeGreaterThan(3);
    expect((await valuesOf(batches, 'id')).map(Number).sort((a, b) => a - b)).toEqual(Array.from({ length: 3000 }, (_, i) => i + 1));
    const orders = await valuesOf(batches, '_tapline_order');
    expect(new Set(orders).size).toBe(3000);
    expect(new Set(orders.map((order) => order!.slice(0, 16))).size).toBe(1);
    const lsn = (await valuesOf(batches, '_ab_cdc_lsn'))[0]!;
    expect(orders[0]!.slice(0, 16)).toBe(BigInt(lsn).toString(16).padStart(16, '0'));
    expect(new Set(await valuesOf(batches, `_ab_cdc_updated_at > TIMESTAMPTZ '2020-01-01'`))).toEqual(new Set(['true']));
    // Between begin and complete, as they are of the new generation.
    const kinds = first.items.map((item) => (item.kind === 'generation' ? item.phase : item.kind)).filter((kind) => ['begin', 'complete', 'batch'].includes(kind));
    expect([kinds[0], kinds.at(-1)]).toEqual(['begin', 'complete']);
    await database.query('UPDATE copied SET body = \'new\' WHERE id = 7');
    const second = await runCdc({ config, streams, session, state: first.state, each: (item) => item.kind === 'batch' && folder.take(item) });
    expect(second.rows.get('copied')).toMatchObject([{ id: 7, body: 'new' }]);
    expect(String(second.rows.get('copied')![0]!['_tapline_order']) > orders.map(String).toSorted((a, b) => (a < b ? -1 : 1)).at(-1)!).toBe(true);
    await database.query(`SELECT pg_drop_replication_slot('${slot}')`);
  });
});
