/** What the tables' writer is asked, and what it answers. */
import type { TableName } from '../dialects/dialect.js';
import type { ColumnSource, TableShape } from '../tables/shape.js';
import type { PlainLoadPart, Warehouse } from '../warehouse.js';

export interface TableWriterOptions {
  readonly warehouse: Warehouse;
  /** What becomes of a value that its column cannot hold, besides that it is null with an entry in `_airbyte_meta`. */
  readonly badValues: 'null' | 'quarantine' | 'fail';
  /** Told in the quarantine. */
  readonly run: string;
}

export interface LoadFile {
  /**
   * Absolute path of a local Parquet file; or a SELECT, in the embedded engine's SQL, of the rows that one would have. `plain`: the same
   * rows, but for what the warehouse refuses, lie in these files.
   */
  readonly rows: { readonly path: string } | { readonly select: string; readonly plain?: PlainLoadPart | undefined };
  /** Where the values of the shape's columns come from, ours among them: `sourcesOf(shape, plan of the file)`. */
  readonly sources: readonly ColumnSource[];
  /** It has the column `_tapline_unchanged`. */
  readonly unchanged: boolean;
}

export interface WriteRequest {
  /** Of the stream's table. That of an open generation is the same, with `_tapline_unchanged` (text) besides unless `append`. */
  readonly shape: TableShape;
  readonly table: TableName;
  /** `table` is that of an open generation: it has no primary key, and no columns that may not be null. */
  readonly open: boolean;
  /** In any order: `_tapline_order` decides. */
  readonly files: readonly LoadFile[];
}

export interface WriteReport {
  /** Records of the files. */
  readonly rows: number;
  /** Values that are null because they could not be held. */
  readonly nulled: number;
  /** A column of the key is null somewhere: the table has no primary key any more (`TableShape.primaryKey`). */
  readonly keyHeldNull: boolean;
}

export interface CompleteRequest {
  /** Of `into`, which exists and has it, unless it is replaced. */
  readonly shape: TableShape;
  /** The open generation's table; gone afterwards. */
  readonly from: TableName;
  readonly into: TableName;
  /** Older generations' rows leave: `from` takes the place of `into`, which may not exist. With `history` they are closed instead, and `into` must exist. */
  readonly replace: boolean;
}
