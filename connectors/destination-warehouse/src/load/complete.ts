/** The log of a generation becomes what readers see. */
import { sqlName, unchangedColumn } from '@tapline/columnar';
import type { TableName } from '../dialects/dialect.js';
import { isCurrent } from '../tables/own-columns.js';
import type { WriteMode } from '../tables/shape.js';
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
  const { marked, nullable, odd } = await look(warehouse, layout, from);
  let nulled: number;
  if (shape.write === 'history') {
    nulled = await extendHistory({ warehouse, layout, events: from, table: into, marked, nullable, replace });
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

/** Where each key is there once the key itself says so, at the price of the index that is needed anyway. */
async function getsKey(warehouse: Warehouse, table: TableName, key: readonly string[]): Promise<boolean> {
  const { dialect } = warehouse;
  if (!dialect.findKey) return false;
  await runAll(warehouse, dialect.tryKey(table, key));
  return (await warehouse.run(dialect.findKey(table))).length > 0;
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

interface FoldRequest {
  readonly warehouse: Warehouse;
  readonly layout: Layout;
  readonly table: TableName;
  /** Columns that occur in marks of the table, which has the marker then. */
  readonly marked: readonly string[];
  readonly nullable: ReadonlySet<string>;
  /** No key is there twice. */
  readonly unique: boolean;
  /** There are deletions that do not stay, or marks. */
  readonly odd: boolean;
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
async function foldedApart({ warehouse, layout, table, marked, nullable, unique, odd }: FoldRequest): Promise<Folded | undefined> {
  if (unique && !odd) return undefined;
  const t = warehouse.dialect.table(table);
  const isOdd = oddRow(layout, marked.length > 0);
  const keys = await temporary(warehouse, layout.key);
  const list = layout.key.map(({ name }) => (layout.flavour === 'duckdb' && !unique ? `any_value(r.${sqlName(name)})` : `r.${sqlName(name)}`)).join(', ');
  const several = `GROUP BY ${layout.keyOf('r').join(', ')} HAVING count(*) > 1${odd ? ` OR max(CASE WHEN ${isOdd} THEN 1 ELSE 0 END) = 1` : ''}`;
  await insertInto(warehouse, keys, layout.key, `SELECT ${list} FROM ${t} r ${unique ? `WHERE ${isOdd}` : several}`);
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

/** A row that cannot stay as it is in what readers see. */
function oddRow(layout: Layout, hasMarks: boolean): string {
  const tests = [...(layout.shape.deletes === 'hard' ? [layout.deleted('r')] : []), ...(hasMarks ? [`r.${sqlName(unchangedColumn)} IS NOT NULL`] : [])];
  return tests.length > 0 ? `(${tests.join(' OR ')})` : 'false';
}

interface Look {
  readonly marked: readonly string[];
  readonly nullable: ReadonlySet<string>;
  readonly odd: boolean;
}

/** What there is in a table, in one pass. `log`: it is an open generation's, which has the marker. */
async function look(warehouse: Warehouse, layout: Layout, table: TableName, log = true): Promise<Look> {
  const t = warehouse.dialect.table(table);
  const any = (test: string, name: string): string => `max(CASE WHEN ${test} THEN 1 ELSE 0 END) AS ${name}`;
  const tests = [any(oddRow(layout, log), 'odd'), ...(log ? [any(`r.${sqlName(unchangedColumn)} IS NOT NULL`, 'marks')] : []), ...layout.key.map(({ name }, i) => any(`r.${sqlName(name)} IS NULL`, `k${i}`))];
  const [found] = await warehouse.run(`SELECT ${tests.join(', ')} FROM ${t} r`);
  const has = (name: string): boolean => Number(found![name] ?? 0) === 1;
  return { odd: has('odd'), marked: has('marks') ? await markedIn(warehouse, layout, t) : [], nullable: new Set(layout.key.flatMap(({ name }, i) => (has(`k${i}`) ? [name] : []))) };
}

async function markedIn(warehouse: Warehouse, layout: Layout, t: string): Promise<string[]> {
  const may = layout.columns.filter(({ name, field, origin }) => (field ?? origin) !== undefined && !layout.shape.key.includes(name));
  if (may.length === 0) return [];
  const marks = `SELECT DISTINCT r.${sqlName(unchangedColumn)} FROM ${t} r WHERE r.${sqlName(unchangedColumn)} IS NOT NULL`;
  const [found] = await warehouse.run(`SELECT ${may.map(({ name }, i) => `max(CASE WHEN ${isMarked('r', name)} THEN 1 ELSE 0 END) AS c${i}`).join(', ')} FROM (${marks}) r`);
  return may.flatMap(({ name }, i) => (Number(found![`c${i}`] ?? 0) === 1 ? [name] : []));
}

async function runAll(warehouse: Warehouse, statements: readonly string[]): Promise<void> {
  for (const statement of statements) await warehouse.run(statement);
}
