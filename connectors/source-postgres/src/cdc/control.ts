/** The session beside the stream: catalogs, values to select again, lag. Opened anew where it was lost. */
import type { Config } from '../config.js';
import { Connection } from '../connection.js';
import { findTypes } from '../relations.js';
import type { PgType, PgTypes } from '../types.js';
import { parseLsn, type Lsn } from './lsn.js';
import { Snapshot } from './visibility.js';

export class Control implements AsyncDisposable {
  readonly #config: Config;
  readonly #types = new Map<number, PgType>();
  #connection: Connection | undefined;

  constructor(config: Config, connection: Connection) {
    this.#config = config;
    this.#connection = connection;
  }

  /** Rejects with a classified error. */
  async connection(): Promise<Connection> {
    if (!this.#connection || this.#connection.broken) this.#connection = await Connection.open(this.#config);
    return this.#connection;
  }

  /** Types by their ids, asked for once each: what a type is does not change while it has its id, but for an enum's values. */
  async typesOf(oids: readonly number[]): Promise<PgTypes> {
    const unknown = [...new Set(oids)].filter((oid) => !this.#types.has(oid));
    if (unknown.length > 0) {
      const found = await this.#ask((connection) => findTypes(connection, unknown));
      for (const [oid, type] of found) this.#types.set(oid, type);
    }
    return this.#types;
  }

  /** Up to where the server has flushed its log. */
  async flushed(): Promise<Lsn> {
    const [row] = await this.#ask((connection) => connection.query<{ lsn: string }>('SELECT pg_catalog.pg_current_wal_flush_lsn()::text AS lsn'));
    return parseLsn(row!.lsn);
  }

  async snapshot(): Promise<Snapshot> {
    const [row] = await this.#ask((connection) => connection.query<{ snapshot: string }>('SELECT pg_catalog.pg_current_snapshot()::text AS snapshot'));
    return Snapshot.parse(row!.snapshot);
  }

  /** What a driver says to a lost connection must not be taken for a fault of ours: a run without an end goes on after it. */
  async #ask<Answer>(question: (connection: Connection) => Promise<Answer>): Promise<Answer> {
    const connection = await this.connection();
    try {
      return await question(connection);
    } catch (error) {
      throw connection.classify(error);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#connection?.[Symbol.asyncDispose]();
  }
}
