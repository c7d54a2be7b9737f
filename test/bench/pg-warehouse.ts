import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PostgresServer } from '../services/index.js';
import { mixedTable, startBenchServer } from './bench-server.js';
import { measure, medianOf, type Measured } from './measure.js';
import { printTable, ratio, megabytes, saveResult, seconds, withoutOutput } from './report.js';
import { summaryOf, syncArgs } from './tapline.js';
import { askDuckdb, digestSql, hasPsql, pipeIntoDuckdb, pipeIntoPostgres } from './warehouse-hand.js';

export interface PgWarehouseOptions {
  readonly rows?: number;
  readonly repetitions?: number;
  readonly transport?: string;
  /** Default: yes. */
  readonly save?: boolean;
}

/** One kind of warehouse: how it is made empty, how a hand fills it, and what is in it. */
interface Target {
  readonly pipe: { readonly shell: string; digest(): Promise<unknown>; empty(): Promise<void> };
  readonly tapline: { readonly uri: string; digest(): Promise<unknown>; empty(): Promise<void> };
}

/** A table into a DuckDB file: our sync beside the pipe that an expert would type. */
export const pgDuckdb = (options: PgWarehouseOptions = {}): Promise<void> => bench('pg-duckdb', options);
/** A table into another database of the same server, likewise. */
export const pgPg = (options: PgWarehouseOptions = {}): Promise<void> => bench('pg-pg', options);

async function bench(scenario: 'pg-duckdb' | 'pg-pg', { rows = 1_000_000, repetitions = 5, transport = 'json', save = true }: PgWarehouseOptions): Promise<void> {
  const server = await startBenchServer();
  const dir = await mkdtemp(join(tmpdir(), 'tapline-bench-'));
  try {
    const { url } = await mixedTable(server, rows);
    const { pipe, tapline } = await (scenario === 'pg-duckdb' ? duckdbTarget : postgresTarget)(server, dir, url);
    const postgresPid = server.pid;
    const contestants: Record<string, () => Promise<Measured>> = {
      'hand pipe': async () => {
        await pipe.empty();
        return measure('/bin/sh', ['-c', pipe.shell], { postgresPid });
      },
      tapline: async () => {
        await tapline.empty();
        await rm(join(dir, 'state'), { recursive: true, force: true });
        return measure(process.execPath, syncArgs({ source: url, dest: tapline.uri, stateDir: join(dir, 'state'), more: ['--transport', transport] }), { postgresPid, cwd: dir });
      },
    };
    const runs: Record<string, Measured[]> = Object.fromEntries(Object.keys(contestants).map((name) => [name, []]));
    for (let repetition = 0; repetition <= repetitions; repetition++) {
      for (const [name, run] of Object.entries(contestants)) {
        const measured = await run();
        // The first round warms the caches.
        if (repetition > 0) runs[name]?.push(measured);
      }
      process.stdout.write('.');
    }
    console.log();
    const [theirs, ours] = [JSON.stringify(await pipe.digest()), JSON.stringify(await tapline.digest())];
    if (theirs !== ours || !ours.includes(`"${rows}"`)) throw new Error(`the rows differ:\n  hand pipe ${theirs}\n  tapline   ${ours}`);
    const medians = Object.fromEntries(Object.entries(runs).map(([name, all]) => [name, medianOf(all)]));
    const hand = medians['hand pipe']!;
    const json = summaryOf(runs['tapline']?.[0]?.stdout ?? '');
    console.log(`${rows.toLocaleString('en')} rows of 9 columns, ${megabytes(json.bytes)} as JSON lines; medians of ${repetitions}\n`);
    printTable([
      ['', 'wall', 'speed to pipe', 'rows/s', 'CPU', 'CPU postgres', 'CPU to pipe', 'peak RSS', 'peak PSS'],
      ...Object.entries(medians).map(([name, m]) => [
        name, seconds(m.wallSeconds), ratio(hand.wallSeconds / m.wallSeconds), Math.round(rows / m.wallSeconds).toLocaleString('en'),
        seconds(m.cpuSeconds), seconds(m.postgresCpuSeconds), ratio((m.cpuSeconds + m.postgresCpuSeconds) / (hand.cpuSeconds + hand.postgresCpuSeconds)),
        megabytes(m.peakRssBytes), megabytes(m.peakPssBytes),
      ]),
    ]);
    const parts = Object.entries(runs['tapline']?.at(-1)?.cpuOf ?? {}).sort(([, a], [, b]) => b - a);
    console.log(`\nCPU of the last run: ${parts.map(([process, cpu]) => `${process} ${seconds(cpu)}`).join(', ')}`);
    const all = Object.fromEntries(Object.entries(runs).map(([name, each]) => [name, each.map(withoutOutput)]));
    if (save) await saveResult(scenario, { rows, transport, jsonBytes: json.bytes, medians, runs: all });
  } finally {
    await server.stop();
    await rm(dir, { recursive: true, force: true });
  }
}

async function duckdbTarget(_server: PostgresServer, dir: string, source: string): Promise<Target> {
  const [hand, ours] = [join(dir, 'hand.db'), join(dir, 'tapline.db')];
  return {
    pipe: { shell: pipeIntoDuckdb(await hasPsql(), source, hand), digest: () => askDuckdb(hand, digestSql('w.events')), empty: () => rm(hand, { force: true }) },
    tapline: { uri: `duckdb://${ours}`, digest: () => askDuckdb(ours, digestSql('w.public.events')), empty: () => rm(ours, { force: true }) },
  };
}

/** The hand's table is made beforehand, as ours has no key either: an overwrite of a stream declares none. */
async function postgresTarget(server: PostgresServer, _dir: string, source: string): Promise<Target> {
  const fresh = async (name: string): Promise<void> => {
    const admin = server.database('postgres');
    await admin.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
    await admin.query(`CREATE DATABASE ${name}`);
    // What the one before left to write is not this one's to wait for.
    await admin.query('CHECKPOINT');
  };
  const database = (name: string) => server.database(name);
  return {
    pipe: {
      shell: pipeIntoPostgres(await hasPsql(), source, database('bench_hand').url),
      digest: () => database('bench_hand').query(digestSql('events')),
      empty: async () => {
        await fresh('bench_hand');
        await database('bench_hand').query('CREATE TABLE events (id bigint, customer_id integer, amount numeric(12,2), status text, note text, created_at timestamptz, attributes jsonb, paid boolean, score double precision)');
      },
    },
    tapline: { uri: database('bench_tapline').url, digest: () => database('bench_tapline').query(digestSql('public.events')), empty: () => fresh('bench_tapline') },
  };
}
