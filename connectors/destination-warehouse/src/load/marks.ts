/** Values that were not told because they did not change: `_tapline_unchanged`, a JSON list of columns, without spaces. */
import { sqlName, sqlString, unchangedColumn } from '@tapline/columnar';
import type { TableShape } from '../tables/shape.js';
import { entriesOf, nulledEntry, withChanges } from './changes.js';
import type { Layout } from './layout.js';

/** In the place of a list: a deletion that is kept, of which nothing is known but its key and its place. */
export const wholeRow = '*';

/** Whether rows on their way into a table of this shape have marks. `marked`: columns that occur in some. */
export const needsMarker = ({ write, deletes }: TableShape, marked: readonly string[]): boolean => marked.length > 0 || (write === 'merge' && deletes === 'soft');

/** True where the row does not know the column's value. A quote within a name has a backslash: what follows `[` or `,` is the beginning of one. */
export function isMarked(alias: string, column: string): string {
  const marks = `${alias}.${sqlName(unchangedColumn)}`;
  const name = JSON.stringify(column);
  return `(${marks} IS NOT NULL AND (strpos(${marks}, ${sqlString(`[${name}`)}) > 0 OR strpos(${marks}, ${sqlString(`,${name}`)}) > 0))`;
}

/** The list made of conditions, one a column; null if none holds. */
export function marksOf(conditions: readonly { readonly column: string; readonly test: string }[]): string {
  const names = conditions.map(({ column, test }) => `CASE WHEN ${test} THEN ${sqlString(JSON.stringify(column))} END`);
  return `nullif('[' || concat_ws(',', ${names.join(', ')}) || ']', '[]')`;
}

/** `_airbyte_meta` of a row whose marked values nobody will tell any more. */
export function metaOfUnknown(layout: Layout, alias: string, marked: readonly string[]): string {
  const entries = marked.map((column) => `CASE WHEN ${isMarked(alias, column)} THEN ${sqlString(nulledEntry(fieldOf(layout, column), 'SOURCE_RETRIEVAL_ERROR'))} END`);
  return withChanges(layout.forms, `${alias}._airbyte_meta`, entries);
}

/** `_airbyte_meta` of a row that takes values of another one: with them goes why they are null. */
export function metaOfFilled(layout: Layout, meta: string, filled: readonly { readonly column: string; readonly when: string; readonly theirMeta: string }[]): string {
  const entries = filled.flatMap(({ column, when, theirMeta }) =>
    entriesOf(layout.forms, theirMeta, fieldOf(layout, column)).map((entry) => `CASE WHEN ${when} THEN ${entry} END`));
  return withChanges(layout.forms, meta, entries);
}

export const fieldOf = (layout: Layout, column: string): string => layout.columns.find(({ name }) => name === column)?.field ?? column;

export interface FillRequest {
  readonly layout: Layout;
  /** SQL of rows with the table's columns, the marker and `extra`. */
  readonly rows: string;
  /** All columns that occur in marks. */
  readonly marked: readonly string[];
  /** Other columns of `rows`, passed on. */
  readonly extra?: readonly string[];
  readonly byGeneration?: boolean;
}

/**
 * The rows, each marked value taken from the row of its key that told it last before. Marks stay where there is none. A deletion tells nothing.
 */
export function filledRows({ layout, rows, marked, extra = [], byGeneration = false }: FillRequest): string {
  if (marked.length === 0) return rows;
  const [told_, value_, meta_] = [numbered(layout, 'told'), numbered(layout, 'value'), numbered(layout, 'meta')];
  const key = layout.keyOf('r').join(', ');
  const ascending = layout.ascending('r', byGeneration);
  const told = marked.map((column, i) =>
    `count(CASE WHEN NOT ${isMarked('r', column)} AND NOT (${layout.deleted('r')}) THEN 1 END) OVER (PARTITION BY ${key} ORDER BY ${ascending} ROWS UNBOUNDED PRECEDING) AS ${told_(i)}`);
  // The first row of each group is the one that told.
  const values = marked.flatMap((column, i) => {
    const window = `OVER (PARTITION BY ${key}, r.${told_(i)} ORDER BY ${ascending})`;
    return [`first_value(r.${sqlName(column)}) ${window} AS ${value_(i)}`, `first_value(r._airbyte_meta) ${window} AS ${meta_(i)}`];
  });
  const takes = marked.map((column, i) => `(${isMarked('r', column)} AND r.${told_(i)} > 0)`);
  const columns = layout.columns.map(({ name }) => {
    const i = marked.indexOf(name);
    if (i !== -1) return `CASE WHEN ${takes[i]!} THEN r.${value_(i)} ELSE r.${sqlName(name)} END AS ${sqlName(name)}`;
    if (name !== '_airbyte_meta') return `r.${sqlName(name)}`;
    return `${metaOfFilled(layout, 'r._airbyte_meta', marked.map((column, m) => ({ column, when: takes[m]!, theirMeta: `r.${meta_(m)}` })))} AS _airbyte_meta`;
  });
  const marks = marksOf(marked.map((column, i) => ({ column, test: `${isMarked('r', column)} AND r.${told_(i)} = 0` })));
  const kept = `CASE WHEN r.${sqlName(unchangedColumn)} = '${wholeRow}' THEN '${wholeRow}' ELSE ${marks} END`;
  return `SELECT ${[...columns, ...extra.map((name) => `r.${name}`), `${kept} AS ${sqlName(unchangedColumn)}`].join(', ')} `
    + `FROM (SELECT r.*, ${values.join(', ')} FROM (SELECT r.*, ${told.join(', ')} FROM (${rows}) r) r) r`;
}

const numbered = (layout: Layout, name: string) => (i: number): string => layout.helper(`${name}_${i}`);
