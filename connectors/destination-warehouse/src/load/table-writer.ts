/**
 * What a commit does with the tables of streams, in its transaction: staged files become rows.
 *
 * A table that readers see has one row a key (`merge`) or one a version (`history`) at any time. The table of a generation that is
 * open, which nobody sees, is a log: every record as it came, deletions and unknown values among them. It is folded when the
 * generation completes, so that it does not matter in which order copied rows and changes came into it.
 */
import type { TableName } from '../dialects/dialect.js';
import type { ColumnSource, TableShape } from '../tables/shape.js';
import type { Warehouse } from '../warehouse.js';

export interface TableWriterOptions {
  readonly warehouse: Warehouse;
  /** What becomes of a value that its column cannot hold, besides that it is null with an entry in `_airbyte_meta`. */
  readonly badValues: 'null' | 'quarantine' | 'fail';
  /** Told in the quarantine. */
  readonly run: string;
}

export interface LoadFile {
  /** Absolute path of a local Parquet file. */
  readonly path: string;
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

/** One transaction is open in all of its methods, and it is theirs alone. */
export class TableWriter {
  readonly #options: TableWriterOptions;

  constructor(options: TableWriterOptions) {
    this.#options = options;
  }

  /**
   * Brings staged files into a table. Rejects with a `config_error` where `fail` was asked for and a value could not be held, and with a
   * protocol error where a record has no value in any column of its key.
   */
  async write(request: WriteRequest): Promise<WriteReport> {
    throw new Error(`not yet: ${request.shape.stream.name} ${this.#options.run}`);
  }

  /** Ends an open generation. Returns values that are null because nobody told them. */
  async complete(request: CompleteRequest): Promise<Pick<WriteReport, 'nulled' | 'keyHeldNull'>> {
    throw new Error(`not yet: ${request.shape.stream.name}`);
  }

  /** The rows of `table` folded anew by the key of `shape`, which is another one than they were merged by; no more than one row a key is left. */
  async rekey(shape: TableShape, table: TableName): Promise<void> {
    throw new Error(`not yet: ${shape.stream.name} ${table.table}`);
  }
}
