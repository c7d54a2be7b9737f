import type { BatchFormat, Session, SpecBody } from '@tapline/protocol';
import type { SyncPlan } from '../types.js';

/** Extensions that the runner uses, of those that a connector may advertise. */
const used = {
  source: ['start', 'ack', 'end', 'lag', 'schema', 'generation', 'partial'],
  destination: ['start', 'checkpoint', 'schema', 'generation', 'partial'],
} as const;
/** What a source may only send to a destination that takes it. */
const passedOn: readonly string[] = ['schema', 'generation', 'partial'];

export interface Extensions {
  readonly source: readonly string[];
  readonly destination: readonly string[];
}

/** Those in use with each connector; none = no session, and nothing of the extensions is read or written. `format`: of batches, where both ends know it. */
export function extensionsOf(source: SpecBody | undefined, destination: SpecBody | undefined, format: BatchFormat | undefined): Extensions {
  const [theirs, ours] = [source?.tapline?.extensions ?? [], destination?.tapline?.extensions ?? []];
  const batch = format === undefined ? [] : ['batch'];
  return {
    source: [...used.source.filter((extension) => theirs.includes(extension) && (!passedOn.includes(extension) || ours.includes(extension))), ...batch],
    destination: [...used.destination.filter((extension) => ours.includes(extension)), ...batch],
  };
}

export interface SessionOptions {
  readonly role: 'source' | 'destination';
  readonly plan: SyncPlan;
  readonly runId: string;
  readonly identity: string;
  readonly extensions: readonly string[];
  readonly scratch: string;
  readonly batch: Session['batch'];
}

export function sessionOf({ role, plan, runId, identity, extensions, scratch, batch }: SessionOptions): Session {
  return {
    version: 1,
    run_id: runId,
    sync: plan.sync,
    source: identity,
    extensions: [...extensions],
    continuous: plan.continuous,
    ...(role === 'source' && { selection: [...plan.selection] }),
    // A destination commits at a STATE: to commit as often as it was told to, it must get them as often.
    state_interval_ms: Math.min(5_000, plan.flushMs ?? 5_000),
    // Else the destination's own configuration says.
    ...(plan.flushMs !== undefined && { flush: { ms: plan.flushMs } }),
    ...(batch && { batch }),
    scratch,
    failpoints: failpointSpecs(),
  };
}

/** What a crash test wants to happen, in us and in both connectors. */
export const failpointSpecs = (): string[] => (process.env.TAPLINE_FAILPOINTS ?? '').split(',').map((one) => one.trim()).filter(Boolean);
