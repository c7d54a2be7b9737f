import { postgresVersions } from '@tapline/test/everyday';
import type { TestDatabase } from '@tapline/test/services';
import { testDatabase } from '@tapline/test/shared';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { configOf, configure, discoverAll, readAll, type Outcome, type ReadOptions } from './fixtures/harness.js';

describe.each(postgresVersions('cursor'))('incremental by a cursor, PostgreSQL %i', (version) => {
  let database: TestDatabase;
  beforeAll(async () => { database = await testDatabase(version); });
  afterAll(() => database.drop());

  async function stream(table: string, definition: string, extra: { cursor?: string; key?: string[][] } = {}) {
    await database.query(`CREATE TABLE ${table} (${definition})`);
    const config = configOf(database, { block_bytes: table === 'crowd' ? 65_536 : 1024 });
    const catalog = await discoverAll(config);
    const streams = configure(catalog, { [table]: { sync_mode: 'incremental', cursor_field: [extra.cursor ?? 'at'], ...(extra.key && { primary_key: extra.key }) } });
    let states: ReadonlyMap<string, unknown> | undefined;
    return {
      async run(options: Partial<ReadOptions> = {}): Promise<Outcome> {
        const outcome = await readAll({ config, streams, ...(states && { states }), ...options });
        if (outcome.states.size > 0) states = outcome.states;
        return outcome;
      },
      state: () => states?.get(`public.${table}`),
    };
  }
  const ids = (outcome: Outcome) => outcome.rows().map(({ id }) => id);
  const sortedIds = (outcome: Outcome) => ids(outcome).map(Number).sort((a, b) => a - b);

  test('rows that share the boundary value are neither lost nor repeated', async () => {
    const { run, state } = await stream('shared', 'id int PRIMARY KEY, at timestamptz');
    await database.query(`INSERT INTO shared VALUES (5, '2026-01-01'), (9, '2026-01-02'), (3, '2026-01-02')`);
    expect(sortedIds(await run())).toEqual([3, 5, 9]);
    expect(state()).toEqual({ v: 1, mode: 'cursor', cursor: 'at', value: '2026-01-02 00:00:00+00', key: ['id'], seen: expect.arrayContaining(['3', '9']) });
    expect(ids(await run())).toEqual([]);
    await database.query(`INSERT INTO shared VALUES (1, '2026-01-02'), (4, '2026-01-02 00:00:00.000001'), (100, '2026-01-02')`);
    expect(sortedIds(await run())).toEqual([1, 4, 100]);
    await database.query(`INSERT INTO shared VALUES (2, '2026-01-02 00:00:00.000001')`);
    expect(ids(await run())).toEqual([2]);
    expect(ids(await run())).toEqual([]);
  });

  test('the keys of two runs at one value add up', async () => {
    const { run } = await stream('adding', 'a int, b text, at int, id int, PRIMARY KEY (a, b)');
    await database.query(`INSERT INTO adding VALUES (1, 'x"y', 7, 1)`);
    expect(ids(await run())).toEqual([1]);
    await database.query(`INSERT INTO adding VALUES (1, E'\\\\{,}', 7, 2)`);
    expect(ids(await run())).toEqual([2]);
    await database.query(`INSERT INTO adding VALUES (1, 'z', 7, 3)`);
    expect(ids(await run())).toEqual([3]);
    expect(ids(await run())).toEqual([]);
  });

  test('interrupted at any state, with many rows of one value, every row comes once', async () => {
    const { run, state } = await stream('chopped', 'id uuid PRIMARY KEY, at numeric, body text');
    await database.query(`INSERT INTO chopped SELECT md5(g::text)::uuid, (g / 37) * 1.5, repeat('b', g % 100) FROM generate_series(1, 700) g`);
    const all: unknown[] = [];
    for (let runs = 0; runs < 100; runs++) {
      let left = 1 + (runs % 3);
      const outcome = await run({ stateIntervalMs: 0, stopAfter: (item) => item.kind === 'stream_state' && --left === 0 });
      all.push(...ids(outcome));
      // Rows that arrive meanwhile at a value that is half read.
      if (runs === 3) await database.query(`INSERT INTO chopped SELECT md5('new' || g)::uuid, $1::numeric, '' FROM generate_series(1, 5) g`, [(state() as { value: string }).value]);
      if (outcome.statuses.includes('chopped COMPLETE')) break;
    }
    expect(all.length).toBe(705);
    expect(new Set(all).size).toBe(705);
  });

  test('rows without a cursor come once, with a warning, and again when they get one', async () => {
    const { run } = await stream('nulls', 'id int PRIMARY KEY, at timestamp');
    expect(ids(await run())).toEqual([]);
    await database.query(`INSERT INTO nulls VALUES (1, NULL), (2, 'infinity'), (3, '2026-01-01')`);
    const first = await run();
    expect(sortedIds(first)).toEqual([1, 2, 3]);
    expect(first.warnings.join()).toContain('2 rows have no usable');
    expect(ids(await run())).toEqual([]);
    await database.query(`UPDATE nulls SET at = '2026-01-02' WHERE id = 1; INSERT INTO nulls VALUES (4, '2026-01-03')`);
    expect(ids(await run())).toEqual([1, 4]);
  });

  test('without a key the rows at the boundary come again, with a warning', async () => {
    const { run } = await stream('keyless', 'id int, at date');
    await database.query(`INSERT INTO keyless VALUES (1, '2026-01-01'), (2, '2026-01-02')`);
    expect((await run()).warnings.join()).toContain('has no key');
    expect(ids(await run())).toEqual([2]);
  });

  test('past 100,000 rows of the newest value the run says that it falls back to repeating', async () => {
    const { run, state } = await stream('crowd', 'id int PRIMARY KEY, at int');
    await database.query(`INSERT INTO crowd SELECT g, 1 FROM generate_series(1, 100000) g`);
    expect((await run()).warnings).toEqual([]);
    expect(((state() as { seen: string[] }).seen).length).toBe(100_000);
    await database.query(`INSERT INTO crowd VALUES (0, 1)`);
    const over = await run();
    expect(ids(over)).toEqual([0]);
    expect(over.warnings.join()).toContain('falls back to repeating');
    expect(state()).toEqual({ v: 1, mode: 'cursor', cursor: 'at', value: '1' });
    expect((await run()).rows().length).toBe(100_001);
  });

  test('a key that the user declares serves as one, nulls included', async () => {
    const { run } = await stream('declared', 'id int, at int', { key: [['id']] });
    await database.query(`INSERT INTO declared VALUES (1, 1), (NULL, 1)`);
    expect((await run()).rows().length).toBe(2);
    expect((await run()).rows()).toEqual([]);
  });

  test.each([['float8'], ['text COLLATE "und-x-icu"'], ['jsonb'], ['bool']])('%s cannot be a cursor, and the message names the field', async (type) => {
    const { run } = await stream(`c_${type.replace(/\W.*/, '')}`, `id int PRIMARY KEY, at ${type}`);
    const { failures } = await run();
    expect(failures.map(({ code, kind }) => [code, kind])).toEqual([['pg_cursor', 'config_error']]);
    expect(failures[0]!.message).toContain(`'at' cannot be a cursor`);
  });

  test('a state of another cursor, or of a full refresh, is a config_error', async () => {
    const { run } = await stream('strange', 'id int PRIMARY KEY, at int');
    for (const state of [{ v: 1, mode: 'cursor', cursor: 'other', value: '1' }, { v: 1, mode: 'snapshot', complete: true }, { v: 2, mode: 'cursor' }, { since: 1 }]) {
      const { failures } = await run({ states: new Map([['public.strange', state]]) });
      expect(failures.map(({ code, kind }) => [code, kind])).toEqual([['pg_state', 'config_error']]);
    }
    expect((await run({ states: new Map([['public.strange', {}]]) })).failures).toEqual([]);
  });
});
