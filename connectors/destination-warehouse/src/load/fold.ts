/** Many records of a key to one row. */
import { isChangeColumn } from '@tapline/catalog';
import { sqlName, unchangedColumn } from '@tapline/columnar';
import { filledRows } from './marks.js';
import type { Layout } from './layout.js';

export interface FoldRequest {
  readonly layout: Layout;
  /** SQL of rows with the table's columns, and the marker if `marker`. */
  readonly rows: string;
  readonly marker: boolean;
  /** All columns that occur in marks. */
  readonly marked: readonly string[];
}

/**
 * The latest of each key, in the form of `rows`. What it does not know of itself comes from those before it. A deletion that is kept
 * (soft) has the values of the last row before it, and its own place and time.
 */
export function foldedRows({ layout, rows, marker, marked }: FoldRequest): string {
  const list = [layout.list('r'), ...(marker ? [`r.${sqlName(unchangedColumn)}`] : [])].join(', ');
  const filled = filledRows({ layout, rows: layout.placed(rows, marker ? [unchangedColumn] : []), marked });
  const key = layout.keyOf('r').join(', ');
  const [nth, old, markBefore] = [layout.helper('n'), layout.helper('old'), layout.helper('bm')];
  const before_ = (i: number): string => layout.helper(`b${i}`);
  const latest = (partition: string, of: string): string =>
    `SELECT ${list} FROM (SELECT r.*, row_number() OVER (PARTITION BY ${partition} ORDER BY ${layout.descending('r')}) AS ${nth} FROM (${of}) r) r WHERE r.${nth} = 1`;
  if (layout.shape.deletes !== 'soft') return latest(key, filled);

  // The last deletion and the last row of each key, in one row; the later of them decides.
  const two = latest(`${key}, ${layout.deleted('r')}`, filled);
  const ordered = `OVER (PARTITION BY ${key} ORDER BY ${layout.ascending('r')})`;
  const kept = layout.columns.filter((column) => !ofDeletion(layout, column.name));
  const before = [...kept.map(({ name }, i) => `lag(r.${sqlName(name)}) ${ordered} AS ${before_(i)}`), `lag(r._airbyte_raw_id) ${ordered} IS NOT NULL AS ${old}`];
  if (marker) before.push(`lag(r.${sqlName(unchangedColumn)}) ${ordered} AS ${markBefore}`);
  const columns = layout.columns.map(({ name }) => {
    const i = kept.findIndex((column) => column.name === name);
    return i === -1 ? `r.${sqlName(name)}` : `CASE WHEN ${layout.deleted('r')} AND r.${old} THEN r.${before_(i)} ELSE r.${sqlName(name)} END AS ${sqlName(name)}`;
  });
  if (marker) columns.push(`CASE WHEN ${layout.deleted('r')} AND r.${old} THEN r.${markBefore} ELSE r.${sqlName(unchangedColumn)} END AS ${sqlName(unchangedColumn)}`);
  return `SELECT ${columns.join(', ')} FROM (SELECT r.*, ${before.join(', ')}, row_number() OVER (PARTITION BY ${key} ORDER BY ${layout.descending('r')}) AS ${nth} FROM (${two}) r) r WHERE r.${nth} = 1`;
}

/** Columns in which a deletion tells of itself; all others it may tell or not, and they are as they were. */
export function ofDeletion(layout: Layout, name: string): boolean {
  const column = layout.columns.find((one) => one.name === name);
  if (name === '_airbyte_meta') return false;
  if (column?.field === undefined) return name.startsWith('_airbyte_') || name === '_tapline_order';
  return isChangeColumn(name) || layout.shape.key.includes(name);
}
