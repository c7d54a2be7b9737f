/** A warehouse on a PostgreSQL server, 14 or later. */
import { join } from 'node:path';
import type { LogicalType } from '@tapline/catalog';
import { ContentError, Engine, MemoryError, memoryLimit, sync8 } from '@tapline/columnar';
import { identifier } from '@tapline/postgres-client';
import { configError, ConnectorError, systemError, toConnectorError, type LogLevel } from '@tapline/protocol';
import { postgresDialect } from '../dialects/postgres.js';
import { refusePostgres } from '../dialects/postgres-refuse.js';
import type { TableName } from '../dialects/dialect.js';
import type { LoadRequest, PlainLoadRequest, Row, Scalar, Warehouse } from '../warehouse.js';
import type { PostgresConfig } from './postgres-config.js';
import { columnOfFailure } from './postgres-copy-error.js';
import { CopyMemory } from './binary-copy/memory.js';
import { copyTextOf } from './postgres-load.js';
import { loadPlain } from './postgres-plain.js';
import { replaceTable } from './postgres-replace.js';
import { PostgresSession, type SessionOptions } from './postgres-session.js';
import { endHungWriters } from './postgres-takeover.js';

export interface OpenPostgresOptions {
  readonly config: PostgresConfig;
  readonly sync: string;
  /** A private folder, which the caller removes. */
  readonly scratch: string;
  readonly log: (level: LogLevel, message: string) => void;
  /** For the embedded engine, which folds. Default: 256 MB, at most a quarter of what the process may use. */
  readonly memoryBytes?: number | undefined;
}

/** Connects. Rejects with a ConnectorError that says what to do. */
export async function openPostgres({ config, sync, scratch, log, memoryBytes }: OpenPostgresOptions): Promise<PostgresWarehouse> {
  const applicationName = nameOfSession((config.application_name ?? process.env['PGAPPNAME']) || 'tapline', sync);
  const options: SessionOptions = { config, applicationName, log };
  const session = await PostgresSession.open(options);
  let version: number;
  try {
    version = await requireVersion(session);
  } catch (error) {
    await session[Symbol.asyncDispose]();
    throw error;
  }
  const engine = new Engine({ directory: join(scratch, 'postgres'), workers: 1, memoryBytes: memoryBytes ?? Math.min(256_000_000, memoryLimit() / 4) });
  return new PostgresWarehouse({ session, engine, options, scratch, version });
}

/** How long a statement waits for an older writer of the same sync. */
const takeOverMs = 2000;

/** A writer knows another of its sync by it: it must be as the server shows it, in ASCII and at most 63 bytes. */
const nameOfSession = (name: string, sync: string): string => `${name.replace(/[^\x20-\x7e]/g, '?').slice(0, 40)} ${sync8(sync)}`;

interface Parts {
  readonly session: PostgresSession;
  readonly engine: Engine;
  readonly options: SessionOptions;
  readonly scratch: string;
  readonly version: number;
}

export class PostgresWarehouse implements Warehouse {
  readonly dialect = postgresDialect;
  /** See `ColumnarOptions.refuse`. */
  readonly refuse: (type: LogicalType, value: string) => string | undefined;
  readonly location: string;
  readonly #parts: Parts;
  readonly #told = new Set<string>();
  #memory: CopyMemory | undefined;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.refuse = refusePostgres(parts.version);
    const { host, port, database } = parts.session.target;
    this.location = `database ${database} on ${host}:${port}`;
  }

  /** Outside a transaction it is what a writer begins with: an older one that hangs gives way. */
  async run(sql: string, parameters?: readonly Scalar[]): Promise<Row[]> {
    const { session, options } = this.#parts;
    if (session.inTransaction) return await session.run(sql, parameters);
    const takeOver = (): void => void endHungWriters(options, session.processId, 'blocking').catch((error: unknown) => {
      options.log('WARN', `whether an older writer of this sync hangs could not be found out: ${toConnectorError(error).message}`);
    });
    const waiting = setInterval(takeOver, takeOverMs);
    try {
      return await session.run(sql, parameters);
    } finally {
      clearInterval(waiting);
    }
  }

  transaction<Result>(work: () => Promise<Result>): Promise<Result> {
    return this.#parts.session.transaction(work);
  }

  async load(request: LoadRequest): Promise<number> {
    const { session, engine } = this.#parts;
    await session.run('SAVEPOINT load');
    try {
      return await this.#copy(request, (sql) => engine.run(sql, 0));
    } catch (error) {
      if (!(error instanceof MemoryError)) throw engineError(error);
    }
    await session.run('ROLLBACK TO SAVEPOINT load');
    return await this.#copy(request, (sql) => engine.runAlone(sql)).catch((error: unknown) => {
      throw engineError(error);
    });
  }

  loadPlain(request: PlainLoadRequest): Promise<number | undefined> {
    const loader = { session: this.#parts.session, memory: (this.#memory ??= new CopyMemory()) };
    return loadPlain(loader, request).catch((error: unknown) => {
      throw engineError(error);
    });
  }

  async query(select: string): Promise<Row[]> {
    const { engine } = this.#parts;
    try {
      return await engine.run(select, 0).catch((error: unknown) => {
        if (!(error instanceof MemoryError)) throw error;
        return engine.runAlone(select);
      });
    } catch (error) {
      throw engineError(error);
    }
  }

  replaceTable(from: TableName, into: TableName): Promise<void> {
    const { session, options } = this.#parts;
    return replaceTable({ run: (sql, parameters) => session.run(sql, parameters), log: options.log, told: this.#told }, from, into);
  }

  endHungWriter(): Promise<boolean> {
    const { session, options } = this.#parts;
    return endHungWriters(options, session.processId, 'all');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.session[Symbol.asyncDispose]();
    await this.#parts.engine[Symbol.asyncDispose]();
  }

  async #copy({ table, columns, select }: LoadRequest, run: (sql: string) => Promise<Row[]>): Promise<number> {
    const { session, scratch } = this.#parts;
    const target = postgresDialect.table(table);
    const sql = `COPY ${target} (${columns.map(({ name }) => identifier(name)).join(', ')}) FROM STDIN (FORMAT text, ENCODING 'UTF8')`;
    try {
      let written = 0;
      const taken = await session.copyIn(sql, copyTextOf(select, columns, { run, folder: scratch, onRows: (rows) => (written = rows) }));
      if (taken !== written) throw systemError(`${target} took ${taken} rows of ${written}`, { code: 'pg_rows' });
      return taken;
    } catch (error) {
      if (error instanceof ConnectorError || isEngineError(error)) throw error;
      const column = columnOfFailure(error, columns);
      throw column === undefined
        ? session.classify(error, sql)
        : configError(
          `column ${identifier(column)} of ${target} refuses a value that is none of its type: has the column been given another type by somebody else? (SQLSTATE ${(error as { code: string }).code})`,
          { code: 'pg_bad_value', cause: error },
        );
    }
  }
}

/** The major version. In a transaction that may write: a standby refuses its beginning. */
async function requireVersion(session: PostgresSession): Promise<number> {
  const { host, port, database } = session.target;
  const [row] = await session.run(`SELECT pg_catalog.current_setting('server_version_num')::int AS version, pg_catalog.current_setting('server_version') AS named`);
  const version = Math.floor(Number(row?.['version']) / 10_000);
  if (version < 14) throw configError(`${host}:${port} is PostgreSQL ${String(row?.['named'])}, and database '${database}' can only be loaded from 14 on`, { code: 'pg_version' });
  return version;
}

const isEngineError = (error: unknown): boolean => error instanceof ContentError || error instanceof MemoryError || nodeCodes.has(String((error as { code?: unknown }).code));
const nodeCodes = new Set(['ENOSPC', 'EACCES', 'EDQUOT']);

function engineError(error: unknown): unknown {
  const code = String((error as { code?: unknown }).code);
  if (error instanceof MemoryError) return systemError('the embedded engine ran out of memory: raise memory_mb, or flush more often (flush_mb)', { code: 'engine_memory', cause: error });
  if (error instanceof ContentError) return systemError(`the embedded engine refused a query: ${error.message}`, { code: 'engine_query', cause: error });
  if (code === 'ENOSPC' || code === 'EDQUOT') return configError('the disk of the staging folder is full: make room, or set staging_dir', { code: 'staging_full', cause: error });
  if (code === 'EACCES') return configError('the staging folder cannot be written: set staging_dir', { code: 'staging_denied', cause: error });
  return error;
}
