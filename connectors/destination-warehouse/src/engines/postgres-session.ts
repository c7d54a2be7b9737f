/**
 * A connection that writes, in transactions. Between two of them it holds nothing on the server, so that one that was lost meanwhile is
 * simply opened anew, and a pooler may put another in its place.
 */
import { connectionCodes, openClient, patiently, type OpenClient, type Target } from '@tapline/postgres-client';
import { systemError, transientError, type ConnectorError, type LogLevel } from '@tapline/protocol';
import type pg from 'pg';
import type { Row, Scalar } from '../warehouse.js';
import { CopyIn } from './copy-in.js';
import type { PostgresConfig } from './postgres-config.js';
import { classifyWrite } from './postgres-errors.js';
import { beginStatement } from './postgres-settings.js';

export interface SessionOptions {
  readonly config: PostgresConfig;
  readonly applicationName: string;
  readonly log: (level: LogLevel, message: string) => void;
}

export class PostgresSession implements AsyncDisposable {
  readonly #options: SessionOptions;
  readonly #begin: string;
  #open: OpenClient;
  #broken = false;
  #inTransaction = false;
  /** Of the server's process, as of the last transaction. */
  processId = 0;

  private constructor(options: SessionOptions, open: OpenClient) {
    this.#options = options;
    this.#begin = beginStatement(options);
    this.#open = open;
    this.#watch(open);
  }

  /** Rejects with a classified error. */
  static async open(options: SessionOptions): Promise<PostgresSession> {
    return new PostgresSession(options, await connect(options));
  }

  get target(): Target {
    return this.#open.target;
  }

  get inTransaction(): boolean {
    return this.#inTransaction;
  }

  /** Where nothing else says so, in a transaction of its own. */
  async run(sql: string, parameters?: readonly Scalar[]): Promise<Row[]> {
    return this.#inTransaction ? await this.#query(sql, parameters) : await this.transaction(() => this.#query(sql, parameters));
  }

  /** Within a transaction. Rejects with what the driver says, or with what `chunks` threw. */
  async copyIn(sql: string, chunks: AsyncIterable<Buffer>): Promise<number> {
    const copy = new CopyIn(sql, chunks);
    // The driver calls handleError where the connection is gone already, too.
    this.#open.client.query(copy as unknown as pg.Submittable);
    return await copy.rows();
  }

  async transaction<Result>(work: () => Promise<Result>): Promise<Result> {
    if (this.#inTransaction) throw systemError('a transaction is open already');
    await this.#beginPatiently();
    this.#inTransaction = true;
    let result: Result;
    try {
      result = await work();
    } catch (error) {
      await this.#query('ROLLBACK').catch(() => this.#destroy());
      throw error;
    } finally {
      this.#inTransaction = false;
    }
    await this.#commit();
    return result;
  }

  classify(error: unknown, sql: string): ConnectorError {
    return classifyWrite(error, { target: this.#open.target, alive: !this.#broken, sql });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#broken) await this.#open.client.end().catch(() => {});
  }

  /** A connection that died while nothing was open is found out here, and nothing was lost with it. */
  async #beginPatiently(): Promise<void> {
    const reused = !this.#broken;
    if (this.#broken) await this.#reopen();
    try {
      await this.#sendBegin();
    } catch (error) {
      this.#destroy();
      if (!reused || !connectionCodes.has((error as ConnectorError).code)) throw error;
      await this.#reopen();
      await this.#sendBegin();
    }
  }

  async #sendBegin(): Promise<void> {
    try {
      const results = (await this.#open.client.query(this.#begin)) as unknown as { rows: { pid?: number }[] }[];
      this.processId = results[1]?.rows[0]?.pid ?? 0;
    } catch (error) {
      throw this.classify(error, 'BEGIN');
    }
  }

  async #commit(): Promise<void> {
    try {
      const { command } = await this.#open.client.query('COMMIT');
      if (command !== 'COMMIT') throw systemError('the transaction was rolled back, because a statement in it had failed');
    } catch (error) {
      const classified = this.classify(error, 'COMMIT');
      if (!this.#broken && !connectionCodes.has(classified.code)) throw classified;
      throw transientError(`${classified.message}; whether the commit was made is found out when the sync runs again`, { code: 'commit_unknown', cause: error });
    }
  }

  async #query(sql: string, parameters?: readonly Scalar[]): Promise<Row[]> {
    try {
      // Without parameters in one message, so that statements that are no queries pass, and poolers have nothing to prepare.
      const query: pg.QueryConfig = { text: sql, types: { getTypeParser } as pg.CustomTypesConfig, ...(parameters && { values: [...parameters] }) };
      const result = (await this.#open.client.query(query)) as pg.QueryResult<Record<string, unknown>> | pg.QueryResult<Record<string, unknown>>[];
      return (Array.isArray(result) ? result.at(-1)?.rows : result.rows) ?? [];
    } catch (error) {
      throw this.classify(error, sql);
    }
  }

  async #reopen(): Promise<void> {
    this.#open = await connect(this.#options);
    this.#broken = false;
    this.#watch(this.#open);
  }

  #watch(open: OpenClient): void {
    const lost = (): void => {
      if (this.#open === open) this.#broken = true;
    };
    open.client.on('error', lost).on('end', lost);
  }

  #destroy(): void {
    this.#broken = true;
    this.#open.client.connection.stream.destroy();
  }
}

const connect = ({ config, applicationName, log }: SessionOptions): Promise<OpenClient> =>
  patiently(() => openClient({ ...config, application_name: applicationName }, 'SELECT 1'), {
    start_timeout: config.start_timeout ?? 10, signal: new AbortController().signal, log,
  });

/** Truth, small integers and floats as such; everything else as PostgreSQL's own text, so that no digit is lost. */
const getTypeParser = (oid: number) => (text: string): unknown => {
  switch (oid) {
    case 16: return text === 't';
    case 21:
    case 23:
    case 26:
    case 700:
    case 701: return Number(text);
    default: return text;
  }
};
