import { identifier, qualified } from '@tapline/postgres-client';
import { configError } from '@tapline/protocol';
import type { VerbContext } from '@tapline/sdk';
import { checkReplication } from './cdc/server/check-replication.js';
import type { Config } from './config.js';
import { Connection } from './connection.js';
import { findRelations } from './relations.js';

/** Connects, and looks whether there is something that may be read. What it throws says what to type. */
export async function check({ config, log }: VerbContext<Config>): Promise<void> {
  await using connection = await Connection.open(config);
  try {
    const user = identifier(connection.target.user);
    if (config.schemas) await requireSchemas(connection, config.schemas);
    const relations = await findRelations(connection, { schemas: config.schemas });
    const unreadable = relations.filter(({ readable }) => !readable);
    if (relations.length === 0) {
      log('WARN', `database '${connection.target.database}' has no table${config.schemas ? ` in ${config.schemas.join(', ')}` : ''} yet`);
    } else if (unreadable.length === relations.length) {
      const schemas = [...new Set(relations.map(({ schema }) => schema))].map(identifier).join(', ');
      throw configError(
        `user '${connection.target.user}' may read none of the ${relations.length} tables: GRANT USAGE ON SCHEMA ${schemas} TO ${user}; GRANT SELECT ON ALL TABLES IN SCHEMA ${schemas} TO ${user};`,
        { code: 'pg_no_privilege' },
      );
    } else if (unreadable.length > 0) {
      const some = unreadable.slice(0, 5).map(({ schema, name }) => qualified(schema, name)).join(', ');
      log('WARN', `user '${connection.target.user}' may not read ${unreadable.length} of ${relations.length} tables (${some}${unreadable.length > 5 ? ', …' : ''}): GRANT SELECT ON ${some} TO ${user};`);
    }
    // A partition is replicated with its root.
    if (config.replication === 'cdc') await checkReplication(connection, { config, log }, relations.filter(({ readable, partitionOf }) => readable && !partitionOf));
  } catch (error) {
    throw connection.classify(error);
  }
}

async function requireSchemas(connection: Connection, schemas: readonly string[]): Promise<void> {
  const found = await connection.query<{ name: string; usable: boolean }>(
    `SELECT nspname::text AS name, pg_catalog.has_schema_privilege(oid, 'USAGE') AS usable FROM pg_catalog.pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'`,
  );
  for (const schema of schemas) {
    const row = found.find(({ name }) => name === schema);
    if (!row) {
      throw configError(`there is no schema '${schema}' in database '${connection.target.database}'; there are: ${found.map(({ name }) => name).join(', ')}`, { code: 'pg_no_schema' });
    }
    if (!row.usable) {
      const user = identifier(connection.target.user);
      throw configError(
        `user '${connection.target.user}' may not look into schema '${schema}': GRANT USAGE ON SCHEMA ${identifier(schema)} TO ${user}; GRANT SELECT ON ALL TABLES IN SCHEMA ${identifier(schema)} TO ${user};`,
        { code: 'pg_no_privilege' },
      );
    }
  }
}
