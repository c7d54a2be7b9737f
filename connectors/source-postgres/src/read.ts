/** `read`: the configured streams one after another, or by several sessions; or by their changes. */
import { configError, cores, streamKey, type ConfiguredStream } from '@tapline/protocol';
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
  const byName = new Map(relations.map((relation) => [streamKey({ namespace: relation.schema, name: relation.name }), relation]));
  const streams = catalog.streams.map((configured) => {
    const { name, namespace } = configured.stream;
    return { configured, relation: byName.get(streamKey({ name, namespace: namespace ?? 'public' })) };
  });
  const sessions = context.config.workers ?? sessionsOf(cores());
  if (sessions > 1) {
    yield* (await import('./read-together.js')).readTogether(context, { sessions, streams, connection });
    return;
  }
  const batches = await batchesOf(context, connection);
  for (const stream of streams) {
    if (context.signal.aborted) return;
    yield* readRelation(context, connection, { ...stream, batches });
  }
}

/** The destination and the server want cores, too. */
const sessionsOf = (all: number): number => Math.min(Math.max(Math.floor(all / 2), 1), 4);

/** Loaded when needed: a sync without them starts sooner. */
export const batchesOf = async ({ session, signal }: ReadContext<Config>, connection: Connection): Promise<Batches | undefined> =>
  session?.batch && (await import('./batch/batches.js')).Batches.open(session, connection, signal).catch((error: unknown) => {
    throw connection.classify(error);
  });

/** A stream, and the relation that it is, if there is one. */
export interface FoundStream {
  readonly configured: ConfiguredStream;
  readonly relation: Relation | undefined;
}

interface StreamOptions extends FoundStream, Partial<Pick<Reading, 'sessions' | 'together'>> {
  readonly batches: Batches | undefined;
}

/** What fails with one stream is told with it, and the others go on; what fails with the connection ends the run. */
export async function* readRelation(context: ReadContext<Config>, connection: Connection, options: StreamOptions): AsyncGenerator<SourceItem, void, undefined> {
  const { configured, relation } = options;
  const { name, namespace } = configured.stream;
  const stream = { name, namespace };
  try {
    yield status(stream, 'STARTED');
    if (!relation) throw configError(`${label(stream)} does not exist, or user '${connection.target.user}' may not see it: discover again, or leave it out`, { code: 'pg_no_table', stream });
    yield* readStream(readingOf(context, { ...options, connection, relation }));
    if (context.signal.aborted) return;
    yield status(stream, 'COMPLETE');
  } catch (error) {
    if (context.signal.aborted) return;
    const classified = connection.classify(error, { schema: namespace ?? 'public', name });
    if (connection.broken || endsRun(classified)) throw classified;
    yield failed(stream, classified);
  }
}

function readingOf(context: ReadContext<Config>, parts: StreamOptions & { readonly connection: Connection; readonly relation: Relation }): Reading {
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
    sessions: parts.sessions ?? 1,
    together: parts.together,
    log: (level, message) => context.log(level, message),
  };
}

async function* readStream(reading: Reading): AsyncGenerator<SourceItem, void, undefined> {
  const { relation, stream } = reading;
  if (relation.rowSecurity) reading.log('WARN', `${label(stream)} has row level security: only the rows that this user may see are read`);
  if (relation.rows !== undefined) yield estimate(stream, { rows: Math.round(relation.rows) });
  yield* reading.configured.sync_mode === 'incremental' ? readByCursor(reading) : readSnapshot(reading);
}
