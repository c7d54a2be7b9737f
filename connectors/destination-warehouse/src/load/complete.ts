/** The log of a generation becomes what readers see. */
import { sqlName, unchangedColumn } from '@tapline/columnar';
import type { TableName } from '../dialects/dialect.js';
import { runAll } from '../run-all.js';
import type { Warehouse } from '../warehouse.js';
import { foldedRows } from './fold.js';
import { foldedApart, keysToFold, look, putBack, type Look } from './fold-table.js';
import { extendHistory, firstVersion } from './history.js';
import { Layout } from './layout.js';
import { needsMarker } from './marks.js';
import { merge } from './merge.js';
import type { CompleteRequest, WriteReport } from './requests.js';
import { insertInto, temporary, withMarker } from './temporary.js';

/** Of `merge` and `history`. */
export async function completeMerge({ warehouse, shape, from, into, replace }: CompleteRequest & { readonly warehouse: Warehouse }): Promise<Pick<WriteReport, 'nulled' | 'keyHeldNull'>> {
  const { dialect } = warehouse;
  const layout = new Layout(shape, dialect.forms);
  const { marked, nullable, odd } = await look(warehouse, layout, from);
  let nulled: number;
  if (shape.write === 'history') {
    const [held] = await warehouse.run(`SELECT 1 AS one FROM ${dialect.table(into)} LIMIT 1`);
    nulled = held ? await extendHistory({ warehouse, layout, events: from, table: into, marked, nullable, replace })
      : await firstHistory(warehouse, layout, { from, into, marked, nullable, odd });
  } else if (replace) {
    const unique = nullable.size === 0 && (await getsKey(warehouse, from, shape.key));
    await using folded = await foldedApart({ warehouse, layout, table: from, marked, nullable, unique, odd });
    const finish = async (): Promise<void> => {
      await runAll(warehouse, dialect.dropColumn(from, unchangedColumn));
      if (!unique) await runAll(warehouse, dialect.addKey(from, shape.key, nullable.size === 0 ? 'primary' : 'index'));
    };
    if (dialect.altersComeFirst) {
      await finish();
      await warehouse.replaceTable(from, into);
      await putBack(warehouse, layout, into, folded);
    } else {
      // What replaces a table may be written into it row by row, past a key that it has: the rows are as they should be by then.
      await putBack(warehouse, layout, from, folded);
      await finish();
      await warehouse.replaceTable(from, into);
    }
    return { nulled: folded?.nulled ?? 0, keyHeldNull: nullable.size > 0 };
  } else {
    const marker = needsMarker(shape, marked);
    const columns = withMarker(layout.columns, marker);
    await using stage = await temporary(warehouse, columns);
    await insertInto(warehouse, stage, columns, foldedRows({ layout, rows: `SELECT r.* FROM ${dialect.table(from)} r`, marker, marked }));
    if (nullable.size > 0 && shape.primaryKey) await runAll(warehouse, dialect.dropKey(into, shape.key));
    nulled = await merge({ warehouse, layout, stage: stage.name, table: into, marked, nullable });
  }
  await runAll(warehouse, dialect.dropTable(from));
  return { nulled, keyHeldNull: nullable.size > 0 };
}

interface FirstHistory extends Look {
  readonly from: TableName;
  readonly into: TableName;
}

/** Into a table that is empty: of nearly every key there is one version, which needs no sorting. */
async function firstHistory(warehouse: Warehouse, layout: Layout, { from, into, marked, nullable, odd }: FirstHistory): Promise<number> {
  const [f, t] = [warehouse.dialect.table(from), warehouse.dialect.table(into)];
  await using keys = await temporary(warehouse, layout.key);
  const several = await keysToFold({ warehouse, layout, table: from, marked, nullable, unique: false, odd }, keys);
  const rest = several ? ` WHERE NOT EXISTS (SELECT 1 FROM ${keys.sql} d WHERE ${layout.sameKey('d', 'r', nullable)})` : '';
  await warehouse.run(`INSERT INTO ${t} (${layout.list()}) SELECT ${firstVersion(layout, 'r')} FROM ${f} r${rest}`);
  if (!several) return 0;
  const columns = withMarker(layout.columns, marked.length > 0);
  await using events = await temporary(warehouse, columns);
  const list = columns.map(({ name }) => `r.${sqlName(name)}`).join(', ');
  await insertInto(warehouse, events, columns, `SELECT ${list} FROM ${f} r JOIN ${keys.sql} d ON ${layout.sameKey('d', 'r', nullable)}`);
  return await extendHistory({ warehouse, layout, events: events.name, table: into, marked, nullable, replace: false });
}

/** Where each key is there once the key itself says so, at the price of the index that is needed anyway. */
async function getsKey(warehouse: Warehouse, table: TableName, key: readonly string[]): Promise<boolean> {
  const { dialect } = warehouse;
  if (!dialect.findKey) return false;
  await runAll(warehouse, dialect.tryKey(table, key));
  return (await warehouse.run(dialect.findKey(table, key))).length > 0;
}
