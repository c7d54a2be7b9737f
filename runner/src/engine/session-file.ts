import type { Session, SpecBody } from '@tapline/protocol';
import type { SyncPlan } from '../types.js';

/** Extensions that the runner uses, of those that a connector may advertise. */
const used = {
  source: ['ack', 'end', 'schema', 'generation'],
  destination: ['checkpoint', 'schema', 'generation', 'partial'],
} as const;

/** Those in use with this connector; none = no session, and nothing of the extensions is read or written. */
export function extensionsOf(role: 'source' | 'destination', spec: SpecBody | undefined): string[] {
  const advertised = spec?.tapline?.extensions ?? [];
  return used[role].filter((extension) => advertised.includes(extension));
}

export interface SessionOptions {
  readonly plan: SyncPlan;
  readonly runId: string;
  readonly identity: string;
  readonly extensions: readonly string[];
  readonly scratch: string;
}

export function sessionOf({ plan, runId, identity, extensions, scratch }: SessionOptions): Session {
  return {
    version: 1,
    run_id: runId,
    sync: plan.sync,
    source: identity,
    extensions: [...extensions],
    continuous: plan.continuous,
    // A destination commits at a STATE: to commit as often as it was told to, it must get them as often.
    state_interval_ms: Math.min(5_000, plan.flushMs ?? 5_000),
    // Else the destination's own configuration says.
    ...(plan.flushMs !== undefined && { flush: { ms: plan.flushMs } }),
    scratch,
    failpoints: failpointSpecs(),
  };
}

/** What a crash test wants to happen, in us and in both connectors. */
export const failpointSpecs = (): string[] => (process.env.TAPLINE_FAILPOINTS ?? '').split(',').map((one) => one.trim()).filter(Boolean);
