/** From the rows of a table to the rows that the stream has now. */
import type { Fold } from '@tapline/columnar';

/**
 * `rows`: a query whose columns are k the key's hash, h the row's, ord its place, gone, nulled, and those of `extra`. The result has k, h,
 * nulled, `extra`, and copies: 1, and one more for each repetition.
 */
export function foldRows(fold: Fold, rows: string, extra: readonly string[]): string {
  const more = extra.map((name) => `, ${name}`).join('');
  if (fold === 'all') return `SELECT k, h, nulled, 1 AS copies${more} FROM (${rows}) a`;
  const same = fold === 'changes' ? 'ord' : 'h';
  const numbered = `SELECT a.*, row_number() OVER (PARTITION BY k ORDER BY ord DESC) AS nth, row_number() OVER (PARTITION BY k, ${same} ORDER BY ord) AS copy FROM (${rows}) a`;
  const last = (aggregate: string, name: string): string => `${aggregate}(${name}) FILTER (WHERE nth = 1) AS ${name}`;
  const folded = `SELECT k, ${[last('max', 'h'), last('bool_or', 'gone'), last('bool_or', 'nulled'), ...extra.map((name) => last('max', name))].join(', ')}, `
    + `count(*) FILTER (WHERE copy > 1) AS repeated FROM (${numbered}) b GROUP BY k`;
  return `SELECT k, h, nulled, CASE WHEN gone THEN 0 ELSE 1 END + repeated AS copies${more} FROM (${folded}) c WHERE NOT gone OR repeated > 0`;
}
