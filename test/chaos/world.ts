/**
 * What the crash tests run on: a database whose rows tell whether they are whole, a lake, and a sync of three streams:
 * `events` (incremental by a cursor with many ties, changed between and during runs), `keyed` and `heap` (full refresh,
 * with a key and without one).
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestDatabase } from '../services/postgres.js';
import { testDatabase } from '../services/shared.js';
import { lakeOf, type Lake } from '../harness/lake.js';
import { start, type Outcome, type Running } from '../harness/tapline.js';
import { halfWritten, leftovers } from './state-directory.js';
import { transportInTurn } from './transports.js';
import { damage, duplicates } from './verify.js';

export interface WorldOptions {
  readonly lake: Lake['kind'] | Lake;
  readonly database?: TestDatabase;
  /** Rows of `events` to begin with; the other tables have half as many. */
  readonly rows?: number;
  /** Options of the source, as its URI takes them. */
  readonly source?: Readonly<Record<string, string>>;
}

export interface StartOptions {
  readonly stateDir?: string;
  /** As TAPLINE_FAILPOINTS takes them. */
  readonly failpoints?: readonly string[];
  readonly args?: readonly string[];
}

/** Where the rows of a world arrive, and what is looked at there. */
export interface Place {
  /** As `--dest` takes it. */
  readonly uri: string;
  readonly env: Readonly<Record<string, string>>;
  /** What else a run into it is told, the mode of `events` among it. */
  readonly args: readonly string[];
  /** SQL for tables of the source beside the three. */
  readonly seed?: string;
  damage(database: TestDatabase): Promise<string[]>;
  duplicates(): Promise<string[]>;
  /** What runs that ended left behind there. */
  leftovers(): Promise<string[]>;
  dispose(): Promise<void>;
}

export interface World {
  readonly database: TestDatabase;
  readonly directory: string;
  readonly stateDir: string;
  start(options?: StartOptions): Running;
  sync(options?: StartOptions): Promise<Outcome>;
  /** Somebody works with the database: inserts (some at the cursor's last value), updates, deletes where a refresh sees them. */
  change(): Promise<void>;
  /** Inserts and updates `events` one statement after another until the signal comes. */
  write(signal: AbortSignal): Promise<void>;
  /** What is lost, doubled, damaged or out of order where the rows arrive, once a run has succeeded; empty = nothing. */
  damage(): Promise<string[]>;
  /** What a run that ended by itself should have cleaned up after those that did not. */
  leftovers(): Promise<string[]>;
  /** What is doubled where the rows arrive, or half written in the state directory, at any moment, after whatever crash. */
  duplicates(): Promise<string[]>;
  dispose(): Promise<void>;
}

export const syncName = 'chaos';

/** A body tells its own row, so that a mixed-up or damaged one shows. */
const body = (id: string, version: string) => `repeat(md5(${id}::text || ':' || ${version}::text), 6)`;

export async function createWorld(options: WorldOptions): Promise<World> {
  const lake = typeof options.lake === 'string' ? await lakeOf(options.lake) : options.lake;
  return createWorldInto(
    {
      uri: lake.uri,
      env: lake.env,
      args: ['--mode', 'public.events=incremental:batch'],
      damage: (database) => damage(database, lake),
      duplicates: () => duplicates(lake),
      leftovers: () => Promise.resolve([]),
      dispose: () => lake.dispose(),
    },
    options,
  );
}

export async function createWorldInto(place: Place, options: Omit<WorldOptions, 'lake'>): Promise<World> {
  const database = options.database ?? (await testDatabase());
  const directory = await mkdtemp(join(tmpdir(), 'tapline-chaos-'));
  const rows = options.rows ?? 20_000;
  await database.query(`
    CREATE TABLE events (id bigint PRIMARY KEY, batch bigint NOT NULL, version int NOT NULL, body text NOT NULL);
    CREATE INDEX ON events (batch);
    INSERT INTO events SELECT i, i / 1000, 1, ${body('i', '1')} FROM generate_series(1, ${rows}) i;
    CREATE TABLE keyed (id bigint PRIMARY KEY, version int NOT NULL, body text NOT NULL);
    INSERT INTO keyed SELECT i, 1, ${body('i', '1')} FROM generate_series(1, ${Math.ceil(rows / 2)}) i;
    CREATE TABLE heap (id bigint, version int NOT NULL, body text NOT NULL);
    INSERT INTO heap SELECT i % ${Math.ceil(rows / 3)}, 1, ${body(`(i % ${Math.ceil(rows / 3)})`, '1')} FROM generate_series(1, ${Math.ceil(rows / 2)}) i;
    ${place.seed ?? ''}`);
  const stateDir = join(directory, 'state');
  const source = new URL(database.url);
  for (const [name, value] of Object.entries(options.source ?? {})) source.searchParams.set(name, value);
  const begin = (given: StartOptions = {}): Running =>
    start(
      [
        'sync', '--source', source.href, '--dest', place.uri, '--sync', syncName, '--state-dir', given.stateDir ?? stateDir, '--json', '--verbose',
        ...place.args, '--flush', '100ms', ...transportInTurn(), ...(given.args ?? []),
      ],
      { cwd: directory, env: { ...place.env, ...(given.failpoints ? { TAPLINE_FAILPOINTS: given.failpoints.join(',') } : {}) } },
    );
  const insert = (count: number, atLastBatch: boolean) => `
    INSERT INTO events SELECT top + i, batch ${atLastBatch ? '' : '+ 1'}, 1, ${body('(top + i)', '1')}
      FROM (SELECT max(id) AS top, max(batch) AS batch FROM events) AS m, generate_series(1, ${count}) i`;
  const update = (count: number) => `
    UPDATE events SET version = version + 1, batch = (SELECT max(batch) + 1 FROM events), body = ${body('id', '(version + 1)')}
      WHERE id IN (SELECT id FROM events ORDER BY md5(id::text || version::text) LIMIT ${count})`;
  return {
    database,
    directory,
    stateDir,
    start: begin,
    sync: (given) => begin(given).done,
    async change() {
      for (const statement of [insert(300, true), update(200), insert(700, false), insert(50, true)]) await database.query(statement);
      await database.query(`
        UPDATE keyed SET version = version + 1, body = ${body('id', '(version + 1)')} WHERE id % 7 = 0;
        DELETE FROM keyed WHERE id % 101 = 1;
        INSERT INTO keyed SELECT top + i, 1, ${body('(top + i)', '1')} FROM (SELECT max(id) AS top FROM keyed) AS m, generate_series(1, 100) i;
        DELETE FROM heap WHERE ctid IN (SELECT ctid FROM heap LIMIT 100);
        INSERT INTO heap SELECT 7, 2, ${body('7', '2')} FROM generate_series(1, 50)`);
    },
    async write(signal) {
      const client = await database.connect();
      try {
        for (let i = 0; !signal.aborted; i++) {
          await client.query([insert(5, true), update(5), insert(20, false)][i % 3]!);
          await new Promise((resolve) => setTimeout(resolve, 20));
        }
      } catch {
        // The server was killed: that is what these tests do.
      } finally {
        await client.end().catch(() => {});
      }
    },
    damage: () => place.damage(database),
    leftovers: async () => [...(await leftovers(stateDir, database.password)), ...(await place.leftovers())],
    duplicates: async () => [...(await place.duplicates()), ...(await halfWritten(stateDir))],
    async dispose() {
      if (!options.database) await database.drop();
      await place.dispose();
      await rm(directory, { recursive: true, force: true });
    },
  };
}
