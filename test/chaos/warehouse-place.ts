/** A warehouse that a crash test writes: what is told to a run, and how it is looked at from outside without healing anything. */
import { copyFile, mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from '../harness/processes.js';
import { queryDuckdb, queryPostgres, testWarehouse, type TestWarehouse, type WarehouseKind, type WarehouseRow } from '../harness/warehouse.js';
import { startNetwork, type Network } from '../services/network.js';
import { startPostgres, type PostgresServer } from '../services/postgres.js';
import { testDatabase } from '../services/shared.js';
import type { TestDatabase } from '../services/test-database.js';

export type { WarehouseKind, WarehouseRow } from '../harness/warehouse.js';

/** A server of the test's own for the warehouse, that it may kill, and the way to it. */
export interface WarehouseServer {
  readonly postgres: PostgresServer;
  readonly network: Network;
  /** A database in it, through the network. */
  access(): Promise<WarehouseAccess>;
  stop(): Promise<void>;
}

export async function startWarehouseServer(kind: Exclude<WarehouseKind, 'duckdb'>): Promise<WarehouseServer> {
  const postgres = await startPostgres({ version: kind === 'postgres18' ? 18 : 14 });
  const network = await startNetwork({ host: postgres.host, port: postgres.port });
  return {
    postgres,
    network,
    access: async () => ({ database: await postgres.createDatabase(), port: network.port }),
    async stop() {
      await network.stop();
      await postgres.stop();
    },
  };
}

/** What a reader sees. */
export interface Sight {
  readonly kind: WarehouseKind;
  /** The last statement's rows. */
  query(sql: string): Promise<WarehouseRow[]>;
  /** Names of the tables of `schema` that exist. */
  tables(schema: string): Promise<ReadonlySet<string>>;
}

export interface ChaosWarehouse {
  readonly kind: WarehouseKind;
  /** As `--dest` takes it, without options. */
  readonly uri: string;
  /** What `destination-warehouse` takes as its configuration. */
  readonly config: Readonly<Record<string, string | number>>;
  /** Of PostgreSQL: the database, past the network. */
  readonly database?: TestDatabase;
  /** Of DuckDB it reads a copy: what a crash left for the next run to recover stays as it is. */
  look<Seen>(use: (at: Sight) => Promise<Seen>): Promise<Seen>;
  /** What runs that ended left behind: tables of generations that nobody goes on with, sessions. */
  leftovers(): Promise<string[]>;
  dispose(): Promise<void>;
}

/** Of PostgreSQL. */
export interface WarehouseAccess {
  /** Default: one in the server that all tests share. */
  readonly database?: TestDatabase;
  /** What runs connect to, if there is something in between. */
  readonly port?: number;
}

export async function chaosWarehouse(kind: WarehouseKind, access: WarehouseAccess = {}): Promise<ChaosWarehouse> {
  const at = kind === 'duckdb' ? await duckdb() : await postgres(kind, access);
  return { ...at, leftovers: async () => [...(await at.look(async (sight) => strays(await sight.tables('_tapline')))), ...(await sessions(at.database))] };
}

type Engine = Omit<ChaosWarehouse, 'leftovers'>;

const sightOf = (kind: WarehouseKind, query: Sight['query']): Sight => ({
  kind,
  query,
  tables: async (schema) => new Set((await query(`SELECT table_name AS name FROM information_schema.tables WHERE table_schema = '${schema}'`)).map(({ name }) => String(name))),
});

async function duckdb(): Promise<Engine> {
  const { kind, uri, config, path, dispose }: TestWarehouse = await testWarehouse('duckdb');
  return {
    kind,
    uri,
    config,
    dispose,
    async look(use) {
      const folder = await mkdtemp(join(tmpdir(), 'tapline-look-'));
      try {
        const copy = join(folder, 'house.db');
        for (const part of ['', '.wal']) if (await stat(path! + part).catch(() => undefined)) await copyFile(path! + part, copy + part);
        return await use(sightOf(kind, (sql) => queryDuckdb(copy, sql)));
      } finally {
        await rm(folder, { recursive: true, force: true });
      }
    },
  };
}

async function postgres(kind: Exclude<WarehouseKind, 'duckdb'>, { port, ...access }: WarehouseAccess): Promise<Engine> {
  const database = access.database ?? (await testDatabase(kind === 'postgres18' ? 18 : 14));
  const { host, user, password, name } = database;
  const uri = new URL(database.url);
  if (port !== undefined) uri.port = String(port);
  return {
    kind,
    uri: uri.href,
    config: { engine: 'postgres', host, port: Number(uri.port), database: name, user, password },
    database,
    look: (use) => use(sightOf(kind, (sql) => queryPostgres(database, sql))),
    dispose: () => database.drop(),
  };
}

const ours = /^_tapline_(checkpoint|tables|columns|quarantine)$/;

const strays = (tables: ReadonlySet<string>): string[] => [...tables].filter((name) => !ours.test(name)).map((name) => `_tapline.${name} was left behind`);

/** A session outlives its process by a moment. */
async function sessions(database: TestDatabase | undefined): Promise<string[]> {
  if (!database) return [];
  const open = () => database.query<{ name: string; state: string }>(`SELECT application_name AS name, state FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'tapline%'`);
  await until('the sessions of dead writers end', async () => (await open()).length === 0, 5_000).catch(() => {});
  return (await open()).map(({ name, state }) => `the session of a dead writer is still there: ${name}, ${state}`);
}
