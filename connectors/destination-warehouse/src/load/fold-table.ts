/** The rows of a table folded where they stand: those of keys that are there more than once, or are not what readers should see. */
import { sqlName, unchangedColumn } from '@tapline/columnar';
import type { TableName } from '../dialects/dialect.js';
import type { Warehouse } from '../warehouse.js';
import { foldedRows } from './fold.js';
import type { Layout } from './layout.js';
import { isMarked } from './marks.js';
import { tellUnknown } from './merge.js';
import { insertInto, temporary, withMarker, type Temporary } from './temporary.js';

export interface FoldTableRequest {
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

export interface Folded extends AsyncDisposable {
  /** Keys whose rows in the table are not what they should be. */
  readonly keys: Temporary;
  /** What they should be. */
  readonly rows: Temporary;
  readonly nullable: ReadonlySet<string>;
  readonly nulled: number;
}

/** Only keys of several rows, deletions and unknown values are touched: of a copy these are few. Undefined = none. */
export async function foldedApart(request: FoldTableRequest): Promise<Folded | undefined> {
  const { warehouse, layout, table, marked, nullable, unique, odd } = request;
  if (unique && !odd) return undefined;
  const t = warehouse.dialect.table(table);
  const keys = await temporary(warehouse, layout.key);
  if (!(await keysToFold(request, keys))) {
    await keys[Symbol.asyncDispose]();
    return undefined;
  }
  const columns = withMarker(layout.columns, marked.length > 0);
  const rows = await temporary(warehouse, columns);
  // Users may have added columns to the table.
  const theirs = `SELECT ${columns.map(({ name }) => `t.${sqlName(name)}`).join(', ')} FROM ${t} t JOIN ${keys.sql} d ON ${layout.sameKey('d', 't', nullable)}`;
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

/** Fills `keys`; false = there are none. */
export async function keysToFold({ warehouse, layout, table, marked, unique, odd }: FoldTableRequest, keys: Temporary): Promise<boolean> {
  const isOdd = oddRow(layout, marked.length > 0);
  const list = layout.key.map(({ name }) => (unique ? `r.${sqlName(name)}` : layout.forms.grouped(`r.${sqlName(name)}`))).join(', ');
  const several = `GROUP BY ${layout.keyOf('r').join(', ')} HAVING count(*) > 1${odd ? ` OR max(CASE WHEN ${isOdd} THEN 1 ELSE 0 END) = 1` : ''}`;
  await insertInto(warehouse, keys, layout.key, `SELECT ${list} FROM ${warehouse.dialect.table(table)} r ${unique ? `WHERE ${isOdd}` : several}`);
  const [found] = await warehouse.run(`SELECT count(*) AS n FROM ${keys.sql}`);
  return Number(found!['n']) > 0;
}

export async function putBack(warehouse: Warehouse, layout: Layout, table: TableName, folded: Folded | undefined): Promise<void> {
  if (!folded) return;
  const t = warehouse.dialect.table(table);
  await warehouse.run(`DELETE FROM ${t} AS t USING ${folded.keys.sql} AS d WHERE ${layout.sameKey('d', 't', folded.nullable)}`);
  await warehouse.run(`INSERT INTO ${t} (${layout.list()}) SELECT ${layout.list('s')} FROM ${folded.rows.sql} s`);
}

/** A row that cannot stay as it is in what readers see. */
function oddRow(layout: Layout, hasMarks: boolean): string {
  const { deletes, write } = layout.shape;
  const tests = [...(deletes === 'hard' || (deletes && write === 'history') ? [layout.deleted('r')] : []), ...(hasMarks ? [`r.${sqlName(unchangedColumn)} IS NOT NULL`] : [])];
  return tests.length > 0 ? `(${tests.join(' OR ')})` : 'false';
}

export interface Look {
  readonly marked: readonly string[];
  readonly nullable: ReadonlySet<string>;
  readonly odd: boolean;
}

/** What there is in a table, in one pass. `log`: it is an open generation's, which has the marker. */
export async function look(warehouse: Warehouse, layout: Layout, table: TableName, log = true): Promise<Look> {
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
