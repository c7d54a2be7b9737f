/** The one snapshot in which all tables are digested, and where in the log it stands. */
import { randomBytes } from 'node:crypto';
import { type OpenClient, identifier, literal, openClient } from '@tapline/postgres-client';
import type { LogLevel } from '@tapline/protocol';
import { parseLsn, type Lsn } from '../cdc/lsn.js';
import type { Config } from '../config.js';
import type { Connection } from '../connection.js';
import { replicationSettings } from '../settings.js';

export interface VerifySnapshot {
  /** Every transaction whose commit begins before it is in the snapshot; unless `exact`, one that committed just now may not be. */
  readonly position: Lsn | undefined;
  readonly exact: boolean;
}

type Log = (level: LogLevel, message: string) => void;

/** Begins the transaction of `connection`, which stays open. */
export async function beginSnapshot(connection: Connection, config: Config, replicated: boolean, log: Log): Promise<VerifySnapshot> {
  if (!replicated) {
    await begin(connection);
    return { position: await sample(connection), exact: false };
  }
  try {
    return await beginAtSlot(connection, config);
  } catch (error) {
    if (connection.broken) throw error;
    log('WARN', `the snapshot could not be taken at an exact position (${connection.classify(error).message}); rows that change just now may differ`);
    await begin(connection);
    return { position: await sample(connection), exact: false };
  }
}

const begin = (connection: Connection): Promise<unknown> => connection.query('BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY');

/** Sampled after the snapshot: what is in it committed before. */
async function sample(connection: Connection): Promise<Lsn | undefined> {
  const [row] = await connection.query<{ lsn: string | null }>(
    'SELECT CASE WHEN NOT pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_current_wal_insert_lsn()::text END AS lsn',
  );
  return row?.lsn ? parseLsn(row.lsn) : undefined;
}

/**
 * A sampled position is no exact one: a transaction can be in the log before it is visible. The snapshot that comes with a new slot is:
 * https://www.postgresql.org/docs/current/logicaldecoding-explanation.html#LOGICALDECODING-EXPLANATION-EXPORTED-SNAPSHOTS
 * The slot is temporary, and goes as soon as the snapshot was taken over.
 */
async function beginAtSlot(connection: Connection, config: Config): Promise<VerifySnapshot> {
  const { client } = await openClient(config, replicationSettings(), 'replication');
  try {
    const { position, snapshot } = await exportSnapshot(client, config.slot_timeout * 1000);
    await begin(connection);
    try {
      await connection.query(`SET TRANSACTION SNAPSHOT ${literal(snapshot)}`);
    } catch (error) {
      await connection.query('ROLLBACK');
      throw error;
    }
    return { position, exact: true };
  } finally {
    client.connection.stream.destroy();
  }
}

async function exportSnapshot(client: OpenClient['client'], limitMs: number): Promise<{ position: Lsn; snapshot: string }> {
  const name = `tapline_verify_${randomBytes(6).toString('hex')}`;
  const limit = setTimeout(() => client.connection.stream.destroy(new Error('a transaction of long ago is still open')), limitMs);
  try {
    const { rows: [version] } = await client.query<{ server_version_num: string }>('SHOW server_version_num');
    const how = Number(version?.server_version_num) >= 150_000 ? `(SNAPSHOT 'export')` : 'EXPORT_SNAPSHOT';
    const { rows: [slot] } = await client.query<{ consistent_point: string; snapshot_name: string }>(`CREATE_REPLICATION_SLOT ${identifier(name)} TEMPORARY LOGICAL pgoutput ${how}`);
    return { position: parseLsn(slot!.consistent_point), snapshot: slot!.snapshot_name };
  } finally {
    clearTimeout(limit);
  }
}
