/** Where an attempt starts from: what is saved here, what the destination holds, what people want; and the note of it on disk. */
import { streamKey, type Checkpoint, type ConfiguredStream } from '@tapline/protocol';
import type { Overrides } from '../store/overrides.js';
import type { StoredState } from '../store/stored-state.js';
import { planStreams, type StreamPlan } from './plan-streams.js';
import { resumeFrom } from './resume.js';
import type { RunContext } from './run-context.js';

export interface StartQuestion {
  readonly streams: readonly ConfiguredStream[];
  readonly stored: StoredState | undefined;
  readonly overrides: Overrides | undefined;
  readonly identity: string;
}

export interface StartingPoint {
  /** The newest id in use. */
  readonly stateId: number;
  /** Bodies of STATE messages, without those of streams that start over. */
  readonly states: readonly string[];
  readonly streams: readonly StreamPlan[];
}

/** What was saved. A damaged file is put aside where it does not matter what was in it. */
export async function loadStored({ store, plan, reporter }: RunContext): Promise<StoredState | undefined> {
  try {
    return await store.load();
  } catch (error) {
    if (!plan.fullRefresh && !plan.fromDestination && !(await store.overrides())?.replace) throw error;
    reporter.message('warn', `the damaged ${store.path} was put aside as ${await store.setAside()}`);
    return undefined;
  }
}

/** `checkpoint`: undefined = the destination keeps none; null = it holds nothing of this sync. */
export function startingPoint({ plan, progress }: RunContext, question: StartQuestion, checkpoint: Checkpoint | null | undefined): StartingPoint {
  const { streams, stored, overrides, identity } = question;
  const began = progress.generations;
  const isBegun = ({ stream }: ConfiguredStream): boolean => {
    const generation = began.get(streamKey(stream));
    return generation !== undefined && (checkpoint === undefined || (checkpoint?.generations[streamKey(stream)] ?? 0) >= generation);
  };
  // An attempt that follows goes on with what the first one began.
  const refresh = plan.fullRefresh && !streams.every(isBegun);
  const { states, stateId } = resumeFrom({
    sync: plan.sync, stored, checkpoint, source: identity, overrides, fullRefresh: refresh, fromDestination: plan.fromDestination && began.size === 0,
  });
  return { stateId, ...planStreams({ streams, states, stored, checkpoint, overrides, refresh, began }) };
}

/**
 * What the destination will most likely say: for its catalog, which it gets before it can say anything, and whose generations
 * do not count in a session.
 */
export function likelyCheckpoint(stored: StoredState | undefined): Checkpoint | null {
  if (!stored) return null;
  const { state_id, source, states, generations } = stored;
  return { state_id, source, states: [...states], generations: Object.fromEntries(Object.entries(generations).map(([key, { id }]) => [key, id])) };
}

/**
 * Saved before anything begins: what starts over must do so even if this run ends before its first state, and its old
 * state must not come back.
 */
export function intentOf(start: StartingPoint, { stored, identity }: StartQuestion, more: { readonly runId: string; readonly epoch: number; readonly catalogHash: string }): StoredState {
  return {
    v: 1,
    state_id: start.stateId,
    run_id: more.runId,
    epoch: more.epoch,
    source: identity,
    catalog_hash: more.catalogHash,
    saved_at: new Date().toISOString(),
    states: [...start.states],
    generations: { ...stored?.generations, ...Object.fromEntries(start.streams.map(({ key, generation }) => [key, generation])) },
  };
}

/** Notes in overrides.json which generations are begun for them, so that they are not begun again and again. */
export async function noteApplied({ store }: RunContext, overrides: Overrides | undefined, streams: readonly StreamPlan[]): Promise<Overrides | undefined> {
  if (!overrides) return undefined;
  const begun = streams.filter(({ fresh, begin }) => fresh && begin).map(({ key, generation }) => [key, generation.id] as const);
  const applied = { ...overrides, applied: { ...overrides.applied, ...Object.fromEntries(begun) } };
  await store.writeOverrides(applied);
  return applied;
}
