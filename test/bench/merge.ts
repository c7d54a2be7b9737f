import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PostgresServer } from '../services/index.js';
import { startBenchServer } from './bench-server.js';
import { comparisonTable, keptRuns, mediansOf, physicalLimit, profileOf, takeTurns, type Contestants, type Runs } from './comparison.js';
import { copyToNothing, csvBytes, shell } from './hand.js';
import { measure, type Measured } from './measure.js';
import { duckdbMerge, postgresMerge, type MergeTarget } from './merge-targets.js';
import { count, report } from './report.js';
import { summaryOf, syncArgs, transportsOf } from './tapline.js';

export interface MergeOptions {
  /** Of the table that is merged into. */
  readonly rows?: number;
  /** Four in five of them change a row, spread over the table; the others are new. */
  readonly changes?: number;
  readonly repetitions?: number;
  /** Default: both. */
  readonly engine?: string;
  readonly transport?: string;
  /** Default: yes. */
  readonly save?: boolean;
}

/** A few changes into a large table: a whole sync beside the statement that a hand would write for this one table. */
export async function merge({ rows = 10_000_000, changes = 100_000, repetitions = 3, engine, transport, save = true }: MergeOptions = {}): Promise<void> {
  const server = await startBenchServer();
  const dir = await mkdtemp(join(tmpdir(), 'tapline-bench-'));
  try {
    for (const [name, target] of Object.entries({ duckdb: duckdbMerge, postgres: postgresMerge })) {
      if (engine !== undefined && engine !== name) continue;
      const source = await sourceOf(server);
      const into = await target(server, join(dir, `${name}.db`), source);
      const runs = await run({ server, dir: join(dir, name), source, into, rows, changes, repetitions, transports: transportsOf(transport) });
      const medians = mediansOf(runs);
      const limit = physicalLimit(medians, parts);
      const bytes = await csvBytes(source);
      await report({
        scenario: `merge-${name}`, save,
        title: `${count(changes)} changes into ${count(rows)} rows; medians of ${repetitions}`,
        table: comparisonTable({ medians, rows: changes, bytes, unit: 'changes', ratios: { 'to limit': limit, 'to hand': medians['by hand']!.wallSeconds } }),
        notes: Object.keys(runs).filter((each) => each.startsWith('tapline')).flatMap((each) => profileOf(each, runs)),
        figures: { rows, changes, bytes, repetitions, limitSeconds: limit, medians, runs: keptRuns(runs) },
      });
    }
  } finally {
    await server.stop();
    await rm(dir, { recursive: true, force: true });
  }
}

const parts = ['COPY to nothing', 'the merge, from a file'];

interface Run {
  readonly server: PostgresServer;
  readonly dir: string;
  readonly source: string;
  readonly into: MergeTarget;
  readonly rows: number;
  readonly changes: number;
  readonly repetitions: number;
  readonly transports: readonly string[];
}

async function run({ server, dir, source, into, rows, changes, repetitions, transports }: Run): Promise<Runs> {
  const [state, kept] = [join(dir, 'state'), join(dir, 'kept')];
  const postgresPid = server.pid;
  const sync = (transport: string): Promise<Measured> => {
    const more = ['--mode', 'public.events=incremental:updated_at/append_dedup', '--transport', transport];
    return measure(process.execPath, syncArgs({ source, dest: into.uri, stateDir: state, more }), { postgresPid });
  };
  const database = server.database('bench_changes');
  await sync('json');
  // The rest of the table comes by hand: through a sync it would take as long as ten of the other benches.
  console.log('Filling the table, once');
  await into.fill(rows);
  await cp(state, kept, { recursive: true });
  await database.query(`TRUNCATE events; INSERT INTO events SELECT i, i % 1000, (i % 999) / 10.0, 'changed', 'order ' || i || ' of ' || md5(i::text) || ', changed at the door',
      timestamptz '2025-01-01', jsonb_build_object('sku', md5(i::text), 'count', i % 9), i % 2 = 0, sin(i), timestamptz '2026-06-01' + k * interval '1 second'
    FROM (SELECT k, CASE WHEN k % 5 = 0 THEN ${rows} + k ELSE (k * 99991) % ${rows} END AS i FROM generate_series(1, ${changes}::bigint) k) c ON CONFLICT DO NOTHING`);
  await into.prepare();
  const digests: Record<string, string> = {};
  const merging = (name: string, merges: () => Promise<Measured>, before?: () => Promise<unknown>): Contestants => ({
    [name]: {
      async prepare() {
        await into.restore();
        await before?.();
      },
      async run() {
        const measured = await merges();
        digests[name] ??= JSON.stringify(await into.digest());
        return measured;
      },
    },
  });
  const restoreState = async (): Promise<void> => {
    await rm(state, { recursive: true, force: true });
    await cp(kept, state, { recursive: true });
  };
  const runs = await takeTurns({
    [parts[0]!]: { run: () => copyToNothing(source, postgresPid) },
    ...merging(parts[1]!, () => shell(into.fromFile, postgresPid)),
    ...merging('by hand', () => shell(into.byHand, postgresPid)),
    ...Object.assign({}, ...transports.map((transport) => merging(`tapline, ${transport}`, () => sync(transport), restoreState))) as Contestants,
  }, { repetitions, warm: false });
  if (new Set(Object.values(digests)).size !== 1) throw new Error(`the rows differ:\n${Object.entries(digests).map(([name, digest]) => `  ${name}: ${digest}`).join('\n')}`);
  for (const transport of transports) {
    const { records } = summaryOf(runs[`tapline, ${transport}`]![0]!.stdout);
    if (records < changes * 0.9) throw new Error(`only ${records} changes were synced`);
  }
  await into.drop();
  return runs;
}

/** A table of a few rows, with a key and a time of change. */
async function sourceOf(server: PostgresServer): Promise<string> {
  await server.database('bench_changes').drop();
  const database = await server.createDatabase('bench_changes');
  await database.query(`CREATE TABLE events (
      id bigint PRIMARY KEY, customer_id integer NOT NULL, amount numeric(12,2), status text NOT NULL, note text,
      created_at timestamptz NOT NULL, attributes jsonb, paid boolean NOT NULL, score double precision, updated_at timestamptz NOT NULL);
    CREATE INDEX ON events (updated_at);
    INSERT INTO events SELECT i, i, i, 'new', 'first', timestamptz '2025-01-01', '{}', true, i, timestamptz '2025-01-01' FROM generate_series(1, 1000) i`);
  return database.url;
}
