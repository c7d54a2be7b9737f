/** The publication of a run: which tables it holds, and how. */
import type { ConnectorError } from '@tapline/protocol';
import type { ReadContext } from '@tapline/sdk';
import type { Config } from '../config.js';
import type { Connection } from '../connection.js';
import { label } from '../reading.js';
import { replicationNames, type ReplicationNames } from './names.js';
import { ensurePublication, type PublishedTable } from './server/publication.js';
import { waitForWriters } from './server/writers.js';
import type { Table } from './table.js';

export class Publishing {
  readonly names: ReplicationNames;
  readonly #signal: AbortSignal;
  readonly #log: ReadContext<Config>['log'];
  #published: ReadonlyMap<number, PublishedTable> = new Map();
  readonly #told = new Set<string>();

  constructor({ config, session, signal, log }: ReadContext<Config>) {
    this.names = replicationNames(config, session);
    this.#signal = signal;
    this.#log = log;
  }

  /** Makes, changes or checks the publication for these tables and no others. Returns those that it cannot hold. */
  async prepare(connection: Connection, tables: readonly Table[]): Promise<Map<Table, ConnectorError>> {
    const { publication: name, managed } = this.names;
    const wanted = tables.map((table) => ({ oid: table.oid, name: table.stream.name, schema: table.stream.namespace ?? 'public', table }));
    const { published, refused } = await ensurePublication(connection, { name, managed }, wanted);
    this.#published = new Map([...published].map(([{ oid }, how]) => [oid, how]));
    for (const table of tables) this.#warnOfColumns(table);
    return new Map([...refused].map(([{ table }, error]) => [table, error]));
  }

  /**
   * How a table is published, once whoever wrote to it before that has ended: a copy that is begun then misses nothing. Before every copy:
   * a run that ended after it published a table, and before it waited, leaves no trace of that.
   */
  async of(table: Table, connection: Connection): Promise<PublishedTable> {
    await waitForWriters(connection, [table], this.#signal, this.#log);
    return this.#published.get(table.oid) ?? {};
  }

  #warnOfColumns({ oid, key, stream, columnNames }: Table): void {
    const { columns } = this.#published.get(oid) ?? {};
    const missing = columns ? columnNames.filter((name) => !columns.includes(name)) : [];
    if (missing.length === 0 || this.#told.has(key)) return;
    this.#told.add(key);
    this.#log('WARN', `${label(stream)}: publication '${this.names.publication}' does not have ${missing.map((name) => `'${name}'`).join(', ')}: they stay null`);
  }
}
