/** Where a replication can be resumed: one position for all, and of each table how far its copy is. */
import { configError, streamKey, type StreamDescriptor } from '@tapline/protocol';
import { z } from 'zod';
import { parseLsn } from './lsn.js';

const v = z.literal(1);
const lsn = z.string().refine((text) => {
  try {
    return parseLsn(text) >= 0n;
  } catch {
    return false;
  }
}, 'no position in a log');

/** `lsn`: the end of the last transaction that is out whole; the next one begins there or later. */
const SharedState = z.looseObject({
  v,
  mode: z.literal('cdc'),
  system_id: z.string(),
  timeline: z.number(),
  slot: z.string(),
  publication: z.string(),
  lsn,
});
export type SharedState = z.infer<typeof SharedState>;

const TableState = z.strictObject({
  v,
  mode: z.literal('cdc'),
  /** pending: nothing is out. copying: some rows are, and the copy begins anew. streaming: all are, and changes follow. */
  phase: z.enum(['pending', 'copying', 'streaming']),
  /** The newest generation that was begun; 0 = none. */
  generation: z.number(),
  /** pg_class.oid: a table that was dropped and made again is another one. 0 = not looked up yet. */
  oid: z.number(),
  /** What the copy saw, as pg_current_snapshot() writes it: changes that are in it were copied. Not needed beyond `until`. */
  snapshot: z.string().optional(),
  until: lsn.optional(),
  /** The properties of the stream and their logical types, as the records so far have them. */
  columns: z.record(z.string(), z.string()).optional(),
  /** Those of them that are younger than the copy, or that the table lacked for a while. */
  late: z.array(z.string()).optional(),
});
export type TableState = z.infer<typeof TableState>;

/** The position, or undefined to begin. Throws a `config_error` for what this source did not write. */
export function sharedStateOf(raw: unknown): SharedState | undefined {
  if (isNothing(raw)) return undefined;
  const parsed = SharedState.safeParse(raw);
  if (parsed.success) return parsed.data;
  throw configError(`the state of the sync ${why(raw)}. Run once with --full-refresh to copy everything again`, { code: 'pg_state' });
}

export function tableStateOf(raw: unknown, stream: StreamDescriptor): TableState | undefined {
  if (isNothing(raw)) return undefined;
  const parsed = TableState.safeParse(raw);
  if (parsed.success) return parsed.data;
  // Of another mode: the table was read in another way, and is copied now.
  if (typeof raw === 'object' && raw !== null && 'mode' in raw && (raw.mode === 'snapshot' || raw.mode === 'cursor')) return undefined;
  throw configError(`${streamKey(stream)}: its state ${why(raw)}. Reset the state of the stream (state reset), or run with --full-refresh`, { code: 'pg_state', stream });
}

export const isTableState = (raw: unknown): boolean => TableState.safeParse(raw).success;

/** Platforms write "from the start" in all of these ways. */
const isNothing = (raw: unknown): boolean => raw === undefined || raw === null || (typeof raw === 'object' && Object.keys(raw).length === 0);

function why(raw: unknown): string {
  const version = typeof raw === 'object' && raw !== null && 'v' in raw ? raw.v : undefined;
  return typeof version === 'number' && version > 1 ? `has version ${version}, which is newer than this program` : 'is not one that this source writes for cdc';
}
