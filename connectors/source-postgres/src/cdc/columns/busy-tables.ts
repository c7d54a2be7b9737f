/**
 * Which tables' changes are gathered as columns: those that have many at a time, and again and again. The first ones are lines, and so are
 * all of a table that is quiet: a file for a few rows is dearer than their lines, and who goes to and fro makes more files than either.
 */
import type { ChangeBatch, ChangeColumns } from './change-columns.js';

/** So many times as many at once are no accident. */
const many = 10;
/** The buffers of a table are kept while it is busy. */
const mostTables = 32;

export class BusyTable {
  readonly columns: ChangeColumns;
  isBusy = false;
  rows = 0;
  /** Rows before the last STATE, from the one before it on. */
  before = 0;
  group = -1;

  constructor(columns: ChangeColumns) {
    this.columns = columns;
  }
}

export class BusyTables {
  readonly #few: number;
  readonly #busy = new Set<BusyTable>();
  /** Counts the times from STATE to STATE. */
  #group = 0;
  #since: number | undefined;

  /** `few`: rows between two STATEs up to which lines are cheaper than a file. */
  constructor(few: number) {
    this.#few = few;
  }

  /** Counts a row of the table. Returns whether it goes into the columns. */
  takes(table: BusyTable): boolean {
    if (table.group !== this.#group) {
      table.before = table.group === this.#group - 1 ? table.rows : 0;
      table.group = this.#group;
      table.rows = 0;
    }
    table.rows++;
    if (table.isBusy) return true;
    if (table.rows <= this.#few || (table.before <= this.#few && table.rows <= many * this.#few) || this.#busy.size === mostTables) return false;
    table.isBusy = true;
    this.#busy.add(table);
    return true;
  }

  /** The messages of all rows so far are free then. */
  settle(): void {
    for (const { columns } of this.#busy) {
      columns.settle();
      if (columns.rows > 0) this.#since ??= performance.now();
    }
  }

  /** Milliseconds since the first row came that is in no batch yet; undefined: there is none. */
  get age(): number | undefined {
    return this.#since === undefined ? undefined : performance.now() - this.#since;
  }

  /** Bytes of the rows that are in no batch yet. */
  get size(): number {
    let bytes = 0;
    for (const { columns } of this.#busy) bytes += columns.size;
    return bytes;
  }

  /** All rows so far, a batch a table. */
  take(): ChangeBatch[] {
    this.#since = undefined;
    const batches: ChangeBatch[] = [];
    for (const { columns } of this.#busy) if (columns.rows > 0) batches.push(columns.take());
    return batches;
  }

  /** A STATE goes out, and no row is left. Who had few rows before it is not busy any more. */
  endGroup(): void {
    for (const table of this.#busy) if (table.group !== this.#group || table.rows <= this.#few) this.calm(table);
    this.#group++;
  }

  /** The rows that follow are lines again. None may be left in the columns. */
  calm(table: BusyTable): void {
    table.isBusy = false;
    table.rows = 0;
    table.columns.rest();
    this.#busy.delete(table);
  }
}
