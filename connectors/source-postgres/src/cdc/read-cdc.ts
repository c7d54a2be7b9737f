/**
 * `read` with `replication: cdc`: the slot first, then the stream of changes, and beside it the copies of tables that were not copied yet
 * and the streams that are read in another way. All of them write into one queue; the states are of all of them together.
 */
import { configError, failpoint, streamKey, toConnectorError, transientError } from '@tapline/protocol';
import { failed, status, type ReadContext, type SourceItem } from '@tapline/sdk';
import type { Batches } from '../batch/batches.js';
import type { Config } from '../config.js';
import type { Connection } from '../connection.js';
import { openPatiently } from '../patience.js';
import { batchesOf } from '../read.js';
import { label } from '../reading.js';
import { findRelations } from '../relations.js';
import { Changes } from './changes.js';
import { Checkpoint } from './checkpoint.js';
import { Confirmations } from './confirmations.js';
import { ReplicationStream } from './connection/replication-stream.js';
import { Control } from './control.js';
import { Copier } from './copier.js';
import { Mailbox } from '../mailbox.js';
import { ChosenForm } from './log-form.js';
import { isReadByChanges, requirePlainNames } from './meta-columns.js';
import { watchForTables } from './new-tables.js';
import { openSlot, type OpenedSlot } from './open-slot.js';
import { readOthers, type OtherStream } from './other-streams.js';
import { Publishing } from './publishing.js';
import { Replicator } from './replicator.js';
import { dropSlot } from './server/slot.js';
import { isTableState, sharedStateOf, tableStateOf } from './state.js';
import { Table } from './table.js';

/** The server cannot send what follows the position. */
const lostCodes = new Set(['pg_publication_missing', 'pg_slot_missing', 'pg_slot_lost']);
/** Bytes that may wait for the pipe. */
const queueBytes = 1 << 20;

export async function* readCdc(context: ReadContext<Config>): AsyncGenerator<SourceItem, void, undefined> {
  const mailbox = new Mailbox<SourceItem>(queueBytes);
  const controller = new AbortController();
  const stop = (): void => controller.abort(context.signal.reason);
  if (context.signal.aborted) return;
  context.signal.addEventListener('abort', stop, { once: true });
  const work = new Replication(context, mailbox, controller).run().then(
    () => mailbox.close(),
    (error: unknown) => mailbox.fail(error),
  );
  try {
    yield* mailbox;
  } finally {
    context.signal.removeEventListener('abort', stop);
    controller.abort(new DOMException('nobody reads any more', 'AbortError'));
    await work;
  }
}

class Replication {
  readonly #context: ReadContext<Config>;
  readonly #mailbox: Mailbox<SourceItem>;
  readonly #controller: AbortController;
  readonly #publishing: Publishing;
  readonly #confirmations: Confirmations;
  readonly #continuous: boolean;

  constructor(context: ReadContext<Config>, mailbox: Mailbox<SourceItem>, controller: AbortController) {
    this.#context = context;
    this.#mailbox = mailbox;
    this.#controller = controller;
    this.#publishing = new Publishing(context);
    this.#confirmations = Confirmations.of(context);
    this.#continuous = context.session?.continuous ?? false;
  }

  async run(): Promise<void> {
    const { config } = this.#context;
    const connection = await openPatiently(this.#context);
    await using control = new Control(config, connection);
    const batches = await batchesOf({ ...this.#context, signal: this.#controller.signal }, connection);
    const chosen = new ChosenForm(batches !== undefined);
    const { tables, others } = await this.#streams(connection, chosen);
    const followed = await this.#publish(connection, tables);
    const stream = await ReplicationStream.open(config);
    try {
      const slot = await openSlot(this.#context, { names: this.#publishing.names, connection, stream, shared: sharedStateOf(this.#context.globalState) });
      failpoint('cdc.after_slot');
      // Whatever was copied of a log that is lost does not go on.
      if (slot.anew) for (const table of followed) table.startOver();
      const checkpoint = new Checkpoint({ ...slot.source, ...this.#publishing.names }, slot.position);
      for (const table of followed) checkpoint.tables.set(table.key, table);
      this.#keepOthers(checkpoint, tables);
      for (const table of followed) await this.#mailbox.put(status(table.stream, 'STARTED'));
      // Before the first row: a slot that nobody knows of would keep the log for ever.
      await this.#mailbox.put(checkpoint.take());
      await this.#replicate({ control, stream, slot, checkpoint, others, batches, chosen });
    } catch (error) {
      await this.#confirmations.stop();
      await stream.stop();
      throw await this.#lost(error, control);
    }
    // The stream stays open: the last positions are confirmed on it.
    this.#confirmations.end();
  }

  /** Where the log cannot be read on, and the user wants everything copied again then: without its slot the next attempt does that. */
  async #lost(thrown: unknown, control: Control): Promise<unknown> {
    const error = toConnectorError(thrown);
    if (!lostCodes.has(error.code) || this.#context.config.on_lost !== 'resnapshot') return thrown;
    // Our own session has ended, and the server may not have noticed yet.
    await dropSlot(await control.connection(), this.#publishing.names.slot, { waitMs: 10_000 });
    return transientError(`${error.message}. As on_lost says, every table is copied again`, { code: error.code, cause: error });
  }

  /**
   * Streams that are read in another way, in this run or in another one of the sync, keep their states. Those that were followed and are
   * not now have none: the position goes on without their changes.
   */
  #keepOthers(checkpoint: Checkpoint, tables: readonly Table[]): void {
    const followed = new Set(tables.map(({ key }) => key));
    for (const { stream, state } of this.#context.streamStates) {
      if (state !== undefined && !followed.has(streamKey(stream)) && !isTableState(state)) checkpoint.setOther(stream, state);
    }
  }

  /** Sorts the streams by how they are read; those that are not there are told. */
  async #streams(connection: Connection, chosen: ChosenForm): Promise<{ tables: Table[]; others: OtherStream[] }> {
    const { catalog, stateOf } = this.#context;
    const names = catalog.streams.map(({ stream }) => ({ schema: stream.namespace ?? 'public', name: stream.name }));
    const found = await findRelations(connection, { names }).catch((error: unknown) => {
      throw connection.classify(error);
    });
    const relations = new Map(found.map((relation) => [streamKey({ namespace: relation.schema, name: relation.name }), relation]));
    const tables: Table[] = [];
    const others: OtherStream[] = [];
    for (const configured of catalog.streams) {
      const { name, namespace } = configured.stream;
      const stream = namespace ? { name, namespace } : { name };
      const relation = relations.get(streamKey({ name, namespace: namespace ?? 'public' }));
      if (!relation) {
        const error = configError(`${label(stream)} does not exist, or user '${connection.target.user}' may not see it: discover again, or leave it out`, { code: 'pg_no_table', stream });
        await this.#mailbox.put(failed(stream, error));
      } else if (isReadByChanges(configured)) {
        requirePlainNames(stream, relation.columns);
        const table = new Table(configured, relation.oid, tableStateOf(stateOf(stream), stream));
        chosen.holds(table.schema, relation.columns);
        tables.push(table);
      } else {
        others.push({ configured, relation });
      }
    }
    return { tables, others };
  }

  /** Returns the tables whose changes will come. A table that is refused has no state from now on: it is copied once it is mended. */
  async #publish(connection: Connection, tables: readonly Table[]): Promise<Table[]> {
    const refused = await this.#publishing.prepare(connection, tables);
    for (const [table, error] of refused) await this.#mailbox.put(failed(table.stream, error));
    return tables.filter((table) => !refused.has(table));
  }

  async #replicate(parts: {
    readonly control: Control; readonly stream: ReplicationStream; readonly slot: OpenedSlot; readonly checkpoint: Checkpoint; readonly others: readonly OtherStream[];
    readonly batches: Batches | undefined; readonly chosen: ChosenForm;
  }): Promise<void> {
    const { control, slot, checkpoint, others, batches, chosen } = parts;
    const { config, session, log } = this.#context;
    const { signal } = this.#controller;
    const mailbox = this.#mailbox;
    const withOrder = session !== undefined;
    const start = async (stream: ReplicationStream): Promise<ReplicationStream> => {
      const { slot: name, publication } = this.#publishing.names;
      await stream.start({ slot: name, publications: [publication], from: checkpoint.position, messages: false, form: chosen.form, signal, log });
      this.#confirmations.attach(stream);
      return stream;
    };
    let othersDone = others.length === 0;
    const over = new AbortController();
    signal.addEventListener('abort', () => over.abort(), { once: true });
    // The two know of each other: changes are written into the stream's place, and a copy changes what is followed.
    const copier: Copier = new Copier({
      config, checkpoint, withOrder, batches, signal, log,
      patient: this.#continuous,
      put: (item, bytes) => mailbox.put(item, bytes),
      flush: () => replicator.flush(),
      publishedAs: (table, connection) => this.#publishing.of(table, connection),
      onProgress: () => replicator.progress(),
    });
    const changes = new Changes({
      checkpoint, withOrder, log, batches, chosen,
      blockBytes: config.block_bytes,
      fewChanges: config.batch_changes,
      partial: session?.extensions.includes('partial') ?? false,
      toast: config.toast,
      typesOf: (oids) => control.typesOf(oids),
      put: (item) => replicator.put(item),
      onReplaced: (table) => copier.add([table]),
    });
    const replicator: Replicator = new Replicator({
      control, changes, checkpoint, mailbox, signal, log, batches,
      stream: await start(parts.stream),
      blockBytes: config.block_bytes,
      stateIntervalMs: session?.state_interval_ms ?? config.state_interval_seconds * 1000,
      end: this.#continuous ? undefined : { target: slot.flushed, ready: () => othersDone && copier.idle },
      patient: this.#continuous,
      reconnect: async () => {
        const stream = await ReplicationStream.open(config);
        await slot.requireSame(stream);
        return start(stream);
      },
    });
    copier.add([...checkpoint.tables.values()].filter(({ phase }) => phase === 'pending'));
    await this.#together([
      () => replicator.run().finally(() => {
        copier.close();
        over.abort();
      }),
      () => copier.run(),
      async () => {
        await readOthers(this.#context, others, { signal, checkpoint, batches, put: (item, bytes) => mailbox.put(item, bytes), onProgress: () => replicator.progress() });
        othersDone = true;
        replicator.progress();
      },
      ...(this.#continuous ? [() => watchForTables(this.#context, { control, checkpoint, copier, replicator, publishing: this.#publishing, signal: over.signal })] : []),
    ]);
  }

  /** All of them to their ends. The first failure ends the others, and is thrown. */
  async #together(tasks: readonly (() => Promise<void>)[]): Promise<void> {
    let first: { readonly error: unknown } | undefined;
    await Promise.all(tasks.map((task) => task().catch((error: unknown) => {
      // What the others say to being ended is no failure of their own.
      if (!this.#controller.signal.aborted) first ??= { error };
      this.#controller.abort(error);
    })));
    if (first) throw first.error;
  }
}
