/** A session of ours: pinned settings, read-only, and errors that are classified. */
import { cancel, openClient, type Purpose, type RawClient, type Target } from '@tapline/postgres-client';
import type pg from 'pg';
import type { ConnectorError } from '@tapline/protocol';
import { classify, type Attempt } from './classify.js';
import type { Config } from './config.js';
import { CopyOut, type CopyOutOptions } from './copy-out.js';
import { querySettings } from './settings.js';

export interface TransactionOptions {
  readonly write?: boolean;
  readonly settings?: Readonly<Record<string, string>>;
  readonly limitMs?: number;
}

export class Connection implements AsyncDisposable {
  readonly #client: RawClient;
  readonly #target: Target;
  #broken = false;

  private constructor(client: RawClient, target: Target) {
    this.#client = client;
    this.#target = target;
    client.on('error', () => (this.#broken = true));
    client.on('end', () => (this.#broken = true));
  }

  /** Rejects with a classified error. */
  static async open(config: Config): Promise<Connection> {
    const { client, target } = await openClient(config, querySettings(config));
    return new Connection(client, target);
  }

  get target(): Target {
    return this.#target;
  }

  /** As the server told it when the session began. */
  get processId(): number {
    return this.#client.processID;
  }

  /** No statement can be run any more. */
  get broken(): boolean {
    return this.#broken;
  }

  /** Rows of one statement. Rejects with what the driver says: {@link classify} it with the table in question. */
  async query<Row>(sql: string, values?: readonly unknown[]): Promise<Row[]> {
    const result = await this.#client.query(sql, values as unknown[]);
    return (result.rows ?? []) as Row[];
  }

  /**
   * As {@link query}, in a transaction of its own, in which `settings` hold. Those that write begin with `BEGIN READ WRITE`.
   * Beyond `limitMs` the statement is canceled and the connection with it, whatever the server is doing.
   */
  async transaction<Row>(statements: readonly string[], { write = false, settings = {}, limitMs }: TransactionOptions = {}): Promise<Row[]> {
    const timer = limitMs === undefined ? undefined : setTimeout(() => void this.#abort(), limitMs);
    try {
      await this.query(write ? 'BEGIN READ WRITE' : 'BEGIN READ ONLY');
      for (const [name, value] of Object.entries(settings)) await this.query('SELECT pg_catalog.set_config($1, $2, true)', [name, value]);
      let rows: Row[] = [];
      for (const statement of statements) rows = await this.query<Row>(statement);
      await this.query('COMMIT');
      return rows;
    } catch (error) {
      if (!this.#broken) await this.query('ROLLBACK').catch(() => {});
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  /** See {@link CopyOut}. A consumer that stops early ends the connection. */
  async *copyOut<Block>(sql: string, options: CopyOutOptions<Block>): AsyncGenerator<Block, void, undefined> {
    const copy = new CopyOut(sql, options);
    // The driver's types know a connection only as its whole class.
    this.#client.query(copy as unknown as pg.Submittable);
    let finished = false;
    try {
      yield* copy.blocks();
      finished = true;
    } finally {
      if (!finished && !copy.failed) await this.#abort();
    }
  }

  classify(error: unknown, relation?: Attempt['relation']): ConnectorError {
    return classify(error, { ...this.#target, alive: !this.#broken, ...(relation && { relation }) });
  }

  /** Of a statement that needs what a session of that purpose needs. */
  classifyFor(purpose: Purpose, error: unknown): ConnectorError {
    return classify(error, { ...this.#target, alive: !this.#broken, purpose });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#broken) await this.#client.end().catch(() => {});
  }

  /** Ends a statement that is running: asks the server to cancel it, and closes the connection under it. */
  async #abort(): Promise<void> {
    this.#broken = true;
    await cancel(this.#target, this.#client.processID, this.#client.secretKey);
    this.#client.connection.stream.destroy();
  }
}
