import { toJsonSchema } from '@tapline/catalog';
import { streamKey, type AirbyteStream, type CatalogBody } from '@tapline/protocol';
import type { VerbContext } from '@tapline/sdk';
import type { Config } from './config.js';
import { identityOf } from './identity.js';
import { requireNoCdc } from './not-yet.js';
import { openPatiently } from './patience.js';
import { findRelations, type Relation } from './relations.js';
import { resumableKey } from './snapshot.js';
import { canBeCursor } from './types.js';

export async function discover(context: VerbContext<Config>): Promise<CatalogBody> {
  const { config, log } = context;
  requireNoCdc(config);
  await using connection = await openPatiently(context);
  try {
    const identity = await identityOf(connection);
    if (identity === undefined) {
      log('WARN', `this user may not ask for the identity of the server, so a state of another server would not be noticed: GRANT EXECUTE ON FUNCTION pg_catalog.pg_control_system() TO "${connection.target.user}"`);
    }
    const relations = await findRelations(connection, { schemas: config.schemas });
    return { streams: relations.map(streamOf), ...(identity !== undefined && { tapline: { identity } }) };
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
