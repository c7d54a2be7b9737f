import type { Connection } from './connection.js';

/**
 * What makes positions comparable: the cluster (its system identifier) and the database; a copy restored elsewhere is another source.
 * Undefined where the role may not ask for it (42501): then nothing is compared.
 */
export async function identityOf(connection: Connection): Promise<string | undefined> {
  try {
    const [row] = await connection.query<{ id: string; database: string }>(
      'SELECT system_identifier::text AS id, pg_catalog.current_database()::text AS database FROM pg_catalog.pg_control_system()',
    );
    return row && `postgres:${row.id}/${row.database}`;
  } catch (error) {
    if ((error as { code?: unknown }).code === '42501') return undefined;
    throw error;
  }
}
