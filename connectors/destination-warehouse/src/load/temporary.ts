/** Tables of one step of a commit. */
import { sqlName, unchangedColumn } from '@tapline/columnar';
import type { TableName } from '../dialects/dialect.js';
import { runAll } from '../run-all.js';
import { marker } from '../tables/own-columns.js';
import type { TableColumn } from '../tables/shape.js';
import type { Warehouse } from '../warehouse.js';

let made = 0;

export interface Temporary extends AsyncDisposable {
  readonly name: TableName;
  /** As SQL names it. */
  readonly sql: string;
}

/** A table that is gone at the end of the block; after a failure, with the transaction. */
export async function temporary(warehouse: Warehouse, columns: readonly TableColumn[]): Promise<Temporary> {
  const { dialect } = warehouse;
  const { table, statements } = dialect.createTemporary(`_tapline_step_${++made}`, columns.map(({ name, type }) => ({ name, type, nullable: true })));
  await runAll(warehouse, statements);
  const sql = dialect.table(table);
  return {
    name: table,
    sql,
    // Where the transaction failed nothing can be run in it, and the failure is what is told.
    [Symbol.asyncDispose]: async () => void (await warehouse.run(`DROP TABLE ${sql}`).catch(() => undefined)),
  };
}

/** Fills it, and lets the planner know what is in it. */
export async function insertInto(warehouse: Warehouse, into: Temporary, columns: readonly TableColumn[], select: string): Promise<void> {
  await warehouse.run(`INSERT INTO ${into.sql} (${columns.map(({ name }) => sqlName(name)).join(', ')}) ${select}`);
  await runAll(warehouse, warehouse.dialect.analyze(into.name));
}

export const withMarker = (columns: readonly TableColumn[], marked: boolean): readonly TableColumn[] =>
  (marked && !columns.some(({ name }) => name === unchangedColumn) ? [...columns, marker] : columns);
