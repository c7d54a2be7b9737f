/** A table whose rows are told apart by something else from now on. */
import type { TableName } from '../dialects/dialect.js';
import { runAll } from '../run-all.js';
import { isCurrent } from '../tables/own-columns.js';
import type { WriteMode } from '../tables/shape.js';
import type { Warehouse } from '../warehouse.js';
import { foldedApart, look, putBack } from './fold-table.js';
import { beginHistory } from './history.js';
import type { Layout } from './layout.js';

/** How the rows of a table are told apart until now. */
export interface Before {
  readonly write: WriteMode;
  readonly key: readonly string[];
}

/** The rows of a table folded anew: by another key, or in another mode. Returns whether a column of the key is null somewhere. */
export async function rekeyTable(warehouse: Warehouse, layout: Layout, table: TableName, before: Before): Promise<boolean> {
  const { dialect } = warehouse;
  const { key, write } = layout.shape;
  if (before.write === 'merge') await runAll(warehouse, dialect.dropKey(table, before.key));
  const { nullable, odd } = await look(warehouse, layout, table, false);
  if (write === 'history') {
    await beginHistory({ warehouse, layout, table, wasHistory: before.write === 'history' });
  } else {
    if (before.write === 'history') await warehouse.run(`DELETE FROM ${dialect.table(table)} AS r WHERE NOT r.${isCurrent}`);
    await using folded = await foldedApart({ warehouse, layout, table, marked: [], nullable, unique: false, odd });
    await putBack(warehouse, layout, table, folded);
  }
  await runAll(warehouse, dialect.addKey(table, key, write === 'merge' && nullable.size === 0 ? 'primary' : 'index'));
  return nullable.size > 0;
}
