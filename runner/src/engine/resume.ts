/**
 * Where a run starts from: what the runner has saved against what the destination holds, and what people said. Pure: all
 * reading and writing is elsewhere. The rules are those of docs/architecture.md, "Destination first".
 */
import { configError, mergeStates, streamKey, summarizeState, untagState, type Checkpoint, type StateBody } from '@tapline/protocol';
import { dropStream } from './drop-stream.js';
import type { Overrides } from '../store/overrides.js';
import type { StoredState } from '../store/stored-state.js';

export interface ResumeQuestion {
  readonly sync: string;
  /** What this runner saved; undefined = nothing. */
  readonly stored: StoredState | undefined;
  /** null = the destination holds nothing of this sync; undefined = it keeps no checkpoints. */
  readonly checkpoint: Checkpoint | null | undefined;
  /** Identity of the source that was discovered, '' = it has none. */
  readonly source: string;
  readonly overrides: Overrides | undefined;
  readonly fullRefresh: boolean;
  readonly fromDestination: boolean;
}

export interface ResumePoint {
  /** Bodies of STATE messages. */
  readonly states: readonly string[];
  /** The newest id in use: new ones are higher. */
  readonly stateId: number;
  /** For people: where the states come from. */
  readonly origin: 'nothing' | 'runner' | 'destination' | 'override';
}

/** Throws a `config_error` that says why it cannot go on, and names the ways on. */
export function resumeFrom(question: ResumeQuestion): ResumePoint {
  const { stored, checkpoint, overrides, fullRefresh, fromDestination } = question;
  const mine = stored?.state_id ?? 0;
  const theirs = checkpoint?.state_id ?? 0;
  const stateId = Math.max(mine, theirs);
  // Each of these means: whatever was there, we start from this.
  if (fullRefresh) return { states: besideRefreshed(question), stateId, origin: 'nothing' };
  if (overrides?.replace) return { states: overrides.states, stateId, origin: 'override' };
  refuseOtherSource(question);

  const point = ((): ResumePoint => {
    if (checkpoint === undefined) return { states: stored?.states ?? [], stateId, origin: stored ? 'runner' : 'nothing' };
    if (!fromDestination && theirs < mine) throw behind(question, mine, theirs);
    if (checkpoint === null) return { states: [], stateId, origin: 'nothing' };
    if (stored && !fromDestination && theirs === mine) return { states: inBoth(stored.states, checkpoint.states), stateId, origin: 'runner' };
    return { states: checkpoint.states.map(untagState), stateId, origin: 'destination' };
  })();
  if (!overrides) return point;
  return { ...point, states: overrides.states.reduce<string[]>(mergeStates, [...point.states]), origin: 'override' };
}

/**
 * A full refresh forgets the streams that are selected (their states are taken out later). Those of others stay, as far as the
 * destination has what they stand for, and they are of this source.
 */
function besideRefreshed({ stored, checkpoint, source }: ResumeQuestion): readonly string[] {
  const known = checkpoint === undefined ? stored : checkpoint;
  if (!known || (known.source && source && known.source !== source)) return [];
  if (checkpoint === undefined) return known.states;
  return stored && checkpoint?.state_id === stored.state_id ? inBoth(stored.states, known.states) : known.states.map(untagState);
}

/**
 * Our bytes of the states that the destination has, too. Either side may have dropped a stream's state that the other still
 * has, when a new generation of it began: what one of them dropped must not come back.
 */
function inBoth(mine: readonly string[], theirs: readonly string[]): string[] {
  const there = new Set(theirs.flatMap(keysOf));
  return mine.reduce<readonly string[]>(
    (states, body) => keysOf(body).reduce<readonly string[]>((left, key) => (there.has(key) ? left : dropStream(left, key)), states),
    mine.filter((body) => theirs.some((other) => summarizeState(other).kind === summarizeState(body).kind)),
  ) as string[];
}

/** The streams that a state has something of. */
function keysOf(body: string): string[] {
  const { stream, global } = JSON.parse(body) as StateBody;
  return [...(stream ? [stream] : []), ...(global?.stream_states ?? [])].map(({ stream_descriptor }) => streamKey(stream_descriptor));
}

function refuseOtherSource({ sync, stored, checkpoint, source, fromDestination }: ResumeQuestion): void {
  const check = (who: string, other: string | undefined, has: boolean): void => {
    if (!has || !other || !source || other === source) return;
    throw configError(
      `the state that ${who} of sync ${sync} comes from another source (${other}; this one is ${source}): positions in one mean ` +
        'nothing in the other. To copy everything from this source, run once with --full-refresh; to keep both, give this sync another name with --sync',
      { code: 'other_source' },
    );
  };
  if (checkpoint) check('the destination holds', checkpoint.source, checkpoint.states.length > 0);
  if (!fromDestination) check('is saved', stored?.source, (stored?.states.length ?? 0) > 0);
}

function behind({ sync, checkpoint }: ResumeQuestion, mine: number, theirs: number): Error {
  const what = checkpoint === null || theirs === 0
    ? `holds nothing of sync ${sync}, although its states up to ${mine} were saved here`
    : `holds sync ${sync} up to state ${theirs}, although its states up to ${mine} were saved here`;
  return configError(
    `the destination ${what}: it was emptied, restored from a backup, or is not the one of the last run. ` +
      'To go on from what the destination holds: --from-destination. To copy everything again: --full-refresh',
    { code: 'destination_behind' },
  );
}

