import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cdcSource, lsnOf, startCdcServer } from '../bench/cdc-server.js';
import { measure, type Measured } from '../bench/measure.js';
import { pssBytes, sampleTree } from '../bench/proc.js';
import { benchProgram, summaryOf, syncArgs } from '../bench/tapline.js';
import { start, type Running } from '../harness/tapline.js';
import type { PostgresServer, TestDatabase } from '../services/index.js';

export interface WorldOptions {
  /** Settings of the server. */
  readonly conf?: Record<string, string | number>;
  /** SQL that fills the database. */
  readonly seed?: string;
}

export interface Slot {
  readonly name: string;
  readonly active: boolean;
  readonly confirmed: bigint;
  /** Bytes of log that it holds. */
  readonly retained: number;
  readonly walStatus: string;
}

/** A server, a database and a folder of a scenario's own, gone with it. */
export interface World extends AsyncDisposable {
  readonly server: PostgresServer;
  readonly database: TestDatabase;
  readonly dir: string;
  /** Runs the sync to its end; fails if it fails. */
  sync(more?: readonly string[]): Promise<Measured & { readonly records: number }>;
  /** Starts it to stay. */
  follow(more?: readonly string[]): Running;
  /** Asks DuckDB. */
  ask<Row extends Record<string, unknown>>(sql: string): Promise<Row[]>;
  /** The Parquet files of a table in the schema public. `*`: of all. */
  files(table: string): string;
  countFiles(): Promise<number>;
  /** Of the sync in this database; exactly one. */
  slot(): Promise<Slot>;
}

export async function createWorld({ conf, seed }: WorldOptions = {}): Promise<World> {
  const server = await startCdcServer(conf);
  const dir = await mkdtemp(join(tmpdir(), 'tapline-scale-'));
  const running: Running[] = [];
  const dispose = async () => {
    for (const run of running) run.kill('SIGKILL');
    await Promise.all(running.map((run) => run.done));
    await server.stop();
    await rm(dir, { recursive: true, force: true });
  };
  try {
    const database = await server.createDatabase('shop');
    if (seed) await database.query(seed);
    const lake = join(dir, 'lake');
    const argv = (more: readonly string[]) => syncArgs({ source: cdcSource(database.url), dest: lake, stateDir: join(dir, 'state'), more: ['--sync', 'scale', ...more] });
    return {
      server,
      database,
      dir,
      async sync(more = []) {
        const measured = await measure(process.execPath, argv(more), { cwd: dir, postgresPid: server.pid });
        return { ...measured, records: summaryOf(measured.stdout).records };
      },
      follow(more = []) {
        const run = start(argv(['--continuous', ...more]).slice(1), { cwd: dir, timeoutMs: 24 * 3_600_000 });
        running.push(run);
        return run;
      },
      async ask<Row extends Record<string, unknown>>(sql: string) {
        const { stdout } = await measure(process.execPath, [benchProgram('duckdb-run.js'), sql], { memory: false });
        return JSON.parse(stdout) as Row[];
      },
      files: (table) => join(lake, 'public', table, '**', '*.parquet'),
      async countFiles() {
        const names = await readdir(join(lake, 'public'), { recursive: true }).catch(() => []);
        return names.filter((name) => name.endsWith('.parquet')).length;
      },
      async slot() {
        const rows = await database.query<{ name: string; active: boolean; confirmed: string; retained: string; status: string }>(
          `SELECT slot_name::text AS name, active, confirmed_flush_lsn::text AS confirmed, (pg_current_wal_lsn() - restart_lsn)::text AS retained, wal_status AS status
             FROM pg_replication_slots WHERE database = current_database() AND NOT temporary`,
        );
        const [row] = rows;
        assert(row && rows.length === 1, `one slot, not ${rows.length}`);
        return { name: row.name, active: row.active, confirmed: lsnOf(row.confirmed), retained: Number(row.retained), walStatus: row.status };
      },
      [Symbol.asyncDispose]: dispose,
    };
  } catch (error) {
    await dispose();
    throw error;
  }
}

/** Ends a run that stays, as its user would; it must end well. */
export async function endWell(run: Running): Promise<void> {
  run.kill('SIGTERM');
  const outcome = await run.done;
  assert.equal(outcome.exitCode, 0, `ended by SIGTERM:\n${outcome.stderr.slice(-3000)}\n${outcome.stdout.slice(-2000)}`);
}

/** Bytes that the processes below one take now; what they share counts once. */
export const memoryOf = (pid: number): number => sampleTree(pid).reduce((sum, one) => sum + pssBytes(one.pid), 0);

export async function position(database: TestDatabase): Promise<bigint> {
  const [row] = await database.query<{ lsn: string }>('SELECT pg_current_wal_lsn()::text AS lsn');
  return lsnOf(row?.lsn ?? '');
}
