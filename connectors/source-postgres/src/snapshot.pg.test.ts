import { postgresVersions } from '@tapline/test/everyday';
import type { TestDatabase } from '@tapline/test/services';
import { testDatabase } from '@tapline/test/shared';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { configOf, configure, discoverAll, readAll } from './fixtures/harness.js';

describe.each(postgresVersions('snapshot'))('full refresh of PostgreSQL %i', (version) => {
  let database: TestDatabase;
  beforeAll(async () => { database = await testDatabase(version); });
  afterAll(() => database.drop());
  const tables = async (sql: string, extra: Record<string, unknown> = {}) => {
    await database.query(sql);
    const config = configOf(database, { block_bytes: 1024, ...extra });
    return { config, catalog: await discoverAll(config) };
  };

  test('columns may be called anything: quotes, keywords, spaces, 63 bytes, our own aliases', async () => {
    const names = ['select', 'a"b', "it's", '  ', '1', 'ä'.repeat(31) + 'x', 'r', 's', 't', 'data', '__proto__', 'Mixed', 'mixed', '${x}', 'a.b', '\\', 'row_to_json'];
    const quoted = names.map((name) => `"${name.replaceAll('"', '""')}"`);
    const { config, catalog } = await tables(`CREATE TABLE "odd ""name""" (${quoted.map((name, i) => `${name} int DEFAULT ${i}`).join(', ')}); INSERT INTO "odd ""name""" DEFAULT VALUES`);
    const { rows, failures } = await readAll({ config, streams: configure(catalog, { 'odd "name"': {} }) });
    expect(failures).toEqual([]);
    expect(Object.entries(rows()[0]!)).toEqual(Object.entries(Object.fromEntries(names.map((name, i) => [name, i]))));
  });

  test('a table without columns, one without rows, and two that differ in case only', async () => {
    const { config, catalog } = await tables(`CREATE TABLE nocols (); INSERT INTO nocols DEFAULT VALUES; INSERT INTO nocols DEFAULT VALUES;
      CREATE TABLE norows (id int PRIMARY KEY); CREATE TABLE "Case" (a int); CREATE TABLE "case" (b int); INSERT INTO "Case" VALUES (1); INSERT INTO "case" VALUES (2)`);
    const { log, failures } = await readAll({ config, streams: configure(catalog, { nocols: {}, norows: {}, Case: {}, case: {} }) });
    expect(failures).toEqual([]);
    const complete = { state: { v: 1, mode: 'snapshot', complete: true } };
    expect(log).toMatchObject([{ record: {} }, { record: {} }, complete, complete, { record: { a: 1 } }, complete, { record: { b: 2 } }, complete]);
  });

  test('dropped columns are gone, generated ones are there, children by inheritance come once', async () => {
    const { config, catalog } = await tables(`CREATE TABLE parent (id int, gone int, twice int GENERATED ALWAYS AS (id * 2) STORED); ALTER TABLE parent DROP COLUMN gone;
      CREATE TABLE child () INHERITS (parent); INSERT INTO parent (id) VALUES (1); INSERT INTO child (id) VALUES (2)`);
    const { rows } = await readAll({ config, streams: configure(catalog, { parent: {}, child: {} }) });
    expect(rows()).toEqual([{ id: 1, twice: 2 }, { id: 2, twice: 4 }]);
  });

  test('views, materialized views and partitioned roots are read; a partition names its root', async () => {
    const { config, catalog } = await tables(`CREATE TABLE base (id int PRIMARY KEY); INSERT INTO base VALUES (1), (2);
      CREATE VIEW a_view AS SELECT id, b AS whole FROM base b; CREATE MATERIALIZED VIEW a_matview AS SELECT * FROM base;
      CREATE TABLE events (id int, day date, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
      CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2026-02-01') PARTITION BY LIST (id);
      CREATE TABLE events_1_1 PARTITION OF events_1 FOR VALUES IN (1);
      CREATE TABLE "Events 2" PARTITION OF events FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
      INSERT INTO events VALUES (1, '2026-01-05'), (7, '2026-02-05'); ANALYZE`);
    const extra = (name: string) => catalog.streams.find((stream) => stream.name === name)?.['tapline'];
    expect(extra('a_view')).toEqual({ kind: 'view' });
    expect(extra('a_matview')).toMatchObject({ kind: 'materialized_view', row_estimate: 2 });
    expect(extra('events')).toMatchObject({ kind: 'partitioned', row_estimate: 2 });
    expect(extra('events_1_1')).toMatchObject({ partition_of: 'public.events' });
    expect(extra('Events 2')).toMatchObject({ partition_of: 'public.events' });
    const { rows, failures } = await readAll({ config, streams: configure(catalog, { a_view: {}, a_matview: {}, events: {} }) });
    expect(failures).toEqual([]);
    expect(rows()).toEqual([
      { id: 1, whole: '(1)' }, { id: 2, whole: '(2)' }, { id: 1 }, { id: 2 }, { id: 1, day: '2026-01-05' }, { id: 7, day: '2026-02-05' },
    ]);
  });

  test('a table is resumable by the orders that can be reproduced, and by no other', async () => {
    const { catalog } = await tables(`CREATE TABLE k_int (id int PRIMARY KEY); CREATE TABLE k_uuid (id uuid PRIMARY KEY); CREATE TABLE k_c (id text COLLATE "C" PRIMARY KEY);
      CREATE TABLE k_text (id text COLLATE "und-x-icu" PRIMARY KEY); CREATE TABLE k_num (id numeric PRIMARY KEY); CREATE TABLE k_none (id int);
      CREATE TABLE k_unique (id int, code bytea NOT NULL, UNIQUE (code)); CREATE TABLE k_nullable (id int UNIQUE);
      CREATE TABLE k_partial (id int NOT NULL); CREATE UNIQUE INDEX ON k_partial (id) WHERE id > 5; CREATE TABLE k_include (b int, a int NOT NULL); CREATE UNIQUE INDEX ON k_include (a) INCLUDE (b)`);
    const about = Object.fromEntries(catalog.streams.filter(({ name }) => name.startsWith('k_')).map(({ name, is_resumable, source_defined_primary_key }) => [name, [is_resumable, source_defined_primary_key]]));
    expect(about).toEqual({
      k_int: [true, [['id']]], k_uuid: [true, [['id']]], k_c: [true, [['id']]], k_text: [false, [['id']]], k_num: [false, [['id']]], k_none: [false, []],
      k_unique: [true, [['code']]], k_nullable: [false, []], k_partial: [false, []], k_include: [true, [['a']]],
    });
  });

  test.each([
    ['bigint', 'g * 90000000000000', 'id'],
    ['text COLLATE "C"', `chr(200 + g % 50) || '''"\\' || g`, 'id'],
    ['bytea', `decode(md5(g::text), 'hex')`, 'id'],
    ['timestamptz', `timestamptz '2026-01-01' + g * interval '1.000001 s'`, 'id'],
    ['uuid', `md5(g::text)::uuid`, 'id'],
  ])('interrupted at any state, a read by a key of %s goes on with every row once', async (type, value) => {
    const { config, catalog } = await tables(`DROP TABLE IF EXISTS big; CREATE TABLE big (id ${type}, part int, body text, PRIMARY KEY (part, id));
      INSERT INTO big SELECT ${value}, g % 3, repeat('x', g % 200) FROM generate_series(1, 500) g`);
    const streams = configure(catalog, { big: {} });
    const all: unknown[] = [];
    let states: ReadonlyMap<string, unknown> = new Map();
    let runs = 0;
    for (; runs < 200; runs++) {
      let left = 1 + (runs % 4);
      const outcome = await readAll({ config, streams, states, stateIntervalMs: 0, stopAfter: (item) => item.kind === 'stream_state' && --left === 0 });
      expect([outcome.failures, outcome.error]).toEqual([[], undefined]);
      all.push(...outcome.rows().map((row) => row['part'] + String(row['id'])));
      states = JSON.parse(JSON.stringify([...outcome.states])) as never;
      states = new Map(states);
      if ((states.get('public.big') as { complete: boolean }).complete) break;
    }
    expect(runs).toBeGreaterThan(5);
    expect(all.length).toBe(500);
    expect(new Set(all).size).toBe(500);
    const again = await readAll({ config, streams, states });
    expect(again.rows()).toEqual([]);
  });

  test('a row of 20 MB passes between small ones, whole', async () => {
    const { config, catalog } = await tables(`CREATE TABLE wide (id int PRIMARY KEY, body text); INSERT INTO wide VALUES (1, 'a'), (2, repeat('0123456789', 2000000)), (3, 'c'), (4, repeat('y', 70000)), (5, 'e')`);
    const { rows, states } = await readAll({ config, streams: configure(catalog, { wide: {} }), stateIntervalMs: 0 });
    expect(rows().map(({ id, body }) => [id, (body as string).length])).toEqual([[1, 1], [2, 20_000_000], [3, 1], [4, 70_000], [5, 1]]);
    expect(rows()[1]!['body']).toBe('0123456789'.repeat(2_000_000));
    expect(states.get('public.wide')).toMatchObject({ complete: true });
  });

  test('one stream fails by name and with what to type, and the others go on', async () => {
    await database.query(`CREATE ROLE reader_${database.name} LOGIN PASSWORD 'pw'; GRANT USAGE ON SCHEMA public TO reader_${database.name}`);
    const { catalog } = await tables(`CREATE TABLE f_ok (id int); INSERT INTO f_ok VALUES (1); CREATE TABLE f_denied (id int); CREATE TABLE f_gone (id int); CREATE TABLE f_lost (id int, x int);
      CREATE TABLE f_late (id int PRIMARY KEY, x int); INSERT INTO f_late SELECT g, g - 900 FROM generate_series(1, 1000) g; CREATE VIEW f_breaks AS SELECT id, 1 / x AS y FROM f_late;
      GRANT SELECT ON f_ok, f_gone, f_lost, f_breaks, f_late TO reader_${database.name}`);
    const streams = configure(catalog, { f_denied: {}, f_gone: {}, f_lost: {}, f_breaks: {}, f_ok: {} });
    await database.query('DROP TABLE f_gone; ALTER TABLE f_lost DROP COLUMN x');
    const config = configOf({ ...database, user: `reader_${database.name}`, password: 'pw' });
    const outcome = await readAll({ config, streams });
    expect(outcome.error).toBeUndefined();
    expect(outcome.failures.map(({ code, kind, stream, message }) => [code, kind, stream?.name, message])).toEqual([
      ['pg_no_privilege', 'config_error', 'f_denied', expect.stringContaining('GRANT SELECT ON "public"."f_denied" TO "reader_')],
      ['pg_no_table', 'config_error', 'f_gone', expect.stringContaining('public.f_gone does not exist')],
      ['pg_no_column', 'config_error', 'f_lost', expect.stringContaining(`no column 'x'`)],
      ['pg_not_readable', 'config_error', 'f_breaks', expect.stringContaining('22012')],
    ]);
    expect(outcome.statuses.at(-1)).toBe('f_ok COMPLETE');
    await database.query(`DROP OWNED BY reader_${database.name}; DROP ROLE reader_${database.name}`);
  });

  test('a table that is locked for too long is a transient failure', async () => {
    const { config, catalog } = await tables('CREATE TABLE locked (id int)', { lock_timeout: 0.1 });
    const other = await database.connect();
    try {
      await other.query('BEGIN; LOCK TABLE locked IN ACCESS EXCLUSIVE MODE');
      const { failures } = await readAll({ config, streams: configure(catalog, { locked: {} }) });
      expect(failures.map(({ code, kind }) => [code, kind])).toEqual([['pg_locked', 'transient_error']]);
    } finally {
      await other.end();
    }
  });

  test('a session that the server ends is a transient error of the whole run', async () => {
    const { config, catalog } = await tables(`CREATE VIEW killed AS SELECT g AS id, repeat('x', 1000) AS body FROM generate_series(1, 100000000) g`, { block_bytes: 262_144 });
    let killing: Promise<unknown> | undefined;
    const outcome = await readAll({
      config, streams: configure(catalog, { killed: {} }),
      stopAfter: (item) => {
        if (item.kind === 'lines') killing ??= database.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tapline' AND datname = current_database()`);
        return false;
      },
    });
    await killing;
    expect([outcome.error?.kind, outcome.error?.code]).toEqual(['transient_error', expect.stringMatching(/pg_shutdown|pg_connection_lost/)]);
    expect(outcome.statuses).not.toContain('killed COMPLETE');
  });

  test('a stop cancels the query on the server', async () => {
    const { config, catalog } = await tables(`CREATE TABLE endless (id int); INSERT INTO endless SELECT generate_series(1, 50000); CREATE VIEW forever AS SELECT a.id, repeat('x', 500) AS body FROM endless a, endless b`);
    const started = Date.now();
    const outcome = await readAll({ config, streams: configure(catalog, { forever: {} }), stopAfter: (item) => item.kind === 'lines' });
    expect(outcome.error).toBeUndefined();
    expect(outcome.statuses).not.toContain('forever COMPLETE');
    for (;;) {
      const running = await database.query(`SELECT FROM pg_stat_activity WHERE application_name = 'tapline' AND datname = current_database()`);
      if (running.length === 0) break;
      expect(Date.now() - started).toBeLessThan(10_000);
    }
  });

  test('reading is read-only: a view that writes fails its stream and changes nothing', async () => {
    const { config, catalog } = await tables(`CREATE TABLE spy (n int); CREATE FUNCTION public.note() RETURNS int LANGUAGE sql VOLATILE AS 'INSERT INTO public.spy VALUES (1) RETURNING n'; CREATE VIEW writes AS SELECT public.note() AS n`);
    const { failures } = await readAll({ config, streams: configure(catalog, { writes: {} }) });
    expect(failures.map(({ code }) => code)).toEqual(['pg_read_only']);
    expect(await database.query('SELECT * FROM spy')).toEqual([]);
  });

  test('the rows of a stream are of one snapshot, whatever is committed meanwhile', async () => {
    const { config, catalog } = await tables(`CREATE TABLE moving (id int PRIMARY KEY, body text); INSERT INTO moving SELECT g, repeat('x', 500) FROM generate_series(1, 5000) g`);
    let moved: Promise<unknown> | undefined;
    const outcome = await readAll({
      config, streams: configure(catalog, { moving: {} }), stateIntervalMs: 0,
      stopAfter: (item) => { if (item.kind === 'lines') moved ??= database.query('DELETE FROM moving WHERE id > 2000; INSERT INTO moving SELECT g FROM generate_series(9000, 9500) g'); return false; },
    });
    await moved;
    expect(outcome.rows().length).toBe(5000);
  });
});

test('discover takes a thousand tables in its stride', async () => {
  const database = await testDatabase(18);
  await database.query(`DO $$ BEGIN FOR i IN 1..1000 LOOP EXECUTE format('CREATE TABLE t%s (id bigint PRIMARY KEY, a text, b numeric(10,2), c timestamptz)', i); END LOOP; END $$`);
  const started = Date.now();
  const { streams } = await discoverAll(configOf(database));
  expect(streams.length).toBe(1000);
  expect(Date.now() - started).toBeLessThan(5000);
  await database.drop();
});
