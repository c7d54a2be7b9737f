import { toJsonSchema } from '@tapline/catalog';
import { streamKey, type AirbyteStream, type CatalogBody } from '@tapline/protocol';
import type { VerbContext } from '@tapline/sdk';
import type { Config } from './config.js';
import type { Connection } from './connection.js';
import { identityOf } from './identity.js';
import { openPatiently } from './patience.js';
import { findRelations, type Relation } from './relations.js';
import { resumableKey } from './snapshot.js';
import { canBeCursor } from './types.js';
import { cdcProperties } from './cdc/meta-columns.js';

export async function discover(context: VerbContext<Config>): Promise<CatalogBody> {
  const { config, log } = context;
  await using connection = await openPatiently(context);
  try {
    const identity = await identityOf(connection);
    if (identity === undefined) {
      log('WARN', `this user may not ask for the identity of the server, so a state of another server would not be noticed: GRANT EXECUTE ON FUNCTION pg_catalog.pg_control_system() TO "${connection.target.user}"`);
    }
    const relations = await findRelations(connection, { schemas: config.schemas });
    return { streams: relations.map(config.replication === 'cdc' ? await replicatedStreams(connection) : streamOf), ...(identity !== undefined && { tapline: { identity } }) };
  } catch (error) {
    throw connection.classify(error);
  }
}

/** A relation as a stream. `tapline`: what a selection and a progress line want to know. */
export function streamOf(relation: Relation): AirbyteStream {
  const { schema, name, kind, columns, key, partitionOf, rows } = relation;
  return {
    name,
    namespace: schema,
    json_schema: {
      type: 'object',
      // fromEntries defines own properties: a column may be called __proto__.
      properties: Object.fromEntries(columns.map((column) => [column.name, toJsonSchema(column.type.logical, !column.notNull)])),
    },
    supported_sync_modes: columns.some((column) => canBeCursor(column.type, column.collationIsC)) ? ['full_refresh', 'incremental'] : ['full_refresh'],
    source_defined_cursor: false,
    default_cursor_field: [],
    source_defined_primary_key: key.map((column) => [column]),
    is_resumable: key.length > 0 && resumableKey(relation).length > 0,
    tapline: {
      kind,
      ...(partitionOf && { partition_of: streamKey({ namespace: partitionOf.schema, name: partitionOf.name }) }),
      ...(rows !== undefined && { row_estimate: Math.round(rows) }),
    },
  };
}

/** From PostgreSQL 18 on the log's readers can have generated columns that are stored. */
export async function replicatedStreams(connection: Connection): Promise<(relation: Relation) => AirbyteStream> {
  const [row] = await connection.query<{ version: number }>(`SELECT pg_catalog.current_setting('server_version_num')::int4 AS version`);
  return (relation) => replicatedStream(relation, row!.version >= 180_000);
}

/**
 * A relation of which the changes can be read. Every column but those of the key may be null: a deleted row has nothing else. A relation
 * that writes no log (a view, a foreign or an unlogged table) stays what it is.
 */
function replicatedStream(relation: Relation, hasGenerated: boolean): AirbyteStream {
  const stream = streamOf(relation);
  if (!relation.isLogged || (relation.kind !== 'table' && relation.kind !== 'partitioned')) return stream;
  const identity = relation.replicaIdentity.kind === 'index' ? relation.replicaIdentity.columns : relation.key;
  const columns = relation.columns.filter(({ generated }) => generated === undefined || (generated === 'stored' && hasGenerated));
  return {
    ...stream,
    json_schema: {
      type: 'object',
      properties: {
        ...Object.fromEntries(columns.map(({ name, type, notNull }) => [name, toJsonSchema(type.logical, !(notNull && identity.includes(name)))])),
        ...cdcProperties(),
      },
    },
    supported_sync_modes: ['full_refresh', 'incremental'],
    source_defined_cursor: true,
    default_cursor_field: ['_ab_cdc_lsn'],
    source_defined_primary_key: identity.map((column) => [column]),
    tapline: { ...(stream['tapline'] as object), order: true },
  };
}
