/** How one engine writes what all of them do. Pure: SQL text only. */
import type { LogicalType } from '@tapline/catalog';

export interface TableName {
  readonly schema: string;
  readonly table: string;
}

/** A logical type, or one of our own columns'. `changes`: `_airbyte_meta`. */
export type ColumnType = LogicalType;

export interface NewColumn {
  readonly name: string;
  readonly type: ColumnType;
  readonly nullable: boolean;
}

export interface Dialect {
  readonly name: 'duckdb' | 'postgres';
  /** Where streams without a namespace go. */
  readonly defaultSchema: string;
  /** Longest name, in bytes of UTF-8; undefined = no limit. */
  readonly maxNameBytes: number | undefined;
  /** Names that differ in case only are different names. */
  readonly caseSensitive: boolean;
  /** Names that the engine keeps for itself, whatever the quotes. */
  isReservedSchema(name: string): boolean;
  isReservedColumn(name: string): boolean;
  quote(name: string): string;
  /** The whole name of a table, quoted. */
  table(name: TableName): string;
  type(type: ColumnType): string;
  createSchema(schema: string): string;
  /** `key`: columns of a primary key, empty = none. */
  createTable(table: TableName, columns: readonly NewColumn[], key: readonly string[]): string[];
  /** A table that goes at the end of the transaction. Returned with its name, which `table()` takes. */
  createTemporary(name: string, columns: readonly NewColumn[]): { readonly table: TableName; readonly statements: string[] };
  addColumn(table: TableName, column: NewColumn): string[];
  /** Every old value fits the new type. */
  widenColumn(table: TableName, column: string, type: ColumnType): string[];
  dropColumn(table: TableName, column: string): string[];
  /** Makes the columns the table's primary key (NOT NULL), or puts a plain index on them. Nothing where the engine does without. */
  addKey(table: TableName, key: readonly string[], kind: 'primary' | 'index'): string[];
  /** As `addKey` with `primary`, unless two rows have one key: then nothing, and no failure. */
  tryKey(table: TableName, key: readonly string[]): string[];
  /** SQL that gives a row if these columns are the table's primary key; undefined = none ever has one. */
  readonly findKey: ((table: TableName, key: readonly string[]) => string) | undefined;
  /** A table of which rows were deleted or changed cannot be altered later in the transaction. */
  readonly altersComeFirst: boolean;
  /** No primary key any more, whatever its name: its columns take nulls from now on, and have a plain index. */
  dropKey(table: TableName, key: readonly string[]): string[];
  /** A table can be moved to another schema at no cost. False: tables of open generations lie beside those whose place they take. */
  readonly movesBetweenSchemas: boolean;
  dropTable(table: TableName): string[];
  /** After a load. */
  analyze(table: TableName): string[];
  /** What a transaction begins with that runs a user's own statements: they find tables as they do elsewhere. */
  readonly userSettings: readonly string[];
  readonly forms: Forms;
  readonly catalog: CatalogQueries;
}

/** How an engine compares values, and holds `_airbyte_meta`. What folds files is the embedded engine's, whatever the warehouse. */
export interface Forms {
  /** SQL of what tells values of a type apart, where the column's own does not: numbers that lie as text. */
  identity(type: ColumnType, value: string): string;
  /** SQL of what orders them. */
  order(type: ColumnType, value: string): string;
  /** The value itself; text is compared as bytes, for the embedded engine knows no languages. */
  bytewise(type: ColumnType, value: string): string;
  /** SQL: equal, or both null. */
  same(a: string, b: string): string;
  /** The same as a condition of a join, so that it is one by hash or index. */
  joined(type: ColumnType, a: string, b: string): string;
  /** A column of a row of each group, where it is what the groups are made of, or equal to that. */
  grouped(column: string): string;
  /** `meta` with more entries; `list` is SQL of their JSON texts, a comma between them, null where there are none. */
  withChanges(meta: string, list: string): string;
  /** True where `meta` has this entry, a JSON text. */
  hasChange(meta: string, entry: string): string;
}

/** What the database has, asked of its own catalog: information_schema hides what the role may not touch. */
export interface CatalogQueries {
  /** A row if there is the schema `$1`. */
  readonly schema: string;
  /**
   * A row a column of the relation `$1`, `$2`, in order: schema_name, relation_name, kind (as pg_class.relkind has it, or `partition`), name, type; name
   * and type are null where it has no column.
   */
  readonly relation: string;
  /** The same of all relations of `count` schemas, `$1` … */
  relations(count: number): string;
}
