/** A DuckDB file as a warehouse: the engine runs in this process, and the file's lock keeps every other one out. */
import type { DuckDBConnection, DuckDBInstance, DuckDBType, DuckDBValue } from '@duckdb/node-api';
import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { memoryLimit } from '@tapline/columnar';
import { cores, systemError, type LogLevel } from '@tapline/protocol';
import { duckdbDialect } from '../dialects/duckdb.js';
import { catalogName } from '../dialects/duckdb-name.js';
import type { TableName } from '../dialects/dialect.js';
import type { LoadRequest, Row, Scalar, Warehouse } from '../warehouse.js';
import { duckdbError } from './duckdb-errors.js';
import { attachFile } from './duckdb-file.js';
import { MemoryGrant } from './duckdb-memory.js';
import { replaceTable } from './duckdb-replace.js';

export interface DuckdbOptions {
  /** Made if there is none, with its folder. */
  readonly path: string;
  /** Private: what does not fit into memory is spilled here. */
  readonly scratch: string;
  /** Default: 256 MB, at most a quarter of what the process may use; with very wide rows up to 60 percent of that. */
  readonly memoryBytes?: number;
  /** Default: the cores, at most 4. */
  readonly threads?: number;
  readonly log: (level: LogLevel, message: string) => void;
}

const MB = 1_000_000;

/**
 * Rejects with a `transient_error` of code `locked` while another process has the file open; with a `config_error` for what is no
 * DuckDB file, cannot be written, is damaged or newer than this engine.
 */
export async function openDuckdb(options: DuckdbOptions): Promise<Warehouse> {
  const path = resolve(options.path);
  const memoryBytes = Math.floor(options.memoryBytes ?? Math.min(256 * MB, memoryLimit() / 4));
  const threads = options.threads ?? Math.min(cores(), 4);
  const scratch = join(options.scratch, 'duckdb');
  const memory = new MemoryGrant(memoryBytes, options.memoryBytes === undefined ? memoryLimit() * 0.6 : memoryBytes);
  const failed = (error: unknown): Error => duckdbError(error, { path, scratch, memoryBytes: memory.bytes });
  let instance: DuckDBInstance | undefined;
  try {
    await mkdir(scratch, { recursive: true });
    const { DuckDBInstance: Instance } = await import('@duckdb/node-api');
    instance = await Instance.create(':memory:', settings({ memoryBytes, scratch, threads }));
    const [main, reader] = [await instance.connect(), await instance.connect()];
    for (const connection of [main, reader]) await connection.run("SET TimeZone = 'UTC'");
    const release = await attachFile(main, path);
    return new DuckdbWarehouse({ instance, main, reader, location: path, threads, memory, failed, release });
  } catch (error) {
    instance?.closeSync();
    throw failed(error);
  }
}

const settings = ({ memoryBytes, scratch, threads }: { memoryBytes: number; scratch: string; threads: number }): Record<string, string> => ({
  autoinstall_known_extensions: 'false',
  autoload_known_extensions: 'false',
  // Files are read once: what they hold is worth no memory.
  enable_external_file_cache: 'false',
  memory_limit: `${memoryBytes}B`,
  // Rows of a table have no order, and to keep one would take memory.
  preserve_insertion_order: 'false',
  // Give memory back: what waits for reuse counts as ours. Less of it than this costs more than it is worth.
  allocator_flush_threshold: '16MB',
  allocator_bulk_deallocation_flush_threshold: '64MB',
  temp_directory: join(scratch, 'spill'),
  threads: String(threads),
});

interface Parts {
  readonly instance: DuckDBInstance;
  /** All that is written goes through this one. */
  readonly main: DuckDBConnection;
  /** Reads staged files only: its failures leave the transaction alone. */
  readonly reader: DuckDBConnection;
  readonly location: string;
  readonly threads: number;
  readonly memory: MemoryGrant;
  readonly failed: (error: unknown) => Error;
  readonly release: () => void;
}

class DuckdbWarehouse implements Warehouse {
  readonly dialect = duckdbDialect;
  readonly location: string;
  readonly #parts: Parts;
  #threads: number;
  /** `broken`: what a statement of it failed with. */
  #transaction: { broken?: Error } | undefined;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#threads = parts.threads;
    this.location = parts.location;
  }

  async run(sql: string, parameters: readonly Scalar[] = []): Promise<Row[]> {
    try {
      await this.#useThreads(/^\s*INSERT\b/i.test(sql) ? 1 : this.#parts.threads);
      const [values, types] = await bound(parameters);
      const result = await this.#parts.main.runAndReadAll(sql, values, types);
      return result.getRowObjectsJson() as Row[];
    } catch (error) {
      const told = this.#parts.failed(error);
      if (this.#transaction) this.#transaction.broken ??= told;
      throw told;
    }
  }

  async transaction<Result>(work: () => Promise<Result>): Promise<Result> {
    if (this.#transaction) throw systemError('a transaction is open already');
    await this.run('BEGIN TRANSACTION');
    const transaction: { broken?: Error } = (this.#transaction = {});
    try {
      const result = await work();
      // The engine answers OK to the COMMIT of a transaction that failed, and rolls it back: never ask.
      if (transaction.broken) throw transaction.broken;
      await this.run('COMMIT');
      return result;
    } catch (error) {
      await this.#parts.main.run('ROLLBACK').catch(() => undefined);
      throw error;
    } finally {
      this.#transaction = undefined;
      await this.#dropTemporary();
    }
  }

  async load({ table, columns, select }: LoadRequest): Promise<number> {
    await this.#grantFor(select);
    const names = columns.map(({ name }) => this.dialect.quote(name)).join(', ');
    const [row] = await this.run(`INSERT INTO ${this.dialect.table(table)} (${names}) ${select}`);
    return Number(row?.['Count'] ?? 0);
  }

  async query(select: string): Promise<Row[]> {
    try {
      return (await this.#parts.reader.runAndReadAll(select)).getRowObjectsJson() as Row[];
    } catch (error) {
      throw this.#parts.failed(error);
    }
  }

  async replaceTable(from: TableName, into: TableName): Promise<void> {
    await replaceTable({ run: this.run.bind(this), from, into });
  }

  /** Writes the log into the file, so that the file alone is the warehouse; a failure leaves the log, which loses nothing. */
  async [Symbol.asyncDispose](): Promise<void> {
    const { main, reader, instance, release } = this.#parts;
    await main.run(`CHECKPOINT ${catalogName}`).catch(() => undefined);
    await main.run('USE memory').catch(() => undefined);
    await main.run(`DETACH ${catalogName}`).catch(() => undefined);
    main.closeSync();
    reader.closeSync();
    instance.closeSync();
    release();
  }

  /**
   * Rows are written by one thread: each of several would leave its last row group half full, and the next checkpoint would write them
   * all again, at the price of the load. What reads and deletes takes all there are.
   */
  async #useThreads(threads: number): Promise<void> {
    if (threads === this.#threads) return;
    await this.#parts.main.run(`SET threads = ${threads}`);
    this.#threads = threads;
  }

  /** Reads the sizes of the files that a query names: a failure is the query's to tell. */
  async #grantFor(select: string): Promise<void> {
    const { main, reader, memory } = this.#parts;
    if (await memory.widen(select, async (sql) => (await reader.runAndReadAll(sql)).getRowObjectsJson() as Row[])) await main.run(`SET memory_limit = '${memory.bytes}B'`);
  }

  /** Temporary tables outlive a transaction here. */
  async #dropTemporary(): Promise<void> {
    const { main } = this.#parts;
    const left = await main.runAndReadAll('SELECT table_name FROM duckdb_tables() WHERE temporary').catch(() => undefined);
    for (const [name] of left?.getRows() ?? []) await main.run(`DROP TABLE IF EXISTS temp.main.${this.dialect.quote(String(name))}`).catch(() => undefined);
  }
}

/** Numbers go as the whole numbers they are: the engine would compare a DOUBLE with a BIGINT as doubles. */
async function bound(parameters: readonly Scalar[]): Promise<[values?: DuckDBValue[], types?: DuckDBType[]]> {
  if (parameters.length === 0) return [];
  const { BIGINT, BOOLEAN, DOUBLE, SQLNULL, VARCHAR } = await import('@duckdb/node-api');
  const values = parameters.map((value): DuckDBValue => (Number.isSafeInteger(value) ? BigInt(value as number) : value));
  const types = values.map((value) => ({ bigint: BIGINT, boolean: BOOLEAN, number: DOUBLE, string: VARCHAR })[typeof value as string] ?? SQLNULL);
  return [values, types];
}
