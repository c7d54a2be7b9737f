/** From the rows in a lake to the rows that the table has now. */

/**
 * `all`: each row counts. `versions`: of rows with one key the last one, and one content must not come twice. `changes`: the same, but
 * each change has a place of its own, which must not come twice, and a last one may be a deletion.
 */
export type Fold = 'all' | 'versions' | 'changes';

/**
 * Columns of a digested row: k the key's hash (UHUGEINT), h the row's (UBIGINT), ord its place (UHUGEINT), gone, nulled; `extra` besides.
 * The result has k, h, nulled, `extra`, and copies: 1, and one more for each repetition. Aggregates of fixed size only: they can be
 * spilled to disk.
 */
export function foldSql(fold: Fold, table: string, extra: readonly string[] = []): string {
  const more = extra.map((name) => `, ${name}`).join('');
  if (fold === 'all') return `SELECT k, h, nulled, 1::BIGINT AS copies${more} FROM ${table}`;
  const same = fold === 'changes' ? 'ord' : 'h';
  const carried = ['h', 'gone', 'nulled', ...extra].filter((name) => name !== same);
  const once = `SELECT k, ${same}, count(*) AS n${fold === 'versions' ? ', max(ord) AS ord' : ''}, ${carried.map((name) => `any_value(${name}) AS ${name}`).join(', ')} FROM ${table} GROUP BY k, ${same}`;
  const last = ['h', 'gone', 'nulled', ...extra].map((name) => `arg_max(${name}, ord) AS ${name}`).join(', ');
  const folded = `SELECT k, ${last}, (sum(n) - count(*))::BIGINT AS repeated FROM (${once}) GROUP BY k`;
  return `SELECT k, h, nulled, (CASE WHEN gone THEN 0 ELSE 1 END + repeated) AS copies${more} FROM (${folded}) WHERE NOT gone OR repeated > 0`;
}

/** The highest `bits` of a key's hash. */
export const rangeOf = (bits: number, k = 'k'): string => (bits === 0 ? '0::BIGINT' : `(${k} >> ${128 - bits})::BIGINT`);
