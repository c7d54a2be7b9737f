import { postgresVersions } from '@tapline/test/everyday';
import type { TestDatabase } from '@tapline/test/services';
import { testDatabase } from '@tapline/test/shared';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { BatchFolder } from './fixtures/batch-folder.js';
import { configOf, configure, discoverAll, readAll, type Outcome, type ReadOptions, type TestConfig } from './fixtures/harness.js';

const numbers = (values: readonly unknown[]): number[] => values.map(Number).sort((a, b) => a - b);
const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i + 1);

describe.each(postgresVersions('read-together'))('several sessions that read PostgreSQL %i', (version) => {
  let database: TestDatabase;
  let folder: BatchFolder;
  beforeAll(async () => {
    database = await testDatabase(version);
    folder = await BatchFolder.open();
    await database.query(`
      CREATE TABLE heap (id int, body text); INSERT INTO heap SELECT g, repeat('x', g % 700) FROM generate_series(1, 8000) g;
      ${upTo(12).map((n) => `CREATE TABLE keyed_${n} (id int PRIMARY KEY, body text); INSERT INTO keyed_${n} SELECT g, repeat('y', 50) FROM generate_series(1, ${n * 100}) g;`).join('\n')}`);
  });
  afterAll(async () => {
    await folder[Symbol.asyncDispose]();
    await database.drop();
  });

  const config = (extra: TestConfig = {}) => configOf(database, { workers: 3, snapshot_range_bytes: 8192 * 20, block_bytes: 4096, ...extra });
  const read = async (tables: readonly string[], options: Partial<ReadOptions> = {}): Promise<Outcome> => {
    const settings = options.config ?? config();
    return readAll({ streams: configure(await discoverAll(settings), Object.fromEntries(tables.map((table) => [table, {}]))), ...options, config: settings });
  };
  const sessions = async (): Promise<number> =>
    (await database.query<{ n: number }>(`SELECT count(*)::int AS n FROM pg_stat_activity WHERE datname = $1 AND application_name = 'tapline'`, [database.name]))[0]!.n;

  test('read the ranges of one table together, as one snapshot, and its only state comes behind them all', async () => {
    let changed: Promise<unknown> | undefined;
    const { rows, states, statuses, failures, log } = await read(['heap'], {
      stopAfter: (item) => {
        if (item.kind === 'lines') changed ??= database.query(`DELETE FROM heap WHERE id > 8000; INSERT INTO heap SELECT g + 8000, '' FROM generate_series(1, 3000) g; UPDATE heap SET id = -id WHERE id BETWEEN 7000 AND 8000`);
        return false;
      },
    });
    await changed;
    expect(failures).toEqual([]);
    expect(numbers(rows().map(({ id }) => id))).toEqual(upTo(8000));
    expect(states.get('public.heap')).toEqual({ v: 1, mode: 'snapshot', complete: true });
    expect(log.findIndex((entry) => 'state' in entry)).toBe(log.length - 1);
    expect(statuses).toEqual(['heap STARTED', 'heap RUNNING', 'heap COMPLETE']);
    await database.query('DELETE FROM heap WHERE id > 8000; UPDATE heap SET id = -id WHERE id < 0');
  });

  test('read it as batches, too', async () => {
    const { batches, failures } = await read(['heap'], { batches: folder });
    expect(failures).toEqual([]);
    const ids: unknown[] = [];
    for (const batch of batches) ids.push(...(await folder.query(`SELECT id FROM ${folder.from(batch)}`)).flat());
    expect(batches.length).toBeGreaterThan(5);
    expect(numbers(ids)).toEqual(upTo(8000));
  });

  test('read several tables at once, each with its own states in order, and a table that fails hinders no other', async () => {
    const tables = upTo(12).map((n) => `keyed_${n}`);
    await database.query(`CREATE VIEW breaks AS SELECT id, 1 / (id - 900) AS y FROM keyed_12`);
    let most = 0;
    const watching = setInterval(() => void sessions().then((n) => (most = Math.max(most, n)), () => {}), 5);
    const outcome = await read(['heap', 'breaks', ...tables], { stateIntervalMs: 0 });
    clearInterval(watching);
    expect(most).toBeGreaterThan(1);
    expect(most).toBeLessThanOrEqual(3);
    expect(outcome.error).toBeUndefined();
    expect(outcome.failures.map(({ stream }) => stream?.name)).toEqual(['breaks']);
    expect(outcome.rows().length).toBe(8000 + outcome.rows().filter((row) => 'y' in row).length + tables.reduce((sum, _, i) => sum + (i + 1) * 100, 0));
    for (const name of [...tables, 'heap']) {
      expect(outcome.states.get(`public.${name}`)).toMatchObject({ complete: true });
      expect(outcome.statuses.filter((status) => status.startsWith(`${name} `))).toEqual([`${name} STARTED`, `${name} RUNNING`, `${name} COMPLETE`]);
    }
  });

  test('that are stopped leave states that the next run goes on from, and no session behind', async () => {
    const tables = ['keyed_5', 'keyed_11', 'keyed_12'];
    const ids = new Map<string, number>();
    let states: ReadonlyMap<string, unknown> = new Map();
    let runs = 0;
    for (; runs < 200; runs++) {
      let left = 2 + (runs % 5);
      const outcome = await read(tables, { states, stateIntervalMs: 0, stopAfter: (item) => item.kind === 'stream_state' && --left === 0 });
      expect([outcome.error, outcome.failures]).toEqual([undefined, []]);
      // Rows behind the last state of their stream were not durable: they come again.
      const held = new Map<string, number>();
      for (const entry of outcome.log) {
        if ('state' in entry) {
          ids.set(entry.stream!, (ids.get(entry.stream!) ?? 0) + (held.get(entry.stream!) ?? 0));
          held.delete(entry.stream!);
        } else if ('record' in entry) held.set(entry.stream!, (held.get(entry.stream!) ?? 0) + 1);
      }
      states = new Map([...states, ...outcome.states]);
      if (tables.every((name) => (states.get(`public.${name}`) as { complete?: boolean } | undefined)?.complete)) break;
    }
    expect(runs).toBeGreaterThan(3);
    expect(Object.fromEntries(ids)).toEqual(Object.fromEntries(tables.map((name) => [name, Number(name.slice('keyed_'.length)) * 100])));
    await expect.poll(sessions).toBe(0);
  });

  test('of which the server ends one fail for a while, as a whole, and leave no session behind', async () => {
    let ended: number[] = [];
    const outcome = await read(['heap', 'keyed_12'], {
      stopAfter: async (item) => {
        // The others wait for us meanwhile, and most ranges are not read yet.
        while (item.kind === 'lines' && ended.length === 0) {
          const copying = await database.query<{ pid: number }>(`SELECT pid FROM pg_stat_activity WHERE datname = $1 AND application_name = 'tapline' AND query LIKE 'COPY%ctid%' ORDER BY backend_start DESC`, [database.name]);
          if (copying.length < 2) continue;
          ended = [copying[0]!.pid];
          await database.query('SELECT pg_terminate_backend($1)', [copying[0]!.pid]);
        }
        return false;
      },
    });
    expect(outcome.error).toMatchObject({ kind: 'transient_error' });
    expect(outcome.states.has('public.heap')).toBe(false);
    await expect.poll(sessions).toBe(0);
  });

  test('that the server does not let in are done without, and it is told once', async () => {
    await database.query(`CREATE ROLE few_${database.name} LOGIN PASSWORD 'pw' CONNECTION LIMIT 1; GRANT SELECT ON ALL TABLES IN SCHEMA public TO few_${database.name}`);
    const outcome = await read(['heap', 'keyed_1'], { config: configOf({ ...database, user: `few_${database.name}`, password: 'pw' }, { workers: 4, snapshot_range_bytes: 8192 * 20 }) });
    expect([outcome.error, outcome.failures]).toEqual([undefined, []]);
    expect(outcome.rows()).toHaveLength(8100);
    expect(outcome.warnings.filter((warning) => /^fewer sessions read than workers=4 asks for: .* has no connection left for user/.test(warning))).toHaveLength(1);
    await database.query(`DROP OWNED BY few_${database.name}; DROP ROLE few_${database.name}`);
  });
});
