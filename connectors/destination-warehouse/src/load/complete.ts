/** The log of a generation becomes what readers see. */
import { sqlName, unchangedColumn } from '@tapline/columnar';
import type { TableName } from '../dialects/dialect.js';
import { isCurrent } from '../tables/own-columns.js';
import type { TableColumn, WriteMode } from '../tables/shape.js';
import type { Warehouse } from '../warehouse.js';
import { foldedRows } from './fold.js';
import { beginHistory, extendHistory } from './history.js';
import { Layout } from './layout.js';
import { isMarked, needsMarker } from './marks.js';
import { merge, tellUnknown } from './merge.js';
import type { CompleteRequest, WriteReport } from './table-writer.js';
import { insertInto, temporary, withMarker, type Temporary } from './temporary.js';

/** Of `merge` and `history`. */
export async function completeMerge({ warehouse, shape, from, into, replace }: CompleteRequest & { readonly warehouse: Warehouse }): Promise<Pick<WriteReport, 'nulled' | 'keyHeldNull'>> {
  const { dialect } = warehouse;
  const layout = new Layout(shape, dialect.name);
  const marked = await markedIn(warehouse, layout, from);
  const nullable = await nullsInKey(warehouse, layout, from);
  let nulled: number;
  if (shape.write === 'history') {
    nulled = await extendHistory({ warehouse, layout, events: from, table: into, marked, nullable, replace });
  } else if (replace) {
    await using folded = await foldedApart({ warehouse, layout, table: from, marked, nullable });
    // DuckDB cannot commit an ALTER of a table whose rows were deleted before in the transaction; elsewhere `into` may have a key, and rows are put into it.
    const alterFirst = dialect.name === 'duckdb';
    if (!alterFirst) await putBack(warehouse, layout, from, folded);
    await runAll(warehouse, dialect.dropColumn(from, unchangedColumn));
    if (!alterFirst) await runAll(warehouse, dialect.addKey(from, shape.key, nullable.size === 0 ? 'primary' : 'index'));
    await warehouse.replaceTable(from, into);
    if (alterFirst) await putBack(warehouse, layout, into, folded);
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
  const nullable = await nullsInKey(warehouse, layout, table);
  if (write === 'history') {
    await beginHistory({ warehouse, layout, table, wasHistory: before.write === 'history' });
  } else {
    if (before.write === 'history') await warehouse.run(`DELETE FROM ${dialect.table(table)} AS r WHERE NOT r.${isCurrent}`);
    await using folded = await foldedApart({ warehouse, layout, table, marked: [], nullable });
    await putBack(warehouse, layout, table, folded);
  }
  await runAll(warehouse, dialect.addKey(table, key, write === 'merge' && nullable.size === 0 ? 'primary' : 'index'));
  return nullable.size > 0;
}

interface FoldRequest {
  readonly warehouse: Warehouse;
  readonly layout: Layout;
  readonly table: TableName;
  /** Columns that occur in marks of the table, which has the marker then. */
  readonly marked: readonly string[];
  readonly nullable: ReadonlySet<string>;
}

interface Folded extends AsyncDisposable {
  /** Keys whose rows in the table are not what they should be. */
  readonly keys: Temporary;
  /** What they should be. */
  readonly rows: Temporary;
  readonly nullable: ReadonlySet<string>;
  readonly nulled: number;
}

/** Only keys of several rows, deletions and unknown values are touched: of a copy these are few. Undefined = none. */
async function foldedApart({ warehouse, layout, table, marked, nullable }: FoldRequest): Promise<Folded | undefined> {
  const t = warehouse.dialect.table(table);
  const odd = [...(marked.length > 0 ? [`r.${sqlName(unchangedColumn)} IS NOT NULL`] : []), ...(layout.shape.deletes === 'hard' ? [layout.deleted('r')] : [])];
  const having = ['count(*) > 1', ...odd.map((test) => `max(CASE WHEN ${test} THEN 1 ELSE 0 END) = 1`)].join(' OR ');
  const keys = await temporary(warehouse, layout.key);
  const list = layout.key.map(({ name }) => (layout.flavour === 'duckdb' ? `any_value(r.${sqlName(name)})` : `r.${sqlName(name)}`)).join(', ');
  await insertInto(warehouse, keys, layout.key, `SELECT ${list} FROM ${t} r GROUP BY ${layout.keyOf('r').join(', ')} HAVING ${having}`);
  const [found] = await warehouse.run(`SELECT count(*) AS n FROM ${keys.sql}`);
  if (Number(found!['n']) === 0) {
    await keys[Symbol.asyncDispose]();
    return undefined;
  }
  const columns = withMarker(layout.columns, marked.length > 0);
  const rows = await temporary(warehouse, columns);
  const theirs = `SELECT t.* FROM ${t} t JOIN ${keys.sql} d ON ${layout.sameKey('d', 't', nullable)}`;
  const single = foldedRows({ layout, rows: theirs, marker: marked.length > 0, marked });
  const lasting = layout.shape.deletes === 'hard' ? `SELECT * FROM (${single}) s WHERE NOT (${layout.deleted('s')})` : single;
  await insertInto(warehouse, rows, columns, lasting);
  const nulled = await tellUnknown({ warehouse, layout, table: rows.name, marked });
  return {
    keys, rows, nullable, nulled,
    [Symbol.asyncDispose]: async () => {
      await keys[Symbol.asyncDispose]();
      await rows[Symbol.asyncDispose]();
    },
  };
}

async function putBack(warehouse: Warehouse, layout: Layout, table: TableName, folded: Folded | undefined): Promise<void> {
  if (!folded) return;
  const t = warehouse.dialect.table(table);
  await warehouse.run(`DELETE FROM ${t} AS t USING ${folded.keys.sql} AS d WHERE ${layout.sameKey('d', 't', folded.nullable)}`);
  await warehouse.run(`INSERT INTO ${t} (${layout.list()}) SELECT ${layout.list('s')} FROM ${folded.rows.sql} s`);
}

async function markedIn(warehouse: Warehouse, layout: Layout, table: TableName): Promise<string[]> {
  const t = warehouse.dialect.table(table);
  const may = layout.columns.filter(({ name, field, origin }) => (field ?? origin) !== undefined && !layout.shape.key.includes(name));
  if (may.length === 0) return [];
  const marks = `SELECT DISTINCT r.${sqlName(unchangedColumn)} FROM ${t} r WHERE r.${sqlName(unchangedColumn)} IS NOT NULL`;
  const [found] = await warehouse.run(`SELECT ${may.map(({ name }, i) => `max(CASE WHEN ${isMarked('r', name)} THEN 1 ELSE 0 END) AS c${i}`).join(', ')} FROM (${marks}) r`);
  return may.flatMap(({ name }, i) => (Number(found![`c${i}`] ?? 0) === 1 ? [name] : []));
}

async function nullsInKey(warehouse: Warehouse, layout: Layout, table: TableName): Promise<Set<string>> {
  const isNull = (column: TableColumn, i: number): string => `max(CASE WHEN r.${sqlName(column.name)} IS NULL THEN 1 ELSE 0 END) AS k${i}`;
  const [found] = await warehouse.run(`SELECT ${layout.key.map(isNull).join(', ')} FROM ${warehouse.dialect.table(table)} r`);
  return new Set(layout.key.flatMap(({ name }, i) => (Number(found![`k${i}`] ?? 0) === 1 ? [name] : [])));
}

async function runAll(warehouse: Warehouse, statements: readonly string[]): Promise<void> {
  for (const statement of statements) await warehouse.run(statement);
}
