/** A table as ranges of its key, each of which is read in the key's order: any row of it is a place to go on from. */
import { identifier, literal } from '@tapline/postgres-client';
import type { Connection } from './connection.js';
import { source, type CopyRows } from './copy-statement.js';
import { pageBytes, pagesOf } from './page-ranges.js';
import type { Relation } from './relations.js';

/** Of keys, as text: behind `after`, up to and including `until`. Without `after` from the first row on, without `until` to the last. */
export interface KeyRange {
  readonly after?: readonly string[] | undefined;
  readonly until?: readonly string[] | undefined;
}

/** A state names each range that is left, so there are no more of them. */
const mostRanges = 64;
/** About so many pages tell where the keys lie. They are read at random. */
const sampledPages = 400;

export interface KeyRangesOptions {
  readonly key: readonly string[];
  /** Where the first range begins. */
  readonly after: readonly string[] | undefined;
  /** About so many of the table belong to each range, as far as there are not too many of them. */
  readonly bytes: number;
}

/**
 * Divides what is behind `after`; one range: it is read as one. Sampled are this transaction's rows. The ends are keys that are there, and
 * a key is there once: no range is empty, unless its rows go before a later run comes to it.
 */
export async function keyRanges(connection: Connection, relation: Relation, { key, after, bytes }: KeyRangesOptions): Promise<readonly KeyRange[]> {
  const { pages, isHeap } = await pagesOf(connection, relation);
  // Others need not know how to sample.
  if (!isHeap || pages * pageBytes <= bytes) return [{ after }];
  const columns = key.map((_, i) => `k${i}`);
  const sampled = `SELECT ${key.map((name, i) => `s.${identifier(name)} AS k${i}`).join(', ')}, ${within(relation, key, { after }) ?? 'true'} AS is_left
    FROM ${source(relation)} s TABLESAMPLE SYSTEM (${Math.min((100 * sampledPages) / pages, 100)}) REPEATABLE (1)`;
  // As many ranges as the share of the rows that are left asks for. Divided as integers, places at which the quotient rises are their ends.
  const ends = await connection.query<{ key: string[] }>(`
    WITH sampled AS (${sampled}), placed AS (
      SELECT ARRAY[${columns.map((column) => `${column}::pg_catalog.text`).join(', ')}] AS key, pg_catalog.row_number() OVER (ORDER BY ${columns.join(', ')}) AS place,
        pg_catalog.count(*) OVER () AS places,
        LEAST(${mostRanges}, pg_catalog.ceil(${(pages * pageBytes) / bytes}::pg_catalog.float8 * pg_catalog.count(*) OVER () / (SELECT pg_catalog.count(*) FROM sampled)))::pg_catalog.int8 AS ranges
      FROM sampled WHERE is_left
    )
    SELECT key FROM placed WHERE place < places AND place * ranges / places > (place - 1) * ranges / places ORDER BY place`);
  return [...ends, undefined].map((end, i) => ({ after: ends[i - 1]?.key ?? after, until: end?.key }));
}

/** The rows of a range in the key's order, with the key of the last one. Without a key: all, as they lie. */
export const rowsOf = (relation: Relation, key: readonly string[], range: KeyRange): Pick<CopyRows, 'where' | 'orderBy' | 'needed' | 'lastOf'> =>
  ({ where: within(relation, key, range), orderBy: key, needed: key, lastOf: key });

/** For the transaction that reads rows in a key's order: its index walks in it. A sort could fill the server's disk with a copy of the table. */
export async function withoutSort(connection: Connection): Promise<void> {
  await connection.query('SET LOCAL enable_sort = off');
}

/** A condition on the alias `s`. Compared as a row, which an index on the key can answer. */
function within(relation: Relation, key: readonly string[], { after, until }: KeyRange): string | undefined {
  const columns = key.map((name) => `s.${identifier(name)}`).join(', ');
  const typeOf = (name: string): string => relation.columns.find((column) => column.name === name)!.type.sqlName;
  const bound = (values: readonly string[]): string => key.map((name, i) => `${literal(values[i] ?? '')}::${typeOf(name)}`).join(', ');
  const conditions = [...(after ? [`(${columns}) > (${bound(after)})`] : []), ...(until ? [`(${columns}) <= (${bound(until)})`] : [])];
  return conditions.length > 0 ? conditions.join(' AND ') : undefined;
}
