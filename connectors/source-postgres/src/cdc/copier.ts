/**
 * Copies tables while their changes stream. A few workers, each with a session of its own, take one table after another; a large table
 * is divided into ranges of pages, which idle workers copy with it under its one snapshot.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { mayComeBack, qualified } from '@tapline/postgres-client';
import { configError, failpoint, toConnectorError } from '@tapline/protocol';
import { batch, failed, generation, lines, status, type SourceItem } from '@tapline/sdk';
import type { Batches } from '../batch/batches.js';
import type { Config } from '../config.js';
import { Connection } from '../connection.js';
import { lineBlocks } from '../copy-out.js';
import { copyStatement, type CopyRows } from '../copy-statement.js';
import { exportSnapshot, pageRanges, withSnapshot } from '../page-ranges.js';
import { label, linePrefix, wideColumns } from '../reading.js';
import { findRelations, type Relation } from '../relations.js';
import type { Checkpoint } from './checkpoint.js';
import { parseLsn, type Lsn } from './lsn.js';
import { snapshotTail, type SnapshotTail } from './snapshot-tail.js';
import type { PublishedTable } from './server/publication.js';
import type { Table } from './table.js';
import { Snapshot } from './visibility.js';

export interface CopierOptions {
  readonly config: Config;
  readonly checkpoint: Checkpoint;
  readonly withOrder: boolean;
  /** Where the run has them. */
  readonly batches: Batches | undefined;
  readonly signal: AbortSignal;
  /** A copy that fails for a while begins anew by itself. */
  readonly patient: boolean;
  put(item: SourceItem, bytes?: number): Promise<void>;
  /** Puts the changes that are written so far into their place. */
  flush(): Promise<void>;
  /** How the publication holds the table; waits until nobody writes who does not write for it. */
  publishedAs(table: Table, connection: Connection): Promise<PublishedTable>;
  /** Which transactions a table follows has changed, or there is something to tell. */
  onProgress(): void;
  log(level: 'INFO' | 'WARN', message: string): void;
}

/** A table that is being copied, and what is left of it. */
interface Copy {
  readonly table: Table;
  readonly exported: string | undefined;
  /** The place in the list is the range's place in the order. */
  readonly ranges: readonly CopyRows[];
  /** Columns in which integers beyond 2^53 can be; undefined: the rows go as batches. */
  readonly wide: ReadonlySet<string> | undefined;
  readonly tail: (range: number) => SnapshotTail;
  next: number;
  /** Workers beside the one that leads. */
  readonly helpers: Set<Promise<void>>;
}

/** What goes into the queue. */
interface Put {
  readonly item: SourceItem;
  readonly bytes: number;
}

const nameOf = ({ stream: { name, namespace } }: Table): { readonly schema: string; readonly name: string } => ({ schema: namespace ?? 'public', name });

const retryMs = [1000, 2000, 5000, 10_000, 30_000];

export class Copier {
  readonly #options: CopierOptions;
  readonly #waiting: Table[] = [];
  readonly #running = new Set<Copy>();
  #working = 0;
  #wakes: (() => void)[] = [];
  #closed = false;

  constructor(options: CopierOptions) {
    this.#options = options;
  }

  add(tables: readonly Table[]): void {
    this.#waiting.push(...tables);
    this.#wake();
  }

  /** Every table is copied. */
  get idle(): boolean {
    return this.#waiting.length === 0 && this.#working === 0;
  }

  close(): void {
    this.#closed = true;
    this.#wake();
  }

  /** Resolves once closed. Rejects when a copy failed and there is no use in going on. */
  async run(): Promise<void> {
    await Promise.all(Array.from({ length: this.#options.config.snapshot_workers }, () => this.#work()));
  }

  async #work(): Promise<void> {
    const { config, signal } = this.#options;
    let connection: Connection | undefined;
    try {
      while (!this.#closed && !signal.aborted) {
        const divided = [...this.#running].find(({ next, ranges }) => next < ranges.length);
        const table = divided ? undefined : this.#waiting.shift();
        if (!divided && !table) {
          if (connection) {
            // A session that does nothing is not held. Meanwhile something may have come.
            await connection[Symbol.asyncDispose]();
            connection = undefined;
          } else {
            await new Promise<void>((resolve) => this.#wakes.push(resolve));
          }
          continue;
        }
        if (!connection || connection.broken) connection = undefined;
        if (divided) {
          // The leader hears of a failure, this one included.
          connection ??= await Connection.open(config).catch(() => undefined);
          // It may have been finished meanwhile, and its snapshot with it.
          if (!connection || !this.#running.has(divided) || divided.next >= divided.ranges.length) {
            if (!connection) await sleep(retryMs[0], undefined, { signal }).catch(() => {});
            continue;
          }
          const help = this.#help(divided, connection);
          divided.helpers.add(help);
          await help.catch(() => {});
        } else if (table) {
          this.#working++;
          try {
            connection ??= await Connection.open(config);
            await this.#lead(table, connection);
          } catch (error) {
            await this.#failed(table, error, connection);
          } finally {
            this.#working--;
            this.#options.onProgress();
          }
        }
      }
    } finally {
      await connection?.[Symbol.asyncDispose]();
    }
  }

  async #failed(table: Table, error: unknown, connection: Connection | undefined): Promise<void> {
    const { signal, patient, log, put, checkpoint } = this.#options;
    if (signal.aborted || this.#closed) return;
    table.startOver();
    this.#options.onProgress();
    // What followed the lost copy is of its generation.
    await this.#options.flush();
    const { schema, name } = nameOf(table);
    const classified = connection ? connection.classify(error, { schema, name }) : toConnectorError(error);
    const again = patient && mayComeBack(classified);
    if (classified.kind === 'config_error' && !again) {
      // This table cannot be copied; the others can. Without a state it is copied by the next run.
      checkpoint.tables.delete(table.key);
      checkpoint.touch();
      await put(failed(table.stream, classified));
      return;
    }
    if (!again) throw classified;
    const wait = retryMs[Math.min(table.failures++, retryMs.length - 1)]!;
    log('WARN', `${label(table.stream)}: its copy was interrupted (${classified.message}), and begins anew in ${wait / 1000} s`);
    await sleep(wait, undefined, { signal }).catch(() => {});
    this.add([table]);
  }

  async #lead(table: Table, connection: Connection): Promise<void> {
    const { put, checkpoint, onProgress } = this.#options;
    const published = await this.#options.publishedAs(table, connection);
    const { schema, name } = nameOf(table);
    try {
      const base = await this.#snapshot(table, connection);
      // From here to the first item nothing may be awaited: a change of this table that follows the copy must come behind it.
      const number = ++table.generation;
      const begun = put(generation(table.stream, { generation: number, minimum: number, phase: 'begin' }));
      checkpoint.touch();
      onProgress();
      await begun;
      const [relation] = await findRelations(connection, { names: [{ schema, name }] });
      if (!relation) throw configError(`${label(table.stream)} is not there any more: discover again, or leave it out`, { code: 'pg_no_table', stream: table.stream });
      table.oid = relation.oid;
      await put(status(table.stream, 'RUNNING'));
      const copy = await this.#divide(table, relation, published, { connection, base, now: Date.now() });
      this.#running.add(copy);
      if (copy.ranges.length > 1) this.#wake();
      try {
        await this.#copyRanges(copy, connection);
        await Promise.all(copy.helpers);
      } finally {
        this.#running.delete(copy);
        await Promise.allSettled(copy.helpers);
      }
      if (this.#options.signal.aborted || this.#closed) return;
      failpoint('cdc.after_copy');
      // Before the lock goes: what empties the table next must find it whole.
      table.phase = 'streaming';
      table.failures = 0;
      const whole = put(generation(table.stream, { generation: number, minimum: number, phase: 'complete' }));
      checkpoint.touch();
      onProgress();
      await whole;
    } finally {
      if (!connection.broken) await connection.query('ROLLBACK').catch(() => {});
    }
  }

  /** Begins the transaction that the table is copied in. Returns the place of its rows in the order. */
  async #snapshot(table: Table, connection: Connection): Promise<Lsn> {
    const { schema, name } = nameOf(table);
    for (;;) {
      // Before the snapshot is taken: whatever it does not see is of a later commit.
      const base = this.#options.checkpoint.position - 1n;
      await connection.query('BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY');
      // Before the snapshot is taken: TRUNCATE and ALTER TABLE change what an older snapshot sees.
      await connection.query(`LOCK TABLE ${qualified(schema, name)} IN ACCESS SHARE MODE`);
      const [row] = await connection.query<{ snapshot: string; until: string }>(
        'SELECT pg_catalog.pg_current_snapshot()::text AS snapshot, pg_catalog.pg_current_wal_insert_lsn()::text AS until',
      );
      if (table.copyFrom({ snapshot: Snapshot.parse(row!.snapshot), until: parseLsn(row!.until) })) return base;
      await connection.query('ROLLBACK');
      await sleep(5);
    }
  }

  async #divide(
    table: Table, relation: Relation, published: PublishedTable,
    { connection, base, now }: { readonly connection: Connection; readonly base: Lsn; readonly now: number },
  ): Promise<Copy> {
    const { config, put, withOrder } = this.#options;
    if (relation.rowSecurity) {
      throw configError(
        `${label(table.stream)} has row level security, which hides rows from this user in a copy and not in the log: ALTER ROLE "${connection.target.user}" BYPASSRLS, or leave the table out`,
        { code: 'pg_row_security', stream: table.stream },
      );
    }
    const columns = relation.columns
      .filter(({ name: column }) => published.columns?.includes(column) ?? true)
      .flatMap((column) => {
        const property = table.schema.propertyOf(column.name, column.type.logical);
        return property === undefined ? [] : [{ ...column, property }];
      });
    const changed = table.takeSchema();
    if (changed) await put(changed);
    const wide = this.#options.batches?.hold(columns) ? undefined : await wideColumns({ connection, relation, columns });
    const pages = await pageRanges(connection, relation, config.snapshot_range_bytes);
    const ranges = pages.map((within): CopyRows => {
      const where = [...(published.rowFilter ? [`(${published.rowFilter})`] : []), ...(within ? [within] : [])];
      return { relation, columns, where: where.length > 0 ? where.join(' AND ') : undefined };
    });
    const exported = ranges.length > 1 ? await exportSnapshot(connection) : undefined;
    return { table, exported, ranges, wide, tail: snapshotTail({ base, now, withOrder }), next: 0, helpers: new Set() };
  }

  async #help(copy: Copy, connection: Connection): Promise<void> {
    await withSnapshot(connection, copy.exported!, () => this.#copyRanges(copy, connection));
  }

  async #copyRanges(copy: Copy, connection: Connection): Promise<void> {
    const { put, signal } = this.#options;
    while (copy.next < copy.ranges.length) {
      const range = copy.next++;
      for await (const { item, bytes } of copy.wide ? this.#lines(copy, range, connection) : this.#batches(copy, range, connection)) {
        await put(item, bytes);
        failpoint('cdc.in_copy');
        if (signal.aborted || this.#closed) return;
      }
    }
  }

  async *#lines({ table: { stream }, ranges, wide, tail }: Copy, range: number, connection: Connection): AsyncGenerator<Put, void, undefined> {
    const prefix = linePrefix(stream);
    const { tail: members, order } = tail(range);
    const blocks = connection.copyOut(
      copyStatement(ranges[range]!, wide!),
      lineBlocks({ blockBytes: this.#options.config.block_bytes, fields: 0, prefix: () => prefix(Date.now()), tail: members, order }),
    );
    for await (const { bytes } of blocks) yield { item: lines(bytes, stream), bytes: bytes.length };
  }

  async *#batches({ table: { stream }, ranges, tail }: Copy, range: number, connection: Connection): AsyncGenerator<Put, void, undefined> {
    const { batches, config } = this.#options;
    for await (const { file } of batches!.read(connection, ranges[range]!, { added: tail(range).added, share: config.snapshot_workers })) {
      yield { item: batch(stream, { ...file, emittedAt: Date.now() }), bytes: 0 };
    }
  }

  #wake(): void {
    for (const wake of this.#wakes.splice(0)) wake();
  }
}
