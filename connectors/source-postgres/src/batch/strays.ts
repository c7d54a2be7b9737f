/** Cells of a batch whose values their columns have no place for, and the column that holds them as text. */
import { Column } from '@tapline/sdk/batch';

/** A JSON object a row that has such a cell: the column's number and the text that a line would have. Other rows: null. */
export const strayColumn = '_tapline_values';

export class Strays {
  readonly #column = new Column({ kind: 'text' });
  /** In the order of the columns, and in each of the rows. */
  #cells: { readonly row: number; readonly column: number; readonly text: string }[] = [];

  add(row: number, column: number, text: string): void {
    this.#cells.push({ row, column, text });
  }

  get count(): number {
    return this.#cells.length;
  }

  /** The column of a batch of so many rows. Valid until {@link reset}. */
  columnOf(rows: number): Column {
    const column = this.#column;
    column.reset();
    column.reserve(rows, 0);
    // Stable: within a row the columns keep their order.
    const cells = this.#cells.toSorted((a, b) => a.row - b.row);
    for (let at = 0; at < cells.length; ) {
      const { row } = cells[at]!;
      for (; column.rows < row; column.rows++) column.setNull(column.rows);
      const members: string[] = [];
      for (; cells[at]?.row === row; at++) members.push(`"${cells[at]!.column}":"${cells[at]!.text}"`);
      const text = `{${members.join(',')}}`;
      column.reserve(0, 4 + text.length);
      column.view.setInt32(column.used, text.length, true);
      column.used += 4 + column.bytes.write(text, column.used + 4, 'latin1');
      column.rows++;
    }
    for (; column.rows < rows; column.rows++) column.setNull(column.rows);
    return column;
  }

  reset(): void {
    this.#cells = [];
  }
}
