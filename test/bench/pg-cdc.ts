import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestDatabase } from '../services/index.js';
import { backlogShape, createEvents, digestOfEvents, foldedEvents, microsInDuckdb, microsInPostgres, runBacklog } from './cdc-backlog.js';
import { findFloor } from './cdc-floor.js';
import { cdcLatency, type Latency } from './cdc-latency.js';
import { cdcSource, lsnOf, startCdcServer } from './cdc-server.js';
import { measure, medianOf, type Measured } from './measure.js';
import { megabytes, printTable, ratio, saveResult, seconds, withoutOutput } from './report.js';
import { benchProgram, summaryOf, syncArgs } from './tapline.js';

export interface PgCdcOptions {
  /** Of the backlog. 0: no backlog. */
  readonly changes?: number;
  readonly repetitions?: number;
  /** Of the measurement of latency, in seconds. 0: none. */
  readonly latencySeconds?: number;
  /** A smoke test keeps no results. */
  readonly save?: boolean;
}

interface Sync {
  readonly name: string;
  /** The run over the backlog. */
  catchUp(): Promise<Measured>;
}

/** Changes from a backlog into Parquet and to nothing, beside the least that can read a slot; then the time from a commit to the file. */
export async function pgCdc({ changes = 1_000_000, repetitions = 3, latencySeconds = 30, save = true }: PgCdcOptions = {}): Promise<void> {
  const server = await startCdcServer();
  const dir = await mkdtemp(join(tmpdir(), 'tapline-bench-'));
  try {
    const throughput = changes > 0 ? await backlog({ database: await server.createDatabase('shop'), dir, postgresPid: server.pid, changes, repetitions }) : {};
    const latency = latencySeconds > 0 ? await cdcLatency({ database: await server.createDatabase('ticks'), dir, perSecond: 500, seconds: latencySeconds, flushMs: 200 }) : undefined;
    if (latency) printLatency(latency);
    if (save) await saveResult('pg-cdc', { ...throughput, latency });
  } finally {
    await server.stop();
    await rm(dir, { recursive: true, force: true });
  }
}

async function backlog(options: { database: TestDatabase; dir: string; postgresPid: number; changes: number; repetitions: number }): Promise<object> {
  const { database, dir, postgresPid, changes, repetitions } = options;
  const shape = backlogShape(changes);
  await createEvents(database);
  const floor = findFloor(database);
  const rounds = Array.from({ length: repetitions }, (_, round) => round);
  const nothing = await nullDestination(dir);

  // Everybody who is to read the backlog is there before it: the floor by a slot, our runs by a first run over the empty table.
  await database.query('CREATE PUBLICATION floor FOR TABLE events');
  await database.query(`SELECT pg_create_logical_replication_slot('floor', 'pgoutput')`);
  const prepare = async (name: string, dest: string, more: readonly string[] = []): Promise<Sync> => {
    const args = syncArgs({ source: cdcSource(database.url), dest, stateDir: join(dir, 'state'), more: ['--sync', name, '--streams', 'public.events', ...more] });
    const run = () => measure(process.execPath, args, { postgresPid, cwd: dir });
    await run();
    return { name, catchUp: run };
  };
  const config = join(dir, 'empty.json');
  await writeFile(config, '{}');
  const lakes = rounds.map((round) => join(dir, `lake-${round}`));
  const toParquet: Sync[] = [];
  const toNothing: Sync[] = [];
  for (const round of rounds) {
    toParquet.push(await prepare(`parquet-${round}`, lakes[round]!));
    toNothing.push(await prepare(`nothing-${round}`, nothing, ['--dest-config', config]));
  }

  console.log(`A backlog of ${changes.toLocaleString('en')} changes: ${shape.tenThousands} transactions of 10,000, ${shape.hundreds.toLocaleString('en')} of 100, ${shape.singles.toLocaleString('en')} of 1; half insert, 30% update, 20% delete`);
  const [begun] = await database.query<{ lsn: string }>('SELECT pg_current_wal_insert_lsn()::text AS lsn');
  await runBacklog(database, shape);
  const [{ lsn: end } = { lsn: '' }] = await database.query<{ lsn: string }>('CHECKPOINT; SELECT pg_current_wal_flush_lsn()::text AS lsn');
  const walBytes = Number(lsnOf(end) - lsnOf(begun?.lsn ?? ''));

  const names = { floor: floor.name, parquet: 'tapline to Parquet', nothing: 'tapline to nothing' };
  const runs: Record<string, Measured[]> = { [names.floor]: [], [names.parquet]: [], [names.nothing]: [] };
  for (const round of rounds) {
    await database.query(`SELECT pg_copy_logical_replication_slot('floor', 'floor_${round}')`);
    const { command, args, env } = floor.command(`floor_${round}`, 'floor', end);
    runs[names.floor]?.push(await measure(command, args, { postgresPid, env }));
    runs[names.parquet]?.push(await covered(toParquet[round]!, changes));
    runs[names.nothing]?.push(await covered(toNothing[round]!, changes));
    process.stdout.write('.');
  }
  console.log();
  const idle = await toParquet.at(-1)?.catchUp();
  for (const lake of lakes) await sameRows(database, lake, changes);
  await moved(database, end);

  const medians = Object.fromEntries(Object.entries(runs).map(([name, all]) => [name, medianOf(all)]));
  const rate = (name: string) => changes / (medians[name]?.wallSeconds ?? Number.NaN);
  console.log(`${floor.name}: ${floor.found}\n${megabytes(walBytes)} of log; medians of ${repetitions}, each with the start of its processes\n`);
  printTable([
    ['', 'wall', 'changes/s', 'to floor', 'CPU a change', 'CPU postgres', 'peak RSS', 'peak PSS'],
    ...Object.entries(medians).map(([name, m]) => [
      name, seconds(m.wallSeconds), Math.round(rate(name)).toLocaleString('en'), ratio(rate(name) / rate(names.floor)),
      `${((m.cpuSeconds / changes) * 1e6).toFixed(1)} us`, seconds(m.postgresCpuSeconds), megabytes(m.peakRssBytes), megabytes(m.peakPssBytes),
    ]),
    ...(idle ? [['a run with nothing to do', seconds(idle.wallSeconds), '', '', '', seconds(idle.postgresCpuSeconds), megabytes(idle.peakRssBytes), megabytes(idle.peakPssBytes)]] : []),
  ]);
  if (idle) {
    const net = [names.parquet, names.nothing].map((name) => changes / ((medians[name]?.wallSeconds ?? Number.NaN) - idle.wallSeconds));
    console.log(`\nLess what a run costs that has nothing to do: ${net.map((each) => `${Math.round(each).toLocaleString('en')} changes/s (${ratio(each / rate(names.floor))})`).join(' to Parquet, ')} to nothing`);
  }
  for (const name of [names.parquet, names.nothing]) {
    const parts = Object.entries(runs[name]?.at(-1)?.cpuOf ?? {}).sort(([, a], [, b]) => b - a);
    const memory = Object.entries(runs[name]?.at(-1)?.atPeak ?? {}).sort(([, a], [, b]) => b - a);
    console.log(`\n${name}, the last run: CPU ${parts.map(([process, cpu]) => `${process} ${seconds(cpu)}`).join(', ')}; at the peak ${memory.map(([process, bytes]) => `${process} ${megabytes(bytes)}`).join(', ')}`);
  }
  const all = Object.fromEntries(Object.entries(runs).map(([name, each]) => [name, each.map(withoutOutput)]));
  return { shape, walBytes, floor: floor.found, medians, idle: idle && withoutOutput(idle), runs: all };
}

/** What was not all of the backlog is no time for it. */
async function covered(sync: Sync, changes: number): Promise<Measured> {
  const measured = await sync.catchUp();
  const { records } = summaryOf(measured.stdout);
  if (records !== changes) throw new Error(`${sync.name}: ${records} records for ${changes} changes`);
  return measured;
}

/** Each change once, and folded by key the table as it is. */
async function sameRows(database: TestDatabase, lake: string, changes: number): Promise<void> {
  const files = join(lake, 'public/events/**/*.parquet');
  const ask = async (sql: string) => JSON.parse((await measure(process.execPath, [benchProgram('duckdb-run.js'), sql], { memory: false })).stdout) as Record<string, unknown>[];
  const [counts] = await ask(`SELECT count(*) AS n, count(DISTINCT _tapline_order) AS orders FROM '${files}'`);
  if (Number(counts?.['n']) !== changes || Number(counts?.['orders']) !== changes) throw new Error(`${changes} changes, and in the lake ${JSON.stringify(counts)}`);
  const [theirs] = await database.query(digestOfEvents('events', microsInPostgres));
  const [ours] = await ask(digestOfEvents(foldedEvents(files), microsInDuckdb));
  if (JSON.stringify(theirs) !== JSON.stringify(ours)) throw new Error(`the rows differ:\n  PostgreSQL ${JSON.stringify(theirs)}\n  the lake   ${JSON.stringify(ours)}`);
}

/** What is durable is confirmed: no slot of ours holds the log of the backlog any more. */
async function moved(database: TestDatabase, end: string): Promise<void> {
  const behind = await database.query(`SELECT slot_name FROM pg_replication_slots WHERE slot_name LIKE 'tapline%' AND confirmed_flush_lsn < '${end}'::pg_lsn`);
  if (behind.length > 0) throw new Error(`behind the backlog's end: ${JSON.stringify(behind)}`);
}

async function nullDestination(dir: string): Promise<string> {
  const file = join(dir, 'null-destination');
  await writeFile(file, `#!/bin/sh\nexec '${process.execPath}' '${benchProgram('null-destination.js')}' "$@"\n`);
  await chmod(file, 0o755);
  return file;
}

function printLatency(latency: Latency): void {
  const ms = (value: number) => `${value.toFixed(0)} ms`;
  console.log(`\nFrom commit to the file that a reader sees, at ${latency.perSecond} transactions/s, ${latency.transactions.toLocaleString('en')} of them in ${latency.files} files\n`);
  printTable([
    ['flush', 'p50', 'p90', 'p99', 'max', 'p99 - flush', 'CPU', 'peak PSS'],
    [ms(latency.flushMs), ms(latency.p50Ms), ms(latency.p90Ms), ms(latency.p99Ms), ms(latency.maxMs), ms(latency.p99Ms - latency.flushMs), seconds(latency.cpuSeconds), megabytes(latency.peakPssBytes)],
  ]);
}
