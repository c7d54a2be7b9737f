import { configError } from '@tapline/protocol';
import type { Connection } from '../../connection.js';

/**
 * Before anything is made there: can this server's log be read at all? From 16 on a standby can decode, too; but it makes no publication,
 * and waits for its primary with every slot.
 */
export async function requirePrimary(connection: Connection): Promise<void> {
  const [row] = await connection.query<{ standby: boolean; level: string }>(
    `SELECT pg_catalog.pg_is_in_recovery() AS standby, pg_catalog.current_setting('wal_level') AS level`,
  ).catch((error: unknown) => {
    throw connection.classify(error);
  });
  if (row?.standby) throw configError(`${connection.target.host}:${connection.target.port} is a standby: connect to the primary`, { code: 'pg_standby' });
  if (row?.level !== 'logical') {
    throw configError(
      `the server does not decode its log (wal_level is ${row?.level}): ALTER SYSTEM SET wal_level = logical; and restart the server (Amazon RDS: rds.logical_replication = 1)`,
      { code: 'pg_wal_level' },
    );
  }
}
