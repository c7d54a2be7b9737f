/** One stream that is being read: what snapshot and cursor share. */
import { identifier } from '@tapline/postgres-client';
import { configError, type ConfiguredStream, type StreamDescriptor } from '@tapline/protocol';
import type { SourceItem } from '@tapline/sdk';
import type { Batches } from './batch/batches.js';
import type { Connection } from './connection.js';
import { source } from './copy-statement.js';
import type { Division } from './readers.js';
import type { Relation, RelationColumn } from './relations.js';

export interface Reading {
  readonly connection: Connection;
  readonly stream: StreamDescriptor;
  readonly configured: ConfiguredStream;
  readonly relation: Relation;
  readonly columns: readonly RelationColumn[];
  readonly state: unknown;
  readonly stateIntervalMs: number;
  readonly blockBytes: number;
  /** Where the run has them. */
  readonly batches: Batches | undefined;
  readonly signal: AbortSignal;
  /** How many sessions read in this run. */
  readonly sessions: number;
  /** Where there are several: how much of a table each reads at a time, and who shares the work out. */
  readonly together: { readonly rangeBytes: number; divide(division: Division, connection: Connection): Promise<void> } | undefined;
  log(level: 'INFO' | 'WARN', message: string): void;
}

/** The columns that are configured. Throws a `config_error` for one that is not there any more. */
export function configuredColumns(configured: ConfiguredStream, relation: Relation): RelationColumn[] {
  const properties = configured.stream.json_schema['properties'];
  const names = typeof properties === 'object' && properties !== null ? Object.keys(properties) : [];
  return names.map((name) => columnOf(relation, name, configured.stream));
}

export function columnOf(relation: Relation, name: string, stream: StreamDescriptor): RelationColumn {
  const column = relation.columns.find((candidate) => candidate.name === name);
  if (column) return column;
  throw configError(`${label(stream)} has no column '${name}' any more: discover again, or leave the column out`, { code: 'pg_no_column', stream });
}

export const label = ({ namespace, name }: StreamDescriptor): string => (namespace ? `${namespace}.${name}` : name);

/** Everything up to a record's data. The time moves with the states, so that a reader meets few different beginnings. */
export function linePrefix({ namespace, name }: StreamDescriptor): (emittedAt: number) => string {
  const space = namespace ? `,"namespace":${JSON.stringify(namespace)}` : '';
  const head = `{"type":"RECORD","record":{"stream":${JSON.stringify(name)}${space},"emitted_at":`;
  return (emittedAt) => `${head}${emittedAt},"data":`;
}

const safe = Number.MAX_SAFE_INTEGER;

/**
 * The 64-bit columns in which integers beyond 2^53 can be. Where a column leads an index its least and greatest value are known at
 * once; in this transaction's snapshot they hold.
 */
export async function wideColumns({ connection, relation, columns }: Pick<Reading, 'connection' | 'relation' | 'columns'>): Promise<Set<string>> {
  const long = columns.filter(({ type }) => type.logical.kind === 'int' && type.logical.bits === 64);
  const indexed = long.filter(({ leadsIndex }) => leadsIndex);
  const wide = new Set(long.map(({ name }) => name));
  if (indexed.length === 0) return wide;
  const from = source(relation);
  const checks = indexed.map(({ name }) => {
    const column = `s.${identifier(name)}`;
    return `COALESCE((SELECT pg_catalog.min(${column}) >= -${safe} AND pg_catalog.max(${column}) <= ${safe} FROM ${from} s), true)`;
  });
  const [row] = await connection.query<{ narrow: boolean[] }>(`SELECT ARRAY[${checks.join(', ')}] AS narrow`);
  indexed.forEach(({ name }, i) => row?.narrow[i] && wide.delete(name));
  return wide;
}

/** Runs `body` in one read-only snapshot of the database, and leaves the connection fit for the next stream if it can. */
export async function* inSnapshot<Item>(connection: Connection, body: () => AsyncGenerator<Item, void, undefined>): AsyncGenerator<Item, void, undefined> {
  await connection.query('BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY');
  try {
    yield* body();
  } finally {
    if (!connection.broken) await connection.query('ROLLBACK').catch(() => {});
  }
}

/** So much of batches is worth a STATE: whoever loads them may begin with it while the next ones are read. */
const batchBytesApart = 16 << 20;

/** True when a STATE is due behind the item: `ms`, or enough batches, have come since the last time it was true. */
export function checkpoints(ms: number): (item: SourceItem) => boolean {
  let last = performance.now();
  let bytes = 0;
  return (item) => {
    if (item.kind === 'batch') bytes += item.bytes;
    const now = performance.now();
    if (now - last < ms && bytes < batchBytesApart) return false;
    last = now;
    bytes = 0;
    return true;
  };
}
