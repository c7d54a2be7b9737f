import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PostgresServer } from '../services/index.js';
import { mixedTable, startBenchServer } from './bench-server.js';
import { comparisonTable, keptRuns, mediansOf, physicalLimit, profileOf, takeTurns, type Contestant, type Contestants } from './comparison.js';
import { digestInDuckdb, digestInPostgres, requireSameRows } from './events-digest.js';
import { copyIn, copyOut, copyToNothing, csvBytes, duckdb, hasPsql, pipeIntoDuckdb, pipeIntoPostgres, prepareParquet, shell } from './hand.js';
import type { PgParquetOptions } from './pg-parquet.js';
import { count, megabytes, report } from './report.js';
import { freshSync, transportsOf } from './tapline.js';

/** One kind of warehouse: how it is made empty, how a hand fills it, and what is in it. */
interface Target {
  /** The destination's part alone, from a prepared input. */
  readonly part: { readonly name: string } & Contestant;
  readonly hand: Contestant & { digest(): Promise<string> };
  /** One for each transport, so that all of them can be looked at. */
  ours(name: string): { readonly uri: string; empty(): Promise<unknown>; digest(): Promise<string> };
}

interface World {
  readonly server: PostgresServer;
  readonly dir: string;
  readonly source: string;
  readonly psql: boolean;
}

/** A table into a DuckDB file: our sync by each transport beside the pipe that an expert would type. */
export const pgDuckdb = (options: PgParquetOptions = {}): Promise<void> => bench('pg-duckdb', options);
/** A table into another database of the same server, likewise. */
export const pgPg = (options: PgParquetOptions = {}): Promise<void> => bench('pg-pg', options);

async function bench(scenario: 'pg-duckdb' | 'pg-pg', { rows = 1_000_000, repetitions = 5, transport, save = true }: PgParquetOptions): Promise<void> {
  const server = await startBenchServer();
  const dir = await mkdtemp(join(tmpdir(), 'tapline-bench-'));
  try {
    const { url, database } = await mixedTable(server, rows);
    const target = await (scenario === 'pg-duckdb' ? duckdbTarget : postgresTarget)({ server, dir, source: url, psql: await hasPsql() });
    const bytes = await csvBytes(url);
    const parts: Contestants = { 'COPY to nothing': { run: () => copyToNothing(url, server.pid) }, [target.part.name]: target.part };
    const transports = transportsOf(transport);
    const syncs: Contestants = Object.fromEntries(transports.map((name) => {
      const { uri, empty } = target.ours(name);
      return [`tapline, ${name}`, freshSync({ source: url, dest: uri, stateDir: join(dir, 'state'), transport: name, empty, measured: { postgresPid: server.pid, cwd: dir } })];
    }));
    const runs = await takeTurns({ ...parts, 'hand pipe': target.hand, ...syncs }, { repetitions });

    const copies: Record<string, string> = { 'hand pipe': await target.hand.digest() };
    for (const name of transports) copies[`tapline, ${name}`] = await target.ours(name).digest();
    await requireSameRows(await digestInPostgres(server.database(database)), copies);
    const medians = mediansOf(runs);
    const limit = physicalLimit(medians, Object.keys(parts));
    await report({
      scenario, save,
      title: `${count(rows)} rows of 9 columns, ${megabytes(bytes)} as CSV, into ${scenario === 'pg-duckdb' ? 'a DuckDB file' : 'another database of the server'}; medians of ${repetitions}`,
      table: comparisonTable({ medians, rows, bytes, ratios: { 'to limit': limit, 'to pipe': medians['hand pipe']!.wallSeconds } }),
      notes: Object.keys(syncs).flatMap((name) => profileOf(name, runs)),
      figures: { rows, bytes, repetitions, limitSeconds: limit, medians, runs: keptRuns(runs) },
    });
  } finally {
    await server.stop();
    await rm(dir, { recursive: true, force: true });
  }
}

async function duckdbTarget({ dir, source, psql }: World): Promise<Target> {
  const file = (name: string): string => join(dir, name);
  const [plain, part, hand] = [file('plain.parquet'), file('part.db'), file('hand.db')];
  await prepareParquet(psql, source, plain);
  return {
    part: {
      name: 'Parquet to a table',
      prepare: () => rm(part, { force: true }),
      run: () => shell(duckdb(`ATTACH '${part}' AS w; CREATE TABLE w.events AS SELECT * FROM '${plain}'; CHECKPOINT w`)),
    },
    hand: { prepare: () => rm(hand, { force: true }), run: () => shell(pipeIntoDuckdb(psql, source, hand)), digest: () => digestInDuckdb('w.events', `ATTACH '${hand}' AS w; `) },
    ours(name) {
      const ours = file(`tapline-${name}.db`);
      return { uri: `duckdb://${ours}`, empty: () => rm(ours, { force: true }), digest: () => digestInDuckdb('w.public.events', `ATTACH '${ours}' AS w; `) };
    },
  };
}

/** The hand's table is made beforehand, as ours has no key either: an overwrite of a stream declares none. */
async function postgresTarget({ server, dir, source, psql }: World): Promise<Target> {
  const lines = join(dir, 'events.copy');
  await shell(`${copyOut(psql, source, 'COPY events TO STDOUT')} > '${lines}'`);
  const fresh = async (name: string): Promise<void> => {
    const admin = server.database('postgres');
    await admin.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
    await admin.query(`CREATE DATABASE ${name}`);
    // What the one before left to write is not this one's to wait for.
    await admin.query('CHECKPOINT');
  };
  const database = (name: string) => server.database(name);
  const withTable = async (): Promise<void> => {
    await fresh('bench_hand');
    await database('bench_hand').query('CREATE TABLE events (id bigint, customer_id integer, amount numeric(12,2), status text, note text, created_at timestamptz, attributes jsonb, paid boolean, score double precision)');
  };
  return {
    part: { name: 'COPY from a file', prepare: withTable, run: () => shell(`${copyIn(psql, database('bench_hand').url, 'COPY events FROM STDIN')} < '${lines}'`, server.pid) },
    hand: { prepare: withTable, run: () => shell(pipeIntoPostgres(psql, source, database('bench_hand').url), server.pid), digest: () => digestInPostgres(database('bench_hand')) },
    ours(name) {
      const ours = database(`bench_tapline_${name}`);
      return { uri: ours.url, empty: () => fresh(ours.name), digest: () => digestInPostgres(ours, 'public.events') };
    },
  };
}
