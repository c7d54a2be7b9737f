/** A table as ranges of its pages, which several sessions can read under one snapshot. */
import type { Connection } from './connection.js';
import type { Relation } from './relations.js';

export const pageBytes = 8192;

/**
 * Conditions on the alias `s` that divide the table, each of about so many bytes; `[undefined]`: it is read as one. The last one has no
 * end: the table may have grown before the snapshot.
 */
export async function pageRanges(connection: Connection, relation: Relation, bytes: number): Promise<readonly (string | undefined)[]> {
  const { pages } = await pagesOf(connection, relation);
  const each = Math.max(Math.floor(bytes / pageBytes), 1);
  const count = Math.max(Math.ceil(pages / each), 1);
  if (count === 1) return [undefined];
  return Array.from({ length: count }, (_, i) =>
    [...(i > 0 ? [`s.ctid >= '(${i * each},0)'`] : []), ...(i < count - 1 ? [`s.ctid < '(${(i + 1) * each},0)'`] : [])].join(' AND '),
  );
}

/** How many pages a table has, and whether they are those of a heap; of what is no table: none. */
export async function pagesOf(connection: Connection, relation: Relation): Promise<{ readonly pages: number; readonly isHeap: boolean }> {
  const none = { pages: 0, isHeap: false };
  if (relation.kind !== 'table') return none;
  const [row] = await connection.query<{ pages: number; isHeap: boolean }>(
    `SELECT (pg_catalog.pg_relation_size(c.oid) / ${pageBytes})::float8 AS pages, m.amname = 'heap' AS "isHeap" FROM pg_catalog.pg_class c JOIN pg_catalog.pg_am m ON m.oid = c.relam WHERE c.oid = $1::oid`,
    [relation.oid],
  );
  return row ?? none;
}

/** The name by which other sessions can see what this one's transaction sees, for as long as that lasts. */
export async function exportSnapshot(connection: Connection): Promise<string> {
  const [row] = await connection.query<{ id: string }>('SELECT pg_catalog.pg_export_snapshot() AS id');
  return row!.id;
}

/** Runs `body` in a read-only transaction that sees what the exported one does. */
export async function withSnapshot(connection: Connection, exported: string, body: () => Promise<void>): Promise<void> {
  await connection.query('BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY');
  try {
    await connection.query(`SET TRANSACTION SNAPSHOT '${exported}'`);
    await body();
  } finally {
    if (!connection.broken) await connection.query('ROLLBACK').catch(() => {});
  }
}
