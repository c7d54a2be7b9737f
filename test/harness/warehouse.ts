/** Where a test's rows arrive, if not in a lake: a DuckDB file or a PostgreSQL database of the test's own, looked at from outside. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  DuckDBBlobValue, DuckDBDateValue, DuckDBDecimalValue, DuckDBInstance, DuckDBTimestampTZValue, DuckDBTimestampValue, DuckDBTimeValue, DuckDBUUIDValue, type DuckDBValue,
} from '@duckdb/node-api';
import { testDatabase } from '../services/shared.js';
import type { TestDatabase } from '../services/test-database.js';
import { dateText, timestampText, timeText } from './parquet.js';

export const warehouseKinds = ['duckdb', 'postgres18', 'postgres14'] as const;
export type WarehouseKind = (typeof warehouseKinds)[number];

/**
 * A value in one form for all engines: booleans, integers of 16 and 32 bits and floats as JavaScript has them; int64 and decimals as their
 * digits; bytes as lower-case hex; times with six digits behind the point, `YYYY-MM-DDTHH:MM:SS.ffffff`, in UTC; JSON and all else as text.
 */
export type WarehouseValue = null | boolean | number | string;
export type WarehouseRow = Record<string, WarehouseValue>;

export interface TestWarehouse {
  readonly kind: WarehouseKind;
  /** As `--dest` takes it, without options. */
  readonly uri: string;
  /** What `destination-warehouse` takes as its configuration. */
  readonly config: Readonly<Record<string, string | number>>;
  /** Of DuckDB: its file. It exists from the first run on, or the first query. */
  readonly path?: string;
  /** Of PostgreSQL: the database, as its superuser. */
  readonly database?: TestDatabase;
  /** Runs statements in a session of its own; the last one's rows. Waits while a process holds the file of DuckDB. */
  query(sql: string): Promise<WarehouseRow[]>;
  dispose(): Promise<void>;
}

export const testWarehouse = (kind: WarehouseKind): Promise<TestWarehouse> => (kind === 'duckdb' ? duckdbWarehouse() : postgresWarehouse(kind));

/** `"schema"."table"`, which both engines read alike. */
export const quoted = (...names: readonly string[]): string => names.map((name) => `"${name.replaceAll('"', '""')}"`).join('.');

export const rowsIn = (at: TestWarehouse, schema: string, table: string, order = '"_tapline_order"'): Promise<WarehouseRow[]> =>
  at.query(`SELECT * FROM ${quoted(schema, table)} ORDER BY ${order}`);

/** Column to type, as information_schema names it. */
export async function columnsIn(at: TestWarehouse, schema: string, table: string): Promise<Record<string, string>> {
  const literal = (name: string) => `'${name.replaceAll("'", "''")}'`;
  const rows = await at.query(
    `SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = ${literal(schema)} AND table_name = ${literal(table)} ORDER BY ordinal_position`,
  );
  return Object.fromEntries(rows.map((row) => [String(row['column_name']), String(row['data_type'])]));
}

/** Every table but the system's and ours (DuckDB keeps those of open generations beside the stream's own), `schema.table`, sorted. */
export async function tablesIn(at: TestWarehouse): Promise<string[]> {
  const rows = await at.query(
    `SELECT table_schema, table_name FROM information_schema.tables WHERE table_type <> 'VIEW' AND table_schema NOT IN ('information_schema', 'pg_catalog', '_tapline')`,
  );
  return rows.filter((row) => !String(row['table_name']).startsWith('_tapline')).map((row) => `${row['table_schema']}.${row['table_name']}`).sort();
}

async function duckdbWarehouse(): Promise<TestWarehouse> {
  const folder = await mkdtemp(join(tmpdir(), 'tapline-duckdb-'));
  const path = join(folder, 'house.db');
  return {
    kind: 'duckdb',
    uri: `duckdb://${path}`,
    config: { engine: 'duckdb', path },
    path,
    query: (sql) => queryDuckdb(path, sql),
    dispose: () => rm(folder, { recursive: true, force: true }),
  };
}

/** The engine of the test's own process, not the connector's; it lets the file go at once. */
export async function queryDuckdb(path: string, sql: string): Promise<WarehouseRow[]> {
  const instance = await openWhenFree(path);
  try {
    const connection = await instance.connect();
    try {
      await connection.run(`SET TimeZone = 'UTC'`);
      const reader = await connection.runAndReadAll(sql);
      return reader.getRowObjects().map((row) => Object.fromEntries(Object.entries(row).map(([name, value]) => [name, fromDuckdb(value)])));
    } finally {
      connection.closeSync();
    }
  } finally {
    instance.closeSync();
  }
}

async function openWhenFree(path: string): Promise<DuckDBInstance> {
  for (const deadline = Date.now() + 20_000; ; await sleep(50)) {
    try {
      return await DuckDBInstance.create(path, { threads: '2', autoinstall_known_extensions: 'false' });
    } catch (error) {
      if (!/lock/i.test(String(error)) || Date.now() > deadline) throw error;
    }
  }
}

function fromDuckdb(value: DuckDBValue): WarehouseValue {
  if (value === null || typeof value === 'boolean' || typeof value === 'number' || typeof value === 'string') return value;
  if (typeof value === 'bigint' || value instanceof DuckDBDecimalValue || value instanceof DuckDBUUIDValue) return value.toString();
  if (value instanceof DuckDBBlobValue) return Buffer.from(value.bytes).toString('hex');
  if (value instanceof DuckDBDateValue) return value.isFinite ? dateText(BigInt(value.days)) : value.toString();
  if (value instanceof DuckDBTimeValue) return timeText(value.micros);
  if (value instanceof DuckDBTimestampValue || value instanceof DuckDBTimestampTZValue) return value.isFinite ? timestampText(value.micros) : value.toString();
  throw new Error(`a column of a type that no table of ours has: ${value.constructor.name}`);
}

async function postgresWarehouse(kind: 'postgres18' | 'postgres14'): Promise<TestWarehouse> {
  const database = await testDatabase(kind === 'postgres18' ? 18 : 14);
  const { host, port, user, password, name } = database;
  return {
    kind,
    uri: database.url,
    config: { engine: 'postgres', host, port, database: name, user, password },
    database,
    query: (sql) => queryPostgres(database, sql),
    dispose: () => database.drop(),
  };
}

/** In a session of its own, under settings that give one form whatever the server is told. */
export async function queryPostgres(database: TestDatabase, sql: string): Promise<WarehouseRow[]> {
  const client = await database.connect();
  try {
    await client.query(`SET timezone = 'UTC'; SET datestyle = 'ISO, YMD'; SET intervalstyle = 'postgres'; SET extra_float_digits = 1; SET bytea_output = 'hex'`);
    const results: unknown = await client.query({ text: sql, types: { getTypeParser: (type: number) => postgresParsers[type] ?? ((text: string) => text) } });
    const last = (Array.isArray(results) ? results.at(-1) : results) as { rows?: WarehouseRow[] } | undefined;
    return last?.rows ?? [];
  } finally {
    await client.end();
  }
}

const fraction = (time: string): string => (time.includes('.') ? time.padEnd(15, '0') : `${time}.000000`);

/** What is no such time (an infinite one, one before Christ) stays PostgreSQL's own text. */
function timestampOf(text: string): string {
  const parts = /^(\d{4,}-\d\d-\d\d) (\d\d:\d\d:\d\d(?:\.\d+)?)(?:\+00)?$/.exec(text);
  return parts ? `${parts[1]}T${fraction(parts[2]!)}` : text;
}

/** By the type's OID. */
const postgresParsers: Readonly<Record<number, (text: string) => WarehouseValue>> = {
  16: (text) => text === 't',
  17: (text) => text.slice(2),
  21: Number,
  23: Number,
  700: Number,
  701: Number,
  1083: fraction,
  1114: timestampOf,
  1184: timestampOf,
};
