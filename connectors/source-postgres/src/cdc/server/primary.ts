import { configError } from '@tapline/protocol';
import type { Connection } from '../../connection.js';

/** From 16 on a standby can decode, too; but it makes no publication, and waits for its primary with every slot. */
export async function requirePrimary(connection: Connection): Promise<void> {
  const [row] = await connection.query<{ standby: boolean }>('SELECT pg_catalog.pg_is_in_recovery() AS standby').catch((error: unknown) => {
    throw connection.classify(error);
  });
  if (row?.standby) throw configError(`${connection.target.host}:${connection.target.port} is a standby: connect to the primary`, { code: 'pg_standby' });
}
