/** A stream's table, as this run writes it. */
import type { StreamDescriptor } from '@tapline/protocol';
import type { ColumnType, TableName } from '../dialects/dialect.js';

/**
 * `append`: every record a row. `merge`: one row a key, the latest by cursor, then `_tapline_order`. `history`: one row for every version
 * of a key, with `valid_from`, `valid_to` and `is_current`.
 */
export type WriteMode = 'append' | 'merge' | 'history';

export interface TableColumn {
  readonly name: string;
  readonly type: ColumnType;
  /** The member of the record's data whose values stand here now; undefined = one of ours, or a column that the source has no more. */
  readonly field: string | undefined;
  /** The member for whose values it was made, and which it may hold again; undefined = one of ours. Absent = `field`. */
  readonly origin?: string | undefined;
}

export interface TableShape {
  readonly stream: StreamDescriptor;
  readonly table: TableName;
  /** All of them, ours too, in the table's order. */
  readonly columns: readonly TableColumn[];
  readonly write: WriteMode;
  /** Names of columns; empty with `append`. */
  readonly key: readonly string[];
  /** The key is declared as the table's primary key: no column of it was ever null. Only with `merge`. */
  readonly primaryKey: boolean;
  /** Name of the column that decides before `_tapline_order` does. */
  readonly cursor: string | undefined;
  /** The stream tells deletions (`_ab_cdc_deleted_at`). */
  readonly deletes: 'hard' | 'soft' | undefined;
}

/** Where in a staged file the value of a column comes from. */
export interface ColumnSource {
  readonly column: TableColumn;
  /** Name of the column in the file; undefined = null. */
  readonly from: string | undefined;
  /** Its type in the file; undefined with `from`. Where it differs from the column's, the value is cast. */
  readonly type: ColumnType | undefined;
  /** The file's type is another one, and not all of its values fit: what does not is null, and told. */
  readonly lossy: boolean;
}
