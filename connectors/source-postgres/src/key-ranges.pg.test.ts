import { setTimeout as sleep } from 'node:timers/promises';
import { postgresVersions } from '@tapline/test/everyday';
import type { TestDatabase } from '@tapline/test/services';
import { testDatabase } from '@tapline/test/shared';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { randomOf } from '../../../test/chaos/random.js';
import { Connection } from './connection.js';
import { BatchFolder } from './fixtures/batch-folder.js';
import { configOf, configure, discoverAll, readAll, type Outcome, type ReadOptions } from './fixtures/harness.js';
import { keyRanges, type KeyRange } from './key-ranges.js';
import { findRelations } from './relations.js';

const rows = 4000;
const rangeBytes = 8192 * 16;

interface State {
  readonly v: number;
  readonly complete: boolean;
  readonly after?: readonly string[];
  readonly ranges?: readonly KeyRange[];
}

const ascending = (values: readonly unknown[]): number[] => values.map(Number).sort((a, b) => a - b);
const isIn = (id: number, { after, until }: KeyRange): boolean => (!after || id > Number(after[0])) && (!until || id <= Number(until[0]));

describe.each(postgresVersions('key-ranges'))('ranges of a key, which several sessions read, of PostgreSQL %i', (version) => {
  let database: TestDatabase;
  let folder: BatchFolder;
  beforeAll(async () => {
    database = await testDatabase(version);
    folder = await BatchFolder.open();
    await table('numbered', 'id bigint PRIMARY KEY', '(g - 1500) * 1000003::bigint');
  });
  afterAll(async () => {
    await folder[Symbol.asyncDispose]();
    await database.drop();
  });

  /** So many pages that there are a dozen ranges; its rows do not lie in their order. */
  const table = (name: string, columns: string, values: string): Promise<unknown> => database.query(`
    CREATE TABLE ${name} (body text, ${columns});
    INSERT INTO ${name} SELECT repeat('x', g % 700), ${values} FROM generate_series(1, ${rows}) g ORDER BY md5(g::text)`);
  const config = (workers: number) => configOf(database, { workers, snapshot_range_bytes: rangeBytes, block_bytes: 4096 });
  const read = async (name: string, { workers = 3, state, ...options }: Partial<ReadOptions> & { workers?: number; state?: unknown } = {}): Promise<Outcome> => {
    const streams = configure(await discoverAll(config(workers)), { [name]: {} });
    return readAll({ config: config(workers), streams, ...(state !== undefined && { states: new Map([[`public.${name}`, state]]) }), ...options });
  };
  /** Every piece of what comes makes a batch. */
  const tight = (): NonNullable<ReadOptions['batches']> => ({ session: { ...folder.session, max_bytes: 64 }, take: (item) => folder.take(item) });
  const idsOf = async (entry: Outcome['log'][number]): Promise<number[]> => {
    if ('record' in entry) return [Number(entry.record['id'])];
    if ('batch' in entry) return (await folder.query(`SELECT id FROM ${folder.from(entry.batch)}`)).map(([id]) => Number(id));
    return [];
  };
  const copying = async (): Promise<number[]> =>
    (await database.query<{ pid: number }>(`SELECT pid FROM pg_stat_activity WHERE datname = $1 AND application_name = 'tapline' AND query LIKE 'COPY%"id") <= %' ORDER BY backend_start DESC`, [database.name])).map(({ pid }) => pid);
  const allIds = async (): Promise<number[]> => ascending((await database.query<{ id: string }>('SELECT id FROM numbered')).map(({ id }) => id));

  test('are of one snapshot, and read by more than one of them: each row comes once though rows change meanwhile', async () => {
    const all = await allIds();
    let changed: Promise<unknown> | undefined;
    const outcome = await read('numbered', {
      stopAfter: async (item) => {
        // The first one waits for us meanwhile: the queue is full.
        while (item.kind === 'lines' && !changed) {
          if ((await copying()).length < 2) continue;
          changed = database.query(`INSERT INTO numbered SELECT 'new', g * 1000003::bigint + 1 FROM generate_series(-1000, 1000) g; DELETE FROM numbered WHERE id % 2 = 0; UPDATE numbered SET id = id + 3 WHERE id % 7 = 1`);
          await changed;
        }
        return false;
      },
    });
    expect([outcome.error, outcome.failures]).toEqual([undefined, []]);
    expect(ascending(outcome.rows().map(({ id }) => id))).toEqual(all);
    expect(outcome.states.get('public.numbered')).toEqual({ v: 1, mode: 'snapshot', complete: true });
    expect(outcome.log.findLastIndex((entry) => 'state' in entry)).toBe(outcome.log.length - 1);
    expect(outcome.statuses).toEqual(['numbered STARTED', 'numbered RUNNING', 'numbered COMPLETE']);
    await database.query('DROP TABLE numbered');
    await table('numbered', 'id bigint PRIMARY KEY', '(g - 1500) * 1000003::bigint');
  });

  test.each(['lines', 'batches'])('have states that are true of the %s before them, and of no others', async (form) => {
    const all = await allIds();
    let together = false;
    // The queue is full from the first item on, until a second session reads; then again and again, and they wake up together.
    const slow = async (item: { readonly kind: string }) => {
      while (!together && (item.kind === 'lines' || item.kind === 'batch')) together = (await copying()).length > 1;
      return sleep(1).then(() => false);
    };
    const { log, error, failures } = await read('numbered', { stateIntervalMs: 0, stopAfter: slow, ...(form === 'batches' && { batches: tight() }) });
    expect([error, failures]).toEqual([undefined, []]);
    const seen = new Set<number>();
    let beside = 0;
    let states = 0;
    for (const entry of log) {
      for (const id of await idsOf(entry)) seen.add(id);
      if (!('state' in entry)) continue;
      const { complete, after, ranges = [{ after }] } = entry.state as State;
      const left = complete ? [] : all.filter((id) => ranges.some((range) => isIn(id, range)));
      expect(left.length + seen.size).toBe(all.length);
      expect(left.filter((id) => seen.has(id))).toEqual([]);
      states++;
      // Behind the end of the one before it a range that nobody reads begins.
      if (ranges.filter((range, i) => i > 0 && range.after?.[0] !== ranges[i - 1]!.until?.[0]).length > 0) beside++;
    }
    expect([states > 20, beside > 3], `${states} states, ${beside} of them amid ranges`).toEqual([true, true]);
    expect(seen.size).toBe(rows);
  });

  test.each([
    ['bigints, some of them negative', 'id bigint PRIMARY KEY', '(g - 1500) * 1000003::bigint', ['id']],
    ['uuids', 'id uuid PRIMARY KEY', 'md5(g::text)::uuid', ['id']],
    ['text with odd characters', 'id text COLLATE "C" PRIMARY KEY', `CASE WHEN g > 1 THEN chr(1 + g % 300) || (ARRAY['', '''', '"', '\\', ',', '{}', 'NULL', E'\\n', ' '])[1 + g % 9] || g ELSE '' END`, ['id']],
    ['several columns, of any name', `"k""1" int, "is_left" timestamptz, k0 varchar(20) COLLATE "C", PRIMARY KEY ("k""1", "is_left", k0)`, `g % 3, CASE WHEN g % 50 > 0 THEN timestamptz '2026-01-01' + (g % 40) * interval '1.000001 s' ELSE '-infinity' END, 'k' || g`, ['k"1', 'is_left', 'k0']],
    ['a table with children', `id int PRIMARY KEY`, 'g', ['id'], `CREATE TABLE child () INHERITS (TABLE_NAME); INSERT INTO child SELECT 'not here', g + 1000000 FROM generate_series(1, 20000) g`],
  ])('wherever a run ends, the next one, by fewer or more sessions, goes on with every row once: %s', async (what, columns, values, key, more = '') => {
    const name = what.replaceAll(/\W+/g, '_');
    await table(name, columns, values);
    await database.query(more.replaceAll('TABLE_NAME', name));
    const keyOf = (row: Record<string, unknown>): string => JSON.stringify(key.map((column) => row[column]));
    const random = randomOf(what);
    const kept: string[] = [];
    const versions: number[] = [];
    let state: State | undefined;
    for (let run = 0; run < 100 && !state?.complete; run++) {
      let left = 10 + random.below(150);
      const { log, error, failures } = await read(name, {
        workers: [1, 3, 2, 3][run % 4]!, state, stateIntervalMs: run % 2, stopAfter: (item) => item.kind === 'lines' && --left === 0,
      });
      expect([error, failures]).toEqual([undefined, []]);
      // As if it had been killed anywhere: what no state was behind is not there.
      const cut = log.slice(0, run === 0 ? log.length : 1 + random.below(log.length));
      const last = cut.findLast((entry) => 'state' in entry);
      if (!last) continue;
      kept.push(...cut.slice(0, cut.indexOf(last)).flatMap((entry) => ('record' in entry ? [keyOf(entry.record)] : [])));
      state = JSON.parse(JSON.stringify(last.state)) as State;
      versions.push(state.v);
    }
    expect(versions.length).toBeGreaterThan(5);
    // What one session left was divided by several.
    expect([versions[0], versions.includes(2)]).toEqual([1, true]);
    const all = (await read(name, { workers: 1 })).rows().map(keyOf);
    expect(all).toHaveLength(rows);
    expect(kept.sort()).toEqual(all.sort());
    expect((await read(name, { state })).rows()).toEqual([]);
  });

  test('that are stopped have a state behind all that came', async () => {
    let left = 40;
    const { log } = await read('numbered', { stateIntervalMs: 60_000, stopAfter: (item) => item.kind === 'lines' && --left === 0 });
    expect(Object.keys(log.at(-1)!)).toContain('state');
    const { state } = log.at(-1) as { state: State };
    const [before, after] = [log.flatMap((entry) => ('record' in entry ? [entry.record['id']] : [])), (await read('numbered', { state })).rows().map(({ id }) => id)];
    expect(ascending([...before, ...after])).toEqual(await allIds());
  });

  test('are gone on with where the server ended the session of one', async () => {
    let ended = 0;
    const outcome = await read('numbered', {
      stateIntervalMs: 0,
      stopAfter: async (item) => {
        while (item.kind === 'lines' && ended === 0) {
          const pids = await copying();
          if (pids.length < 2) continue;
          ended = pids[0]!;
          await database.query('SELECT pg_terminate_backend($1)', [ended]);
        }
        return false;
      },
    });
    expect(outcome.error).toMatchObject({ kind: 'transient_error' });
    const state = outcome.states.get('public.numbered') as State | undefined;
    expect(state).toMatchObject({ v: 2 });
    const last = outcome.log.findLastIndex((entry) => 'state' in entry);
    const before = outcome.log.slice(0, last).flatMap((entry) => ('record' in entry ? [entry.record['id']] : []));
    expect(ascending([...before, ...(await read('numbered', { state })).rows().map(({ id }) => id)])).toEqual(await allIds());
  });

  test('are not made of a table that is small, or of which little is left', async () => {
    const all = await allIds();
    const near = all[rows - 100]!;
    const little = await read('numbered', { state: { v: 1, mode: 'snapshot', complete: false, key: ['id'], after: [String(near)] }, stateIntervalMs: 0 });
    expect(little.rows().map(({ id }) => Number(id))).toEqual(all.slice(rows - 99));
    expect(little.log.flatMap((entry) => ('state' in entry ? [(entry.state as State).v] : [])).every((v) => v === 1)).toBe(true);
    await database.query(`CREATE TABLE small (id int PRIMARY KEY); INSERT INTO small SELECT generate_series(1, 200)`);
    const small = await read('small', { stateIntervalMs: 0 });
    expect(small.rows().map(({ id }) => id)).toEqual(Array.from({ length: 200 }, (_, i) => i + 1));
  });

  test('hold about as many rows each, are 64 at most, and are made of what is left only', async () => {
    const all = await allIds();
    await using connection = await Connection.open(config(1));
    const [relation] = await findRelations(connection, { names: [{ schema: 'public', name: 'numbered' }] });
    const ranges = (bytes: number, after?: readonly string[]) => keyRanges(connection, relation!, { key: ['id'], after, bytes });
    const counts = (some: readonly KeyRange[]) => some.map((range) => all.filter((id) => isIn(id, range)).length);
    for (const [bytes, after] of [[rangeBytes, undefined], [8192, undefined], [8192 * 5, [String(all[rows / 2]!)]]] as const) {
      const some = await ranges(bytes, after);
      const held = counts(some);
      const left = after ? rows / 2 - 1 : rows;
      expect(held.reduce((sum, count) => sum + count, 0)).toBe(left);
      expect(Math.max(...held) - Math.min(...held)).toBeLessThanOrEqual(1);
      expect(some.map(({ after: begin }) => begin)).toEqual([after, ...some.slice(0, -1).map(({ until }) => until)]);
      expect(some.at(-1)!.until).toBeUndefined();
    }
    expect(await ranges(8192)).toHaveLength(64);
    expect((await ranges(rangeBytes)).length).toBeGreaterThan(8);
    expect((await ranges(rangeBytes, [String(all[rows / 2]!)])).length).toBe(Math.ceil((await ranges(rangeBytes)).length / 2));
    expect(await ranges(8192, [String(all.at(-1)!)])).toHaveLength(1);
    expect(await ranges(1 << 30)).toEqual([{}]);
  });

  test('of a table whose rows are all gone are one', async () => {
    await table('emptied', 'id int PRIMARY KEY', 'g');
    await database.query('DELETE FROM emptied');
    const { log, failures } = await read('emptied');
    expect([failures, log]).toEqual([[], [{ state: { v: 1, mode: 'snapshot', complete: true }, stream: 'emptied' }]]);
  });
});
