/** An open warehouse: what each engine has to offer. Everything above it is shared. */
import type { PlainRows } from '@tapline/columnar';
import type { ColumnType, Dialect, TableName } from './dialects/dialect.js';

export type Scalar = string | number | boolean | null;
export type Row = Readonly<Record<string, unknown>>;

/** One connection, one statement at a time. What it rejects with is a ConnectorError. */
export interface Warehouse extends AsyncDisposable {
  readonly dialect: Dialect;
  /** For messages: where it is, without secrets. */
  readonly location: string;
  /** One statement; `$1` … are `parameters`. 64-bit integers come as strings. */
  run(sql: string, parameters?: readonly Scalar[]): Promise<Row[]>;
  /** BEGIN, `work`, COMMIT; ROLLBACK if it throws. A COMMIT whose answer was lost is a transient_error of code `commit_unknown`. */
  transaction<Result>(work: () => Promise<Result>): Promise<Result>;
  /** Appends what a query over local Parquet files gives, in the transaction that is open. Returns how many rows. */
  load(request: LoadRequest): Promise<number>;
  /**
   * As {@link load}, of files whose rows need no engine. Undefined where they do need one after all: nothing was appended then. Absent where
   * the engine is the warehouse, and reads them best itself.
   */
  loadPlain?(request: PlainLoadRequest): Promise<number | undefined>;
  /** Rows of a query over local Parquet files, in DuckDB's SQL; for small answers. */
  query(select: string): Promise<Row[]>;
  /** `from` takes the place of `into`, which may not exist, nor its schema, in the open transaction: readers see the old one until it commits. Views, grants and comments of `into` stay. */
  replaceTable(from: TableName, into: TableName): Promise<void>;
  /** Ends a writer of the same sync that hangs in a transaction and holds the row of the checkpoint; true if there was one. Not where the file's lock is the fence. */
  endHungWriter?(sync: string): Promise<boolean>;
}

export interface LoadRequest {
  readonly table: TableName;
  /** In the order of the query's columns. */
  readonly columns: readonly LoadColumn[];
  /** In DuckDB's SQL, whatever the warehouse is: files are read, typed and folded by the embedded engine. */
  readonly select: string;
}

export interface PlainLoadRequest {
  readonly table: TableName;
  readonly columns: readonly PlainLoadColumn[];
  readonly parts: readonly PlainLoadPart[];
  /** Nobody reads the table: it may be altered meanwhile. */
  readonly unseen: boolean;
}

export interface PlainLoadColumn extends LoadColumn {
  readonly value: PlainValue;
}

/** Where a column's values come from: one of the files' columns, or what each row has besides. */
export type PlainValue = { readonly kind: 'field'; readonly index: number } | { readonly kind: 'raw_id' | 'extracted_at' | 'meta' | 'generation' | 'order' | 'null' };

export interface PlainLoadPart {
  readonly rows: PlainRows;
  /** Of its files, in their order. */
  readonly paths: readonly string[];
}

export interface LoadColumn {
  readonly name: string;
  readonly type: ColumnType;
}
