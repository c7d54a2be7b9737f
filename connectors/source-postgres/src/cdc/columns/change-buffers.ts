/** The columns of one batch of changes: the table's own, and what every change has beside them. */
import { Column } from '@tapline/sdk/batch';
import { strayColumn, Strays } from '../../batch/strays.js';
import type { Halves } from '../../halves.js';
import { hexPairs } from '../../hex-pairs.js';
import type { TransactionMark } from '../decode/transaction-mark.js';
import { append } from './decode-texts.js';
import type { ChangeForm } from './forms.js';

/** Filled row by row, taken whole, and used again. */
export class ChangeBuffers {
  readonly columns: readonly Column[];
  readonly strays = new Strays();
  readonly stray: readonly ((row: number, text: string) => void)[];
  readonly #lsn = new Column({ kind: 'int', bits: 64 });
  readonly #updatedAt = new Column({ kind: 'timestamptz' });
  readonly #deletedAt = new Column({ kind: 'timestamptz' });
  readonly #order = new Column({ kind: 'text' });
  readonly #unchanged = new Column({ kind: 'text' });
  rows = 0;

  constructor(forms: readonly ChangeForm[]) {
    this.columns = forms.map(({ type }) => new Column(type));
    this.stray = forms.map((_, column) => (row, wireText) => this.strays.add(row, column, wireText));
  }

  get size(): number {
    let bytes = 0;
    for (const { used } of this.columns) bytes += used;
    return bytes + this.#order.used + this.#unchanged.used;
  }

  /** What a row has beside its fields. */
  add(mark: TransactionMark, sequence: number, isGone: boolean, unchanged: string): void {
    const row = this.rows++;
    const { lsn, time, order } = mark.halves;
    pushLong(this.#lsn, lsn);
    pushLong(this.#updatedAt, time);
    if (isGone) pushLong(this.#deletedAt, time);
    else {
      this.#deletedAt.reserve(1, 0);
      this.#deletedAt.setNull(row);
      this.#deletedAt.rows++;
    }
    pushOrder(this.#order, order, sequence);
    if (unchanged === '') return;
    this.#upTo(row);
    this.#unchanged.reserve(1, 0);
    append(this.#unchanged, `[${unchanged}]`);
    this.#unchanged.rows++;
  }

  /** The columns as they stand in a file, and the names of those behind the table's own. */
  whole(tellsUnchanged: boolean): { readonly columns: readonly Column[]; readonly named: readonly string[] } {
    const columns = [...this.columns, this.#lsn, this.#updatedAt, this.#deletedAt, this.#order];
    const named = ['_ab_cdc_lsn', '_ab_cdc_updated_at', '_ab_cdc_deleted_at', '_tapline_order'];
    if (tellsUnchanged) {
      this.#upTo(this.rows);
      columns.push(this.#unchanged);
      named.push('_tapline_unchanged');
    }
    if (this.strays.count > 0) {
      columns.push(this.strays.columnOf(this.rows));
      named.push(strayColumn);
    }
    return { columns, named };
  }

  reset(): void {
    for (const column of [...this.columns, this.#lsn, this.#updatedAt, this.#deletedAt, this.#order, this.#unchanged]) column.reset();
    this.strays.reset();
    this.rows = 0;
  }

  /** Rows in which nothing is unchanged. */
  #upTo(row: number): void {
    const column = this.#unchanged;
    column.reserve(row - column.rows, 0);
    for (; column.rows < row; column.rows++) column.setNull(column.rows);
  }
}

function pushLong(column: Column, { high, low }: Halves): void {
  column.reserve(1, 8);
  column.view.setInt32(column.used, low, true);
  column.view.setInt32(column.used + 4, high, true);
  column.used += 8;
  column.rows++;
}

const orderLength = 32;
/** `prefix`: the digits of the commit's position, as four integers. */
function pushOrder(column: Column, prefix: Int32Array, sequence: number): void {
  column.reserve(1, 4 + orderLength);
  const { view } = column;
  let at = column.used;
  view.setInt32(at, orderLength, true);
  for (let i = 0; i < 4; i++) view.setInt32((at += 4), prefix[i]!);
  at += 4;
  at = pushDigits(view, at, Math.floor(sequence / 0x1_0000_0000));
  column.used = pushDigits(view, at, sequence);
  column.rows++;
}

/** The lower 32 bits, in 8 digits. */
function pushDigits(view: DataView, at: number, value: number): number {
  view.setUint16(at, hexPairs[value >>> 24]!);
  view.setUint16(at + 2, hexPairs[(value >>> 16) & 255]!);
  view.setUint16(at + 4, hexPairs[(value >>> 8) & 255]!);
  view.setUint16(at + 6, hexPairs[value & 255]!);
  return at + 8;
}
