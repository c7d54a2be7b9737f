/**
 * Which generation each stream is read in, and from which state. A full refresh always runs in a generation of its own; an
 * incremental stream keeps its one until somebody wants it anew. Pure.
 */
import { streamKey, summarizeState, type Checkpoint, type ConfiguredStream, type StreamDescriptor } from '@tapline/protocol';
import type { Overrides } from '../store/overrides.js';
import type { StoredGeneration, StoredState } from '../store/stored-state.js';
import { dropStream, hasStateOf, isShared } from './drop-stream.js';

export interface PlanQuestion {
  readonly streams: readonly ConfiguredStream[];
  readonly states: readonly string[];
  readonly stored: StoredState | undefined;
  /** undefined = the destination keeps no checkpoints; null = it holds nothing. */
  readonly checkpoint: Checkpoint | null | undefined;
  readonly overrides: Overrides | undefined;
  /** Every stream starts over. */
  readonly refresh: boolean;
  /** Generations that earlier attempts of this run began. */
  readonly began: ReadonlyMap<string, number>;
}

export interface StreamPlan {
  readonly key: string;
  readonly descriptor: StreamDescriptor;
  readonly generation: StoredGeneration;
  /** The destination is to be told that this generation begins, or goes on. */
  readonly begin: boolean;
  /** It starts without a state. */
  readonly fresh: boolean;
  /** A full refresh that an earlier attempt of this run completed. */
  readonly done: boolean;
}

export interface StartPlan {
  readonly streams: readonly StreamPlan[];
  /** What is left of the states: those of streams that start over are gone. */
  readonly states: readonly string[];
}

export function planStreams(question: PlanQuestion): StartPlan {
  const anew = new Set(question.streams.map(({ stream }) => streamKey(stream)).filter((key, i) => startsOver(question, key, question.streams[i]!)));
  // Of a LEGACY state nothing can be taken out: if one stream starts over, all do.
  const legacy = question.states.some((state) => summarizeState(state).kind === 'LEGACY');
  const all = legacy && anew.size > 0;
  const streams = question.streams.map((stream) => planStream(question, stream, all || anew.has(streamKey(stream.stream))));
  const fresh = streams.filter((stream) => stream.fresh);
  const left = fresh.reduce<readonly string[]>((states, { key }) => dropStream(states, key), question.states);
  // To forget the position is to forget the shared one, too, unless streams that are not selected live by it.
  return { streams, states: all ? [] : question.refresh ? left.filter((state) => !isShared(state)) : left };
}

/** Mode and cursor, as one text: a state and the rows of one mean nothing to another. */
export function signatureOf({ sync_mode, destination_sync_mode, cursor_field }: ConfiguredStream): string {
  return sync_mode === 'incremental'
    ? `incremental/${destination_sync_mode}:${JSON.stringify(cursor_field ?? [])}`
    : `full_refresh/${destination_sync_mode}`;
}

/** Somebody wants the stream anew: older rows leave once it is complete. */
function startsOver(question: PlanQuestion, key: string, configured: ConfiguredStream): boolean {
  const { stored, checkpoint, overrides, refresh, states } = question;
  const mine = stored?.generations[key];
  const theirs = checkpoint?.generations[key] ?? 0;
  if (refresh) return true;
  if (mine && mine.signature !== signatureOf(configured)) return true;
  // An earlier run meant to, and ended before the destination heard of it.
  if (checkpoint !== undefined && mine && !mine.complete && mine.minimum > 0 && theirs < mine.id) return true;
  if (!overrides || (overrides.applied[key] ?? Infinity) <= theirs) return false;
  return (overrides.replace && !hasStateOf(states, key)) || overrides.reset.includes(key);
}

function planStream(question: PlanQuestion, configured: ConfiguredStream, anew: boolean): StreamPlan {
  const { stored, checkpoint, states, began } = question;
  const descriptor: StreamDescriptor = configured.stream;
  const key = streamKey(descriptor);
  const mine = stored?.generations[key];
  const theirs = checkpoint?.generations[key] ?? 0;
  const open = checkpoint === undefined ? (mine && !mine.complete ? mine.id : undefined) : checkpoint?.open_generations?.[key];
  const known = Math.max(mine?.id ?? 0, theirs, open ?? 0);
  const signature = signatureOf(configured);
  const fullRefresh = configured.sync_mode === 'full_refresh';
  const overwrite = configured.destination_sync_mode === 'overwrite';
  const plan = (id: number, minimum: number, how: { begin: boolean; fresh: boolean; done?: boolean }): StreamPlan => ({
    key, descriptor, begin: how.begin, fresh: how.fresh, done: how.done ?? false,
    generation: { id, minimum, complete: !how.begin, signature },
  });
  const mineOpen = mine && !mine.complete ? mine : undefined;

  if (fullRefresh && !anew && checkpoint && began.get(key) === theirs && open === undefined) {
    return plan(theirs, mine?.minimum ?? 0, { begin: false, fresh: false, done: true });
  }
  if (!anew && open !== undefined && hasStateOf(states, key) && mayGoOn(configured, checkpoint)) {
    const minimum = mineOpen?.id === open ? mineOpen.minimum : fullRefresh && !overwrite ? 0 : open;
    return plan(open, minimum, { begin: true, fresh: false });
  }
  if (fullRefresh || anew || open !== undefined) {
    const id = known + 1;
    const replaces = overwrite || anew || !fullRefresh || (mineOpen?.minimum ?? 0) > 0;
    return plan(id, replaces ? id : 0, { begin: true, fresh: true });
  }
  return plan(Math.max(1, known), mine?.minimum ?? 0, { begin: false, fresh: false });
}

/** May a generation that a run before left open be continued from its state? */
function mayGoOn({ stream, sync_mode, destination_sync_mode }: ConfiguredStream, checkpoint: Checkpoint | null | undefined): boolean {
  if (sync_mode === 'incremental') return true;
  if (stream.is_resumable !== true) return false;
  // Without checkpoints an overwrite clears the table at every start: what the run before wrote is gone.
  return checkpoint !== undefined || destination_sync_mode !== 'overwrite';
}
