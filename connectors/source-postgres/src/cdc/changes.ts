/**
 * The changes of the log as RECORD lines. A message is either written at once, or leaves something to be done before the next one may
 * be read (a relation to look up, a table that was emptied): see {@link Changes.takeTask}.
 */
import { failpoint, systemError, type DestinationSyncMode } from '@tapline/protocol';
import { generation, type SourceItem } from '@tapline/sdk';
import { label } from '../reading.js';
import { columnType, type PgTypes } from '../types.js';
import type { Checkpoint } from './checkpoint.js';
import { LineBuffer } from './decode/line-buffer.js';
import type { OldKind, PgoutputHandler, WireColumn, WireRelation } from './decode/messages.js';
import { noRow, TransactionMark, TupleEncoder, type OutColumn } from './decode/tuple-encoder.js';
import type { Lsn } from './lsn.js';
import { requirePlainNames } from './meta-columns.js';
import type { Table } from './table.js';

export interface ChangesOptions {
  readonly checkpoint: Checkpoint;
  readonly blockBytes: number;
  /** Records carry `_tapline_order`. */
  readonly withOrder: boolean;
  /** The destination keeps a value that the log does not carry, where it keeps one row a key. */
  readonly partial: boolean;
  readonly toast: 'reselect' | 'fail';
  typesOf(oids: readonly number[]): Promise<PgTypes>;
  /** Puts what was written so far into the mailbox, then the item. */
  put(item: SourceItem): Promise<void>;
  /** Another table stands under this name now. */
  onReplaced(table: Table): void;
  log(level: 'INFO' | 'WARN', message: string): void;
}

/** Lines with values that are to be fetched, and the transactions of the changes that left them out. */
export interface WaitingLines {
  readonly lines: LineBuffer;
  readonly transactions: ReadonlySet<number>;
}

const merging: ReadonlySet<DestinationSyncMode> = new Set(['append_dedup', 'update', 'soft_delete']);

/** A relation as the log last described it. */
interface Shape {
  readonly table: Table;
  readonly encoder: TupleEncoder;
  /** Of which transaction `follows` is the answer. */
  transaction: number;
  follows: boolean;
}

export class Changes implements PgoutputHandler {
  out: LineBuffer;
  readonly #options: ChangesOptions;
  readonly #shapes = new Map<number, Shape | undefined>();
  #task: (() => Promise<void>) | undefined;
  /** Counts transactions, so that the question whether a table follows is asked once in each. */
  #transaction = 0;
  #open = false;
  #xid = 0;
  #commitLsn: Lsn = 0n;
  #mark: TransactionMark | undefined;
  /** Of the last change in the transaction, whether it was wanted or not: the same after a reconnection. */
  #sequence = 0;
  /** The place of a TRUNCATE that is not out yet. */
  #emptying: number | undefined;
  #skip: { readonly commitLsn: Lsn; readonly sequence: number } | undefined;
  #commitTime = 0;
  #waiting = new Set<number>();

  constructor(options: ChangesOptions) {
    this.#options = options;
    this.out = new LineBuffer(options.blockBytes);
  }

  /** In the middle of a transaction: no STATE can be sent. */
  get open(): boolean {
    return this.#open;
  }

  /** Milliseconds since 1970 of the last commit; 0 = none yet. */
  get commitTime(): number {
    return this.#commitTime;
  }

  /** What was written so far, which waits for values; the next change goes into another buffer. */
  changeOut(): WaitingLines {
    const waiting = { lines: this.out, transactions: this.#waiting };
    this.out = new LineBuffer(this.#options.blockBytes);
    this.#waiting = new Set();
    return waiting;
  }

  /** What has to be done before the next message. */
  takeTask(): (() => Promise<void>) | undefined {
    const task = this.#task;
    this.#task = undefined;
    return task;
  }

  get hasTask(): boolean {
    return this.#task !== undefined;
  }

  /** The connection was lost. The transaction in the middle of which that was comes again: what is out of it is passed over. */
  interrupted(): void {
    // Relations are told anew on each connection.
    this.#shapes.clear();
    this.#task = undefined;
    if (!this.#open) return;
    // Rows are out as soon as they are written; a TRUNCATE only once its generation is.
    const out = this.#emptying === undefined ? this.#sequence : this.#emptying - 1;
    this.#emptying = undefined;
    this.#skip = { commitLsn: this.#commitLsn, sequence: Math.max(out, this.#skip?.sequence ?? 0) };
  }

  /** Which transactions a table follows may have changed. */
  reconsider(): void {
    this.#transaction++;
  }

  /** Lines from here on are of a new moment. */
  renewTime(): void {
    const now = Date.now();
    for (const shape of this.#shapes.values()) if (shape) shape.encoder.emittedAt = now;
  }

  begin(commitLsn: Lsn, commitTimeMicros: bigint, xid: number): void {
    if (this.#skip && this.#skip.commitLsn !== commitLsn) {
      throw systemError('the log goes on in the middle of another transaction than the one that was interrupted', { code: 'pg_stream' });
    }
    this.#transaction++;
    this.#open = true;
    this.#xid = xid;
    this.#commitLsn = commitLsn;
    this.#sequence = 0;
    this.#commitTime = Number(commitTimeMicros / 1000n);
    this.#mark = new TransactionMark(commitLsn, commitTimeMicros, this.#options.withOrder);
  }

  commit(_commitLsn: Lsn, endLsn: Lsn): void {
    this.#open = false;
    this.#skip = undefined;
    this.#options.checkpoint.reach(endLsn);
  }

  relation(relation: WireRelation): void {
    this.#task = () => this.#adopt(relation);
  }

  insert(oid: number, bytes: Buffer, tuple: number): void {
    const sequence = ++this.#sequence;
    const shape = this.#shapeOf(oid);
    if (shape && this.#wanted(shape, sequence)) this.#upsert(shape, bytes, tuple, noRow, sequence);
  }

  update(oid: number, bytes: Buffer, old: number, oldKind: OldKind | undefined, tuple: number): void {
    const shape = this.#shapeOf(oid);
    const moved = shape !== undefined && oldKind !== undefined && shape.encoder.keyChanged(bytes, old, tuple);
    if (moved) {
      // Another key is another row: the old one goes, the new one comes.
      const sequence = ++this.#sequence;
      if (this.#wanted(shape, sequence)) shape.encoder.delete(this.out, bytes, old, oldKind, this.#mark!, sequence);
    }
    const sequence = ++this.#sequence;
    if (!shape || !this.#wanted(shape, sequence)) return;
    this.#upsert(shape, bytes, tuple, old, sequence);
  }

  delete(oid: number, bytes: Buffer, old: number, oldKind: OldKind): void {
    const sequence = ++this.#sequence;
    const shape = this.#shapeOf(oid);
    if (shape && this.#wanted(shape, sequence)) shape.encoder.delete(this.out, bytes, old, oldKind, this.#mark!, sequence);
  }

  truncate(oids: readonly number[]): void {
    const sequence = ++this.#sequence;
    const emptied = oids.flatMap((oid) => {
      const shape = this.#shapeOf(oid);
      return shape && this.#wanted(shape, sequence) ? [shape.table] : [];
    });
    if (emptied.length === 0) return;
    this.#emptying = sequence;
    this.#task = () => this.#empty(emptied);
  }

  #upsert({ encoder }: Shape, bytes: Buffer, tuple: number, old: number, sequence: number): void {
    const { out } = this;
    const holes = out.holes.length;
    encoder.upsert(out, bytes, tuple, old, this.#mark!, sequence);
    if (out.holes.length > holes) this.#waiting.add(this.#xid);
  }

  #shapeOf(oid: number): Shape | undefined {
    const shape = this.#shapes.get(oid);
    if (shape === undefined && !this.#shapes.has(oid)) {
      throw systemError(`the log holds a change of the relation ${oid}, which it did not describe`, { code: 'pg_stream' });
    }
    return shape;
  }

  #wanted(shape: Shape, sequence: number): boolean {
    if (shape.transaction !== this.#transaction) {
      shape.transaction = this.#transaction;
      shape.follows = shape.table.follows(this.#xid, this.#commitLsn);
    }
    return shape.follows && (this.#skip === undefined || sequence > this.#skip.sequence);
  }

  /** The rows that a table had are gone: a generation begins, and it is whole. */
  async #empty(tables: readonly Table[]): Promise<void> {
    for (const table of tables) {
      const number = ++table.generation;
      await this.#options.put(generation(table.stream, { generation: number, minimum: number, phase: 'begin' }));
      await this.#options.put(generation(table.stream, { generation: number, minimum: number, phase: 'complete' }));
    }
    this.#emptying = undefined;
    failpoint('cdc.after_truncate');
  }

  async #adopt(wire: WireRelation): Promise<void> {
    const { checkpoint, typesOf, partial, toast, put, onReplaced } = this.#options;
    const table = [...checkpoint.tables.values()].find(({ stream }) => stream.name === wire.name && (stream.namespace ?? 'public') === (wire.schema || 'pg_catalog'));
    if (!table) {
      this.#shapes.set(wire.oid, undefined);
      return;
    }
    if (wire.oid !== table.oid) {
      // Changes of a table that was dropped before the one of its name was copied are in nobody's way.
      if (table.phase === 'streaming') {
        this.#options.log('WARN', `${label(table.stream)} was dropped and made again: it is copied anew`);
        table.oid = wire.oid;
        table.startOver();
        onReplaced(table);
      }
    }
    requirePlainNames(table.stream, wire.columns);
    const types = await typesOf(wire.columns.map(({ typeOid }) => typeOid));
    const carried = wire.identity === 'f' ? wire.columns : wire.columns.filter(({ key }) => key);
    table.requireKey(carried.map(({ name }) => name));
    // With identity FULL every column is part of the identity, and none of them tells rows apart.
    const isKey = ({ name, key }: WireColumn): boolean => (wire.identity === 'f' ? table.primaryKey.includes(name) : key);
    const columns = wire.columns.flatMap((column, index): OutColumn[] => {
      const { name, typeOid, modifier } = column;
      const type = columnType(typeOid, modifier, types);
      const property = table.schema.propertyOf(name, type.logical);
      return property === undefined ? [] : [{ index, property, type, key: isKey(column) }];
    });
    table.schema.narrow(new Set(columns.map(({ property }) => property)));
    const told = columns.map((column) => ({ ...column, late: !table.schema.isWhole(column.property) }));
    const changed = table.takeSchema();
    if (changed) await put(changed);
    // Where every change becomes a row, there is no older value to keep in it.
    const keeps = partial && merging.has(table.configured.destination_sync_mode);
    const encoder = new TupleEncoder({ stream: table.stream, relation: wire, columns: told, partial: keeps, toast });
    this.#shapes.set(wire.oid, { table, encoder, transaction: -1, follows: false });
  }
}
