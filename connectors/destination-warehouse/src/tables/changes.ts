/** What has to be done to a table before rows can be written, and doing it. */
import type { ColumnType, Dialect, TableName } from '../dialects/dialect.js';
import { runAll } from '../run-all.js';
import type { Warehouse } from '../warehouse.js';
import { schemaExists } from './existing.js';
import { marker } from './own-columns.js';
import type { TableColumn, TableShape, WriteMode } from './shape.js';

export type TableChange =
  /** There is none yet. `key`: its primary key; `index`: columns of a plain index; empty = none. */
  | { readonly kind: 'create'; readonly columns: readonly TableColumn[]; readonly key: readonly string[]; readonly index: readonly string[] }
  /** Null in every row that is there. */
  | { readonly kind: 'add'; readonly column: TableColumn }
  /** Every old value is a value of the new type. */
  | { readonly kind: 'widen'; readonly column: string; readonly from: ColumnType; readonly to: ColumnType }
  /** Rows are appended from now on: nothing is unique any more. */
  | { readonly kind: 'drop_key'; readonly key: readonly string[] };

/** The table as its shape says, where there is none. That of an open generation is a log: nothing in it is unique, and all may be null. */
export function creationOf(shape: TableShape): TableChange {
  const log = shape.columns.some(({ name }) => name === marker.name);
  const keyed = shape.write !== 'append' && !log;
  return { kind: 'create', columns: shape.columns, key: keyed && shape.primaryKey ? shape.key : [], index: keyed && !shape.primaryKey ? shape.key : [] };
}

/** For a table that was merged into, and is appended to now. */
export const dropsKey = (before: TableShape, now: WriteMode): readonly TableChange[] => (now === 'append' && before.primaryKey ? [{ kind: 'drop_key', key: before.key }] : []);

/** Runs them in order, in the transaction that is open, if one is. Makes the table's schema, if it has to be made. */
export async function applyChanges(warehouse: Warehouse, table: TableName, changes: readonly TableChange[]): Promise<void> {
  for (const change of changes) {
    if (change.kind === 'create') await ensureSchema(warehouse, table.schema);
    await runAll(warehouse, statementsOf(warehouse.dialect, table, change));
  }
}

/** Makes a schema unless it is there: a role that may not make any may still write to one that it was given. */
export async function ensureSchema(warehouse: Warehouse, schema: string): Promise<void> {
  if (!(await schemaExists(warehouse, schema))) await warehouse.run(warehouse.dialect.createSchema(schema));
}

function statementsOf(dialect: Dialect, table: TableName, change: TableChange): readonly string[] {
  switch (change.kind) {
    case 'create': {
      const columns = change.columns.map(({ name, type }) => ({ name, type, nullable: !change.key.includes(name) }));
      return [...dialect.createTable(table, columns, change.key), ...(change.index.length > 0 ? dialect.addKey(table, change.index, 'index') : [])];
    }
    case 'add':
      return dialect.addColumn(table, { name: change.column.name, type: change.column.type, nullable: true });
    case 'widen':
      // Several logical types may be one in the engine.
      return dialect.type(change.from) === dialect.type(change.to) ? [] : dialect.widenColumn(table, change.column, change.to);
    case 'drop_key':
      return dialect.dropKey(table, change.key);
  }
}
