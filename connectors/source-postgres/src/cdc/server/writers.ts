/** Transactions that have written, and are not over. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Connection } from '../../connection.js';

const firstPauseMs = 20;
const longestPauseMs = 1000;
const patienceMs = 10_000;

/** For people: some of all, by what ends them. */
export async function writersOf(connection: Connection): Promise<string[]> {
  const rows = await connection.query<{ what: string }>(`
    SELECT pg_catalog.format('session %s of %s, %s', pid, COALESCE(usename, '?'), COALESCE(state, 'state hidden')) AS what
      FROM pg_catalog.pg_stat_activity WHERE backend_xid IS NOT NULL AND pid <> pg_catalog.pg_backend_pid()
    UNION ALL SELECT pg_catalog.format('prepared transaction %L', gid) FROM pg_catalog.pg_prepared_xacts
    LIMIT 5`);
  return rows.map(({ what }) => what);
}

/**
 * Resolves when all transactions are over that have written to these tables, or to partitions of them, before it was called. Nothing
 * else makes it sure that a table's rows of before it was published are either in the stream or in a snapshot: ALTER PUBLICATION waits
 * for nobody. A transaction is known by its xid, which it keeps when it is prepared.
 */
export async function waitForWriters(connection: Connection, tables: readonly { readonly oid: number }[], signal?: AbortSignal, log?: (level: 'WARN', message: string) => void): Promise<void> {
  const oids = tables.map(({ oid }) => oid);
  if (oids.length === 0) return;
  let running = (await connection.query<{ xid: string }>(writersSql, [oids])).map(({ xid }) => xid);
  let warnAt = performance.now() + patienceMs;
  for (let pause = firstPauseMs; running.length > 0; pause = Math.min(pause * 2, longestPauseMs)) {
    await sleep(pause, undefined, signal ? { signal } : {});
    running = (await connection.query<{ xid: string }>(stillSql, [running])).map(({ xid }) => xid);
    if (running.length > 0 && performance.now() > warnAt) {
      log?.('WARN', `waiting for ${running.length} transactions that wrote to tables before these were published, before the tables are copied (writers now: ${(await writersOf(connection)).join(', ')})`);
      warnAt = performance.now() + 6 * patienceMs;
    }
  }
}

const writersSql = `
  SELECT DISTINCT x.transactionid::text AS xid
  FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_locks x ON x.virtualtransaction = l.virtualtransaction AND x.locktype = 'transactionid' AND x.mode = 'ExclusiveLock' AND x.granted
  WHERE l.locktype = 'relation' AND l.granted AND l.mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
    AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
    AND l.relation IN (SELECT t.oid FROM pg_catalog.unnest($1::oid[]) t(oid) UNION ALL SELECT p.relid FROM pg_catalog.unnest($1::oid[]) t(oid), pg_catalog.pg_partition_tree(t.oid) p)
    AND l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid()`;

const stillSql = `
  SELECT transactionid::text AS xid FROM pg_catalog.pg_locks
  WHERE locktype = 'transactionid' AND mode = 'ExclusiveLock' AND granted AND transactionid::text = ANY ($1::text[])`;
