import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestDatabase } from '../services/index.js';
import { askDuckdb } from './ask-duckdb.js';
import { backlogShape, createEvents, foldedEvents, runBacklog } from './cdc-backlog.js';
import { findFloor } from './cdc-floor.js';
import { cdcLatency, type Latency } from './cdc-latency.js';
import { cdcSource, lsnOf, startCdcServer } from './cdc-server.js';
import { digestInDuckdb, digestInPostgres, requireSameRows } from './events-digest.js';
import { keptRuns, mediansOf, profileOf } from './comparison.js';
import { measure, type Measured } from './measure.js';
import { count, megabytes, ratio, report, seconds, withoutOutput } from './report.js';
import { benchProgram, summaryOf, syncArgs, transportsOf } from './tapline.js';

export interface PgCdcOptions {
  /** Of the backlog. 0: no backlog. */
  readonly changes?: number;
  readonly repetitions?: number;
  /** Of the measurement of latency, in seconds. 0: none. */
  readonly latencySeconds?: number;
  readonly transport?: string;
  /** A smoke test keeps no results. */
  readonly save?: boolean;
}

interface Sync {
  readonly name: string;
  /** The run over the backlog. */
  catchUp(): Promise<Measured>;
}

/** Changes from a backlog into Parquet and to nothing, beside the least that can read a slot; then the time from a commit to the file. */
export async function pgCdc({ changes = 1_000_000, repetitions = 3, latencySeconds = 30, transport, save = true }: PgCdcOptions = {}): Promise<void> {
  const server = await startCdcServer();
  const dir = await mkdtemp(join(tmpdir(), 'tapline-bench-'));
  try {
    if (changes > 0) await backlog({ database: await server.createDatabase('shop'), dir, postgresPid: server.pid, changes, repetitions, transports: transportsOf(transport), save });
    if (latencySeconds > 0) await reportLatency(await cdcLatency({ database: await server.createDatabase('ticks'), dir, perSecond: 500, seconds: latencySeconds, flushMs: 200 }), save);
  } finally {
    await server.stop();
    await rm(dir, { recursive: true, force: true });
  }
}

interface Backlog {
  readonly database: TestDatabase;
  readonly dir: string;
  readonly postgresPid: number;
  readonly changes: number;
  readonly repetitions: number;
  readonly transports: readonly string[];
  readonly save: boolean;
}

async function backlog({ database, dir, postgresPid, changes, repetitions, transports, save }: Backlog): Promise<void> {
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
  const lakes: string[] = [];
  const syncs: Record<string, Sync[]> = Object.fromEntries([...transports.map((transport) => [toParquet(transport), []]), [toNothing, []]]);
  for (const round of rounds) {
    for (const transport of transports) {
      const lake = join(dir, `lake-${transport}-${round}`);
      lakes.push(lake);
      syncs[toParquet(transport)]!.push(await prepare(`${transport}-${round}`, lake, ['--transport', transport]));
    }
    syncs[toNothing]!.push(await prepare(`nothing-${round}`, nothing, ['--dest-config', config]));
  }

  console.log(`A backlog of ${changes.toLocaleString('en')} changes: ${shape.tenThousands} transactions of 10,000, ${shape.hundreds.toLocaleString('en')} of 100, ${shape.singles.toLocaleString('en')} of 1; half insert, 30% update, 20% delete`);
  const [begun] = await database.query<{ lsn: string }>('SELECT pg_current_wal_insert_lsn()::text AS lsn');
  await runBacklog(database, shape);
  const [{ lsn: end } = { lsn: '' }] = await database.query<{ lsn: string }>('CHECKPOINT; SELECT pg_current_wal_flush_lsn()::text AS lsn');
  const walBytes = Number(lsnOf(end) - lsnOf(begun?.lsn ?? ''));

  const runs: Record<string, Measured[]> = Object.fromEntries([floor.name, ...Object.keys(syncs)].map((name) => [name, []]));
  for (const round of rounds) {
    await database.query(`SELECT pg_copy_logical_replication_slot('floor', 'floor_${round}')`);
    const { command, args, env } = floor.command(`floor_${round}`, 'floor', end);
    runs[floor.name]!.push(await measure(command, args, { postgresPid, env }));
    for (const [name, all] of Object.entries(syncs)) runs[name]!.push(await covered(all[round]!, changes));
    process.stdout.write('.');
  }
  console.log();
  const idle = await syncs[toParquet(transports[0]!)]!.at(-1)!.catchUp();
  for (const lake of lakes) await sameRows(database, lake, changes);
  await moved(database, end);

  const medians = mediansOf(runs);
  const rate = (name: string, less = 0) => changes / (medians[name]!.wallSeconds - less);
  const best = Object.keys(syncs).filter((name) => name !== toNothing).at(-1)!;
  await report({
    scenario: 'pg-cdc', save,
    title: `a backlog of ${count(changes)} changes, ${megabytes(walBytes)} of log; medians of ${repetitions}, each with the start of its processes`,
    table: [
      ['', 'wall', 'changes/s', 'MB of log/s', 'to floor', 'less start, to floor', 'CPU a change', 'CPU postgres', 'peak RSS', 'peak PSS'],
      ...Object.entries(medians).map(([name, m]) => [
        name, seconds(m.wallSeconds), count(Math.round(rate(name))), (walBytes / m.wallSeconds / 1e6).toFixed(0), ratio(rate(name) / rate(floor.name)),
        name === floor.name || m.wallSeconds <= idle.wallSeconds ? '' : ratio(rate(name, idle.wallSeconds) / rate(floor.name)),
        `${((m.cpuSeconds / changes) * 1e6).toFixed(1)} us`, seconds(m.postgresCpuSeconds), megabytes(m.peakRssBytes), megabytes(m.peakPssBytes),
      ]),
      ['a run with nothing to do', seconds(idle.wallSeconds), '', '', '', '', '', seconds(idle.postgresCpuSeconds), megabytes(idle.peakRssBytes), megabytes(idle.peakPssBytes)],
    ],
    notes: [`${floor.name}: ${floor.found}`, ...Object.keys(syncs).flatMap((name) => profileOf(name, runs))],
    bars: [
      { what: `${best}, rate to the floor's`, value: rate(best) / rate(floor.name), atLeast: 0.5 },
      { what: `${best}, CPU a change`, value: (medians[best]!.cpuSeconds / changes) * 1e6, atMost: 15, as: (value) => `${value.toFixed(1)} us` },
    ],
    figures: { shape, changes, walBytes, repetitions, floor: floor.found, medians, idle: withoutOutput(idle), runs: keptRuns(runs) },
  });
}

const toNothing = 'tapline to nothing';
const toParquet = (transport: string): string => `tapline to Parquet, ${transport}`;

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
  const [counts] = await askDuckdb(`SELECT count(*) AS n, count(DISTINCT _tapline_order) AS orders FROM '${files}'`);
  if (Number(counts?.['n']) !== changes || Number(counts?.['orders']) !== changes) throw new Error(`${changes} changes, and in the lake ${JSON.stringify(counts)}`);
  await requireSameRows(await digestInPostgres(database), { 'the lake': await digestInDuckdb(foldedEvents(files)) });
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

async function reportLatency(latency: Latency, save: boolean): Promise<void> {
  const ms = (value: number) => `${value.toFixed(0)} ms`;
  await report({
    scenario: 'pg-cdc-latency', save,
    title: `from commit to the file that a reader sees, at ${latency.perSecond} transactions/s, ${count(latency.transactions)} of them in ${count(latency.files)} files`,
    table: [
      ['flush', 'p50', 'p90', 'p99', 'max', 'p99 - flush', 'CPU', 'peak PSS'],
      [ms(latency.flushMs), ms(latency.p50Ms), ms(latency.p90Ms), ms(latency.p99Ms), ms(latency.maxMs), ms(latency.p99Ms - latency.flushMs), seconds(latency.cpuSeconds), megabytes(latency.peakPssBytes)],
    ],
    figures: { latency },
  });
}
