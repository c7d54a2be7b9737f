/** `read`: the configured streams one after another, on one connection; or by their changes. */
import { configError, streamKey, type ConfiguredStream } from '@tapline/protocol';
import { estimate, failed, status, type ReadContext, type SourceItem } from '@tapline/sdk';
import { endsRun } from './classify.js';
import type { Batches } from './batch/batches.js';
import type { Config } from './config.js';
import type { Connection } from './connection.js';
import { readByCursor } from './cursor.js';
import { openPatiently } from './patience.js';
import { configuredColumns, label, type Reading } from './reading.js';
import { findRelations, type Relation } from './relations.js';
import { readSnapshot } from './snapshot.js';

export async function* read(context: ReadContext<Config>): AsyncGenerator<SourceItem, void, undefined> {
  if (context.config.replication === 'cdc') {
    // Loaded when needed: a sync without it starts sooner.
    yield* (await import('./cdc/read-cdc.js')).readCdc(context);
    return;
  }
  const { catalog } = context;
  await using connection = await openPatiently(context);
  const names = catalog.streams.map(({ stream }) => ({ schema: stream.namespace ?? 'public', name: stream.name }));
  const relations = await findRelations(connection, { names }).catch((error: unknown) => {
    throw connection.classify(error);
  });
  const batches = await batchesOf(context, connection);
  const byName = new Map(relations.map((relation) => [streamKey({ namespace: relation.schema, name: relation.name }), relation]));
  for (const configured of catalog.streams) {
    if (context.signal.aborted) return;
    const { name, namespace } = configured.stream;
    yield* readRelation(context, { connection, batches, configured, relation: byName.get(streamKey({ name, namespace: namespace ?? 'public' })) });
  }
}

/** Loaded when needed: a sync without them starts sooner. */
export const batchesOf = async ({ session, signal }: ReadContext<Config>, connection: Connection): Promise<Batches | undefined> =>
  session?.batch && (await import('./batch/batches.js')).Batches.open(session, connection, signal).catch((error: unknown) => {
    throw connection.classify(error);
  });

interface RelationOptions {
  readonly connection: Connection;
  readonly batches: Batches | undefined;
  readonly configured: ConfiguredStream;
  readonly relation: Relation | undefined;
}

/** What fails with one stream is told with it, and the others go on; what fails with the connection ends the run. */
export async function* readRelation(
  context: ReadContext<Config>,
  { connection, batches, configured, relation }: RelationOptions,
): AsyncGenerator<SourceItem, void, undefined> {
  const { name, namespace } = configured.stream;
  const stream = { name, namespace };
  try {
    yield status(stream, 'STARTED');
    if (!relation) throw configError(`${label(stream)} does not exist, or user '${connection.target.user}' may not see it: discover again, or leave it out`, { code: 'pg_no_table', stream });
    yield* readStream(readingOf(context, { connection, batches, configured, relation }));
    if (context.signal.aborted) return;
    yield status(stream, 'COMPLETE');
  } catch (error) {
    if (context.signal.aborted) return;
    const classified = connection.classify(error, { schema: namespace ?? 'public', name });
    if (connection.broken || endsRun(classified)) throw classified;
    yield failed(stream, classified);
  }
}

function readingOf(context: ReadContext<Config>, parts: RelationOptions & { readonly relation: Relation }): Reading {
  const { config, session } = context;
  const { name, namespace } = parts.configured.stream;
  return {
    connection: parts.connection,
    batches: parts.batches,
    configured: parts.configured,
    relation: parts.relation,
    stream: { name, namespace },
    columns: configuredColumns(parts.configured, parts.relation),
    state: context.stateOf({ name, namespace }),
    stateIntervalMs: session?.state_interval_ms ?? config.state_interval_seconds * 1000,
    blockBytes: config.block_bytes,
    signal: context.signal,
    log: (level, message) => context.log(level, message),
  };
}

async function* readStream(reading: Reading): AsyncGenerator<SourceItem, void, undefined> {
  const { relation, stream } = reading;
  if (relation.rowSecurity) reading.log('WARN', `${label(stream)} has row level security: only the rows that this user may see are read`);
  if (relation.rows !== undefined) yield estimate(stream, { rows: Math.round(relation.rows) });
  yield* reading.configured.sync_mode === 'incremental' ? readByCursor(reading) : readSnapshot(reading);
}
