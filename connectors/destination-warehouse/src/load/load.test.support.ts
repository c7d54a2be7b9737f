/** Staged files made of plain rows, tables to write them into, and what stands in them. For tests on real engines. */
import { DuckDBInstance, type DuckDBConnection } from '@duckdb/node-api';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { duckdbType, parseLogicalType, type LogicalType } from '@tapline/catalog';
import { sqlName, sqlString, unchangedColumn } from '@tapline/columnar';
import type { TableName } from '../dialects/dialect.js';
import { openDuckdb } from '../engines/duckdb.js';
import { openPostgres } from '../engines/postgres.js';
import { applyChanges, creationOf } from '../tables/changes.js';
import { ownColumns } from '../tables/own-columns.js';
import type { ColumnSource, TableColumn, TableShape } from '../tables/shape.js';
import type { Warehouse } from '../warehouse.js';
import type { LoadFile } from './requests.js';

export interface Scratch extends AsyncDisposable {
  readonly path: string;
}

export async function scratch(): Promise<Scratch> {
  const path = await mkdtemp(join(tmpdir(), 'tapline-load-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

export const duckdbAt = (folder: string): Promise<Warehouse> =>
  openDuckdb({ path: join(folder, 'warehouse.db'), scratch: join(folder, 'scratch'), log: () => undefined });

/** Of a database of the test's own. */
export interface TestDatabase {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly name: string;
}

export const postgresAt = (folder: string, { host, port, user, password, name }: TestDatabase): Promise<Warehouse> =>
  openPostgres({ config: { host, port, user, password, database: name }, sync: 'test', scratch: folder, log: () => undefined });

export const typed = (name: string): LogicalType => parseLogicalType(name)!;

export interface ShapeOptions {
  readonly write: TableShape['write'];
  /** The stream's columns, by name. */
  readonly types: Readonly<Record<string, string>>;
  readonly key?: readonly string[];
  readonly cursor?: string;
  readonly deletes?: 'hard' | 'soft';
  readonly primaryKey?: boolean;
}

export const table: TableName = { schema: 'sales', table: 'orders' };

export function shapeOf({ write, types, key = [], cursor, deletes, primaryKey = false }: ShapeOptions): TableShape {
  const columns = Object.entries(types).map(([name, type]): TableColumn => ({ name, type: typed(type), field: name }));
  const own = ownColumns({ write, extra: false, open: false });
  return { stream: { name: 'orders', namespace: 'sales' }, table, columns: [...columns, ...own], write, key, primaryKey, cursor, deletes };
}

export const openForm = (shape: TableShape): TableShape =>
  ({ ...shape, primaryKey: false, columns: [...shape.columns.filter(({ field }) => field !== undefined), ...ownColumns({ write: shape.write, extra: false, open: true })] });

export const make = (warehouse: Warehouse, shape: TableShape, name: TableName): Promise<void> => applyChanges(warehouse, name, [creationOf(shape)]);

/** Values as DuckDB reads them from text; absent = null. */
export type Values = Readonly<Record<string, string | number | boolean | null | undefined>>;

let files = 0;

/** Writes staged files as the kit does. */
export class Staging implements AsyncDisposable {
  readonly #instance: DuckDBInstance;
  readonly #connection: DuckDBConnection;
  readonly #folder: string;

  private constructor(instance: DuckDBInstance, connection: DuckDBConnection, folder: string) {
    this.#instance = instance;
    this.#connection = connection;
    this.#folder = folder;
  }

  static async open(folder: string): Promise<Staging> {
    const instance = await DuckDBInstance.create(':memory:', { threads: '1' });
    const connection = await instance.connect();
    await connection.run("SET TimeZone = 'UTC'");
    return new Staging(instance, connection, folder);
  }

  /** `_tapline_unchanged` among the values makes it a file with marks. */
  async file(shape: TableShape, rows: readonly Values[]): Promise<LoadFile> {
    const path = join(this.#folder, `${++files}.parquet`);
    const unchanged = rows.some((row) => row[unchangedColumn] !== undefined);
    const columns = shape.columns.filter(({ name, field }) => field !== undefined || name.startsWith('_airbyte_') || name === '_tapline_order');
    const all = [...columns, ...(unchanged ? [{ name: unchangedColumn, type: { kind: 'text' } as const }] : [])];
    const literal = (value: Values[string]): string => (value === undefined || value === null ? 'NULL' : sqlString(String(value)));
    const values = rows.map((row) => `(${all.map(({ name }) => literal(name === '_airbyte_meta' ? (row[name] ?? '{"changes":[]}') : row[name])).join(', ')})`);
    const select = all.map(({ name, type }, i) => `CAST(c${i} AS ${duckdbType(type)}) AS ${sqlName(name)}`).join(', ');
    await this.#connection.run(`COPY (SELECT ${select} FROM (VALUES ${values.join(', ')}) v(${all.map((_, i) => `c${i}`).join(', ')})) TO ${sqlString(path)} (FORMAT parquet)`);
    const sources = shape.columns.map((column): ColumnSource => {
      const there = columns.includes(column);
      return { column, from: there ? column.name : undefined, type: there ? column.type : undefined, lossy: false };
    });
    // By turns as a file, and as what batches are read by.
    return { rows: files % 2 === 0 ? { path } : { select: `SELECT * FROM read_parquet(${sqlString(path)})` }, sources, unchanged };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#connection.closeSync();
    this.#instance.closeSync();
  }
}

/** The rows of a table as text, moments as milliseconds since 1970; null = null. */
export async function rowsIn(warehouse: Warehouse, shape: TableShape, names: readonly string[], name = table): Promise<Record<string, string | null>[]> {
  const text = (column: string): string => {
    const kind = shape.columns.find((one) => one.name === column)?.type.kind;
    const quoted = sqlName(column);
    if (kind !== 'timestamptz' && kind !== 'timestamp') return `CAST(${quoted} AS text) AS ${quoted}`;
    return `CAST(CAST(${warehouse.dialect.name === 'duckdb' ? `epoch_ms(${quoted})` : `round(extract(epoch FROM ${quoted}) * 1000)`} AS bigint) AS text) AS ${quoted}`;
  };
  return (await warehouse.run(`SELECT ${names.map(text).join(', ')} FROM ${warehouse.dialect.table(name)}`)) as Record<string, string | null>[];
}

/** As text and in one order, for comparing. */
export const sorted = (rows: readonly unknown[]): string[] => rows.map((row) => JSON.stringify(row)).sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));

/** A stream of numbers that a seed decides. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed * 2_654_435_761;
  }

  /** 0 to n - 1. */
  below(n: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % n;
  }

  chance(percent: number): boolean {
    return this.below(100) < percent;
  }

  pick<T>(values: readonly T[]): T {
    return values[this.below(values.length)]!;
  }

  shuffle<T>(values: readonly T[]): T[] {
    const all = [...values];
    for (let i = all.length - 1; i > 0; i--) {
      const j = this.below(i + 1);
      [all[i], all[j]] = [all[j]!, all[i]!];
    }
    return all;
  }
}
