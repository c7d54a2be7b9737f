/** Where a stream can be resumed. A state is read by later versions too: add a version, never change one. */
import { configError, streamKey, type StreamDescriptor } from '@tapline/protocol';
import { z } from 'zod';

const v = z.literal(1);

/** A full refresh: rows up to and including the key `after` (as text) are out; or all are. */
const PlaceState = z.strictObject({
  v,
  mode: z.literal('snapshot'),
  complete: z.boolean(),
  key: z.array(z.string()).optional(),
  after: z.array(z.string()).optional(),
});

/**
 * A full refresh in ranges of the key: what is left of each, behind the key `after` and up to and including `until` (as text); without them
 * from the first row, or to the last. A range that is out is not there.
 */
const RangesState = z.strictObject({
  v: z.literal(2),
  mode: z.literal('snapshot'),
  complete: z.literal(false),
  key: z.array(z.string()).min(1),
  ranges: z.array(z.strictObject({ after: z.array(z.string()).optional(), until: z.array(z.string()).optional() })),
});

const SnapshotState = z.discriminatedUnion('v', [PlaceState, RangesState]);
export type SnapshotState = z.infer<typeof SnapshotState>;

/**
 * An incremental read: all rows whose cursor is below `value` (as text) are out, and of those at `value` the ones whose keys are `seen`.
 * Without `seen` (no key, or too many): rows at `value` may come again. `value` null: no row had a cursor so far.
 */
const CursorState = z.strictObject({
  v,
  mode: z.literal('cursor'),
  cursor: z.string(),
  value: z.string().nullable(),
  key: z.array(z.string()).optional(),
  seen: z.array(z.string()).optional(),
  /** There was no row at all: as good as no state. */
  empty: z.literal(true).optional(),
});
export type CursorState = z.infer<typeof CursorState>;

export const State = z.discriminatedUnion('mode', [SnapshotState, CursorState]);
export type State = z.infer<typeof State>;

/** The state of a full refresh, or undefined to begin. Throws a `config_error` for any other. */
export function snapshotStateOf(raw: unknown, stream: StreamDescriptor, key: readonly string[]): SnapshotState | undefined {
  const state = parse(raw, stream);
  if (!state) return undefined;
  if (state.mode !== 'snapshot') throw foreign(stream, 'belongs to an incremental read, and the stream is now read in full');
  const stopped = state.v === 2 || state.after !== undefined;
  if (stopped && !sameList(state.key ?? [], key)) throw foreign(stream, `stopped within a read by the key (${(state.key ?? []).join(', ')}), which is no longer the key`);
  return state;
}

/** The state of an incremental read by that cursor, or undefined to begin. Throws a `config_error` for any other. */
export function cursorStateOf(raw: unknown, stream: StreamDescriptor, cursor: string): CursorState | undefined {
  const state = parse(raw, stream);
  if (!state) return undefined;
  if (state.mode !== 'cursor') throw foreign(stream, 'belongs to a full refresh, and the stream is now read incrementally');
  if (state.cursor !== cursor) throw foreign(stream, `follows the cursor '${state.cursor}', and the stream now follows '${cursor}'`);
  return state.empty ? undefined : state;
}

export const sameList = (a: readonly string[], b: readonly string[]): boolean => a.length === b.length && a.every((item, i) => item === b[i]);

function parse(raw: unknown, stream: StreamDescriptor): State | undefined {
  // Platforms write "from the start" in all of these ways.
  if (raw === undefined || raw === null || (typeof raw === 'object' && Object.keys(raw).length === 0)) return undefined;
  const parsed = State.safeParse(raw);
  if (parsed.success) return parsed.data;
  const { v: version, mode } = raw as { v?: unknown; mode?: unknown };
  if (typeof version === 'number' && version > (mode === 'snapshot' ? 2 : 1)) throw foreign(stream, `has version ${version}, which is newer than this program`);
  throw foreign(stream, 'is not one that this source writes');
}

const foreign = (stream: StreamDescriptor, what: string) =>
  configError(`${streamKey(stream)}: its state ${what}. Reset the state of the stream (state reset), or run with --full-refresh`, { code: 'pg_state', stream });
