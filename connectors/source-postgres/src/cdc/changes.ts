/**
 * The changes of the log as RECORD lines, or as columns where a table has many at a time. A message is either written at once, or leaves something to be done before the next one may
 * be read (a relation to look up, a table that was emptied): see {@link Changes.takeTask}.
 */
import { failpoint, systemError, type DestinationSyncMode } from '@tapline/protocol';
import { generation, type SourceItem } from '@tapline/sdk';
import type { Batches } from '../batch/batches.js';
import { label } from '../reading.js';
import { columnType, type PgTypes } from '../types.js';
import type { Checkpoint } from './checkpoint.js';
import { BusyTable, BusyTables } from './columns/busy-tables.js';
import { ChangeColumns, type ChangeBatch } from './columns/change-columns.js';
import { LineBuffer } from './decode/line-buffer.js';
import type { OldKind, PgoutputHandler, WireColumn, WireRelation } from './decode/messages.js';
import { noRow, TransactionMark, TupleEncoder, type OutColumn } from './decode/tuple-encoder.js';
import type { ChosenForm } from './log-form.js';
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
  /** Where the run has them. */
  readonly batches: Batches | undefined;
  /** In which the log is read. */
  readonly chosen: ChosenForm;
  /** Changes of a table between two STATEs up to which lines are cheaper than a file. */
  readonly fewChanges: number;
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

/** What leaves together: the lines, or those that wait for values, and behind them the batches. */
export interface Outgoing {
  lines: Buffer | undefined;
  waiting: WaitingLines | undefined;
  readonly batches: ChangeBatch[];
}

const merging: ReadonlySet<DestinationSyncMode> = new Set(['append_dedup', 'update', 'soft_delete']);

/** A relation as the log last described it. */
interface Shape {
  readonly table: Table;
  readonly encoder: TupleEncoder;
  /** Undefined: its changes are lines, always. */
  readonly busy: BusyTable | undefined;
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
  /** The place of the first change that is left to a task: a TRUNCATE, or a row that has to follow its batch as a line. */
  #unwritten: number | undefined;
  #lines: (() => void)[] = [];
  #skip: { readonly commitLsn: Lsn; readonly sequence: number } | undefined;
  #commitTime = 0;
  #waiting = new Set<number>();
  readonly #busy: BusyTables;

  constructor(options: ChangesOptions) {
    this.#options = options;
    this.#busy = new BusyTables(options.fewChanges);
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

  /** What was written so far, or the lines of it alone: of no table a line follows its columns. What comes next goes into other buffers. */
  takeOut(linesAlone: boolean): Outgoing {
    const out: Outgoing = { lines: undefined, waiting: undefined, batches: linesAlone ? [] : this.#busy.take() };
    if (this.out.length === 0) return out;
    if (this.out.holes.length === 0) return { ...out, lines: this.out.take() };
    out.waiting = { lines: this.out, transactions: this.#waiting };
    this.out = new LineBuffer(this.#options.blockBytes);
    this.#waiting = new Set();
    return out;
  }

  /** The bytes of the messages so far are free then. To be called before anything is awaited. */
  settle(): void {
    this.#busy.settle();
  }

  /** Milliseconds since the first row came that is in columns, and in no batch yet; undefined: there is none. */
  get columnsAge(): number | undefined {
    return this.#busy.age;
  }

  /** The columns hold what a batch may. */
  get columnsFull(): boolean {
    const { batches } = this.#options;
    return batches !== undefined && this.#busy.size >= batches.batchBytes;
  }

  /** A STATE goes out, and everything before it is. */
  endGroup(): void {
    this.#busy.endGroup();
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
    this.#lines = [];
    if (!this.#open) return;
    // Rows are out as soon as they are written; what is left to a task only once that is done.
    const out = this.#unwritten === undefined ? this.#sequence : this.#unwritten - 1;
    this.#unwritten = undefined;
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
      if (this.#wanted(shape, sequence)) this.#delete(shape, bytes, old, oldKind, sequence);
    }
    const sequence = ++this.#sequence;
    if (!shape || !this.#wanted(shape, sequence)) return;
    this.#upsert(shape, bytes, tuple, old, sequence);
  }

  delete(oid: number, bytes: Buffer, old: number, oldKind: OldKind): void {
    const sequence = ++this.#sequence;
    const shape = this.#shapeOf(oid);
    if (shape && this.#wanted(shape, sequence)) this.#delete(shape, bytes, old, oldKind, sequence);
  }

  truncate(oids: readonly number[]): void {
    const sequence = ++this.#sequence;
    const emptied = oids.flatMap((oid) => {
      const shape = this.#shapeOf(oid);
      return shape && this.#wanted(shape, sequence) ? [shape.table] : [];
    });
    if (emptied.length === 0) return;
    this.#unwritten = sequence;
    this.#task = () => this.#empty(emptied);
  }

  #upsert(shape: Shape, bytes: Buffer, tuple: number, old: number, sequence: number): void {
    const { busy } = shape;
    if (!busy || !this.#busy.takes(busy)) this.#upsertLine(shape, bytes, tuple, old, sequence);
    else if (this.#lines.length > 0 || !busy.columns.upsert(bytes, tuple, old, this.#mark!, sequence)) {
      this.#follow(busy, sequence, () => this.#upsertLine(shape, bytes, tuple, old, sequence));
    }
  }

  #upsertLine({ encoder }: Shape, bytes: Buffer, tuple: number, old: number, sequence: number): void {
    const { out } = this;
    const holes = out.holes.length;
    encoder.upsert(out, bytes, tuple, old, this.#mark!, sequence);
    if (out.holes.length > holes) this.#waiting.add(this.#xid);
  }

  #delete({ busy, encoder }: Shape, bytes: Buffer, old: number, oldKind: OldKind, sequence: number): void {
    if (!busy || !this.#busy.takes(busy)) encoder.delete(this.out, bytes, old, oldKind, this.#mark!, sequence);
    else if (!busy.columns.delete(bytes, old, oldKind, this.#mark!, sequence)) {
      this.#follow(busy, sequence, () => encoder.delete(this.out, bytes, old, oldKind, this.#mark!, sequence));
    }
  }

  /** A row that has to be a line comes behind those of its table that are columns: they go out first. */
  #follow(busy: BusyTable, sequence: number, line: () => void): void {
    this.#unwritten ??= sequence;
    this.#lines.push(line);
    this.#task = async () => {
      this.#busy.calm(busy);
      for (const write of this.#lines.splice(0)) write();
      this.#unwritten = undefined;
    };
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
    this.#unwritten = undefined;
    failpoint('cdc.after_truncate');
  }

  async #adopt(wire: WireRelation): Promise<void> {
    const { checkpoint, typesOf, partial, toast, put, onReplaced, chosen } = this.#options;
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
    const typed = wire.columns.map((column) => ({ ...column, type: columnType(column.typeOid, column.modifier, types) }));
    chosen.requires(table.stream, table.schema, typed);
    const columns = typed.flatMap((column, index): OutColumn[] => {
      const { name, type } = column;
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
    const gathered = this.#options.batches?.hold(told.map(({ property }) => ({ name: property }))) ? ChangeColumns.of(encoder, chosen.form) : undefined;
    this.#shapes.set(wire.oid, { table, encoder, busy: gathered && new BusyTable(gathered), transaction: -1, follows: false });
  }
}
