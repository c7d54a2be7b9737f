import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PostgresServer } from '../services/index.js';
import { startBenchServer } from './bench-server.js';
import { measure, medianOf, type Measured } from './measure.js';
import { duckdbMerge, postgresMerge, type MergeTarget } from './merge-targets.js';
import { megabytes, printTable, ratio, saveResult, seconds, withoutOutput } from './report.js';
import { summaryOf, syncArgs } from './tapline.js';

export interface MergeOptions {
  /** Of the table that is merged into. */
  readonly rows?: number;
  /** Four in five of them change a row, spread over the table; the others are new. */
  readonly changes?: number;
  readonly repetitions?: number;
  /** Default: both. */
  readonly engine?: string;
  /** Default: yes. */
  readonly save?: boolean;
}

/** A few changes into a large table: a whole sync beside the statement that a hand would write for this one table. */
export async function merge({ rows = 10_000_000, changes = 100_000, repetitions = 3, engine, save = true }: MergeOptions = {}): Promise<void> {
  const server = await startBenchServer();
  const dir = await mkdtemp(join(tmpdir(), 'tapline-bench-'));
  try {
    for (const [name, target] of Object.entries({ duckdb: duckdbMerge, postgres: postgresMerge })) {
      if (engine !== undefined && engine !== name) continue;
      const source = await sourceOf(server);
      const into = await target(server, join(dir, `${name}.db`), source);
      const medians = await run({ server, dir: join(dir, name), source, into, rows, changes, repetitions });
      const hand = medians['by hand']!.measured;
      console.log(`\n${name}: ${changes.toLocaleString('en')} changes into ${rows.toLocaleString('en')} rows; medians of ${repetitions}\n`);
      printTable([
        ['', 'wall', 'to hand', 'changes/s', 'CPU', 'CPU postgres', 'peak RSS', 'peak PSS'],
        ...Object.entries(medians).map(([contestant, { measured: m }]) => [
          contestant, seconds(m.wallSeconds), ratio(m.wallSeconds / hand.wallSeconds), Math.round(changes / m.wallSeconds).toLocaleString('en'),
          seconds(m.cpuSeconds), seconds(m.postgresCpuSeconds), megabytes(m.peakRssBytes), megabytes(m.peakPssBytes),
        ]),
      ]);
      if (save) await saveResult(`merge-${name}`, { rows, changes, medians: Object.fromEntries(Object.entries(medians).map(([contestant, { measured, all }]) => [contestant, { measured, all: all.map(withoutOutput) }])) });
    }
  } finally {
    await server.stop();
    await rm(dir, { recursive: true, force: true });
  }
}

interface Run {
  readonly server: PostgresServer;
  readonly dir: string;
  readonly source: string;
  readonly into: MergeTarget;
  readonly rows: number;
  readonly changes: number;
  readonly repetitions: number;
}

interface Outcome {
  readonly measured: ReturnType<typeof medianOf>;
  readonly all: readonly Measured[];
}

async function run({ server, dir, source, into, rows, changes, repetitions }: Run): Promise<Record<string, Outcome>> {
  const [state, kept] = [join(dir, 'state'), join(dir, 'kept')];
  const postgresPid = server.pid;
  const sync = (): Promise<Measured> =>
    measure(process.execPath, syncArgs({ source, dest: into.uri, stateDir: state, more: ['--mode', 'public.events=incremental:updated_at/append_dedup'] }), { postgresPid });
  const database = server.database('bench_changes');
  await sync();
  // The rest of the table comes by hand: through a sync it would take as long as ten of the other benches.
  console.log(`Filling the table, once`);
  await into.fill(rows);
  await cp(state, kept, { recursive: true });
  await database.query(`TRUNCATE events; INSERT INTO events SELECT i, i % 1000, (i % 999) / 10.0, 'changed', 'order ' || i || ' of ' || md5(i::text) || ', changed at the door',
      timestamptz '2025-01-01', jsonb_build_object('sku', md5(i::text), 'count', i % 9), i % 2 = 0, sin(i), timestamptz '2026-06-01' + k * interval '1 second'
    FROM (SELECT k, CASE WHEN k % 5 = 0 THEN ${rows} + k ELSE (k * 99991) % ${rows} END AS i FROM generate_series(1, ${changes}::bigint) k) c ON CONFLICT DO NOTHING`);
  const contestants: Record<string, () => Promise<Measured>> = {
    'by hand': () => measure('/bin/sh', ['-c', into.byHand], { postgresPid }),
    tapline: async () => {
      await rm(state, { recursive: true, force: true });
      await cp(kept, state, { recursive: true });
      return sync();
    },
  };
  const runs: Record<string, Measured[]> = { 'by hand': [], tapline: [] };
  const sums: string[] = [];
  for (let repetition = 0; repetition < repetitions; repetition++) {
    for (const [name, contestant] of Object.entries(contestants)) {
      await into.restore();
      runs[name]!.push(await contestant());
      if (repetition === 0) sums.push(JSON.stringify(await into.digest()));
    }
    process.stdout.write('.');
  }
  console.log();
  if (new Set(sums).size !== 1) throw new Error(`the rows differ:\n  by hand ${sums[0]}\n  tapline ${sums[1]}`);
  const { records } = summaryOf(runs['tapline']![0]!.stdout);
  if (records < changes * 0.9) throw new Error(`only ${records} changes were synced`);
  await into.drop();
  return Object.fromEntries(Object.entries(runs).map(([name, all]) => [name, { measured: medianOf(all), all }]));
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
