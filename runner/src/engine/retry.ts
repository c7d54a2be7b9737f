/** Retry or stop. Pure; the waits and counts are those of docs/cli.md. */
import type { ConnectorError } from '@tapline/protocol';
import type { Timing } from './timing.js';

export interface RetryState {
  /** Failures since the last saved state that was new. */
  readonly failures: number;
  /** Of these, deaths without a word and broken protocols. */
  readonly crashes: number;
}

export const noFailures: RetryState = { failures: 0, crashes: 0 };

/** Undefined = stop. */
export interface Retry {
  readonly waitMs: number;
  readonly next: RetryState;
}

/** `random` in [0, 1): the jitter. */
export function retryAfter(error: ConnectorError, before: RetryState, limits: { readonly retries: number; readonly timing: Timing; readonly random: number }): Retry | undefined {
  const crash = isCrash(error);
  if (!crash && !mayPass(error)) return undefined;
  if (before.failures >= limits.retries || (crash && before.crashes >= 1)) return undefined;
  const { retryBaseMs, retryCapMs } = limits.timing;
  const wait = Math.min(retryBaseMs * 2 ** before.failures, retryCapMs);
  return {
    waitMs: Math.round(wait * (0.8 + 0.4 * limits.random)),
    next: { failures: before.failures + 1, crashes: before.crashes + (crash ? 1 : 0) },
  };
}

/** A process that said nothing when it died, or did not keep to the protocol: once more, in case it was an accident. */
const isCrash = ({ code, kind }: ConnectorError): boolean => kind === 'system_error' && (code === 'died' || code === 'protocol');

/** Fenced: another run took over, and trying again would take it back, and so on for ever. Locked: it is still running. */
const mayPass = ({ code, kind }: ConnectorError): boolean => kind === 'transient_error' && code !== 'fenced' && code !== 'locked';

const severity = { transient: 0, system: 1, protocol: 2, config: 3 } as const;

/** The one that decides on exit code and retry, of several. */
export function worst(errors: readonly ConnectorError[]): ConnectorError | undefined {
  const rank = ({ kind, code }: ConnectorError): number => {
    if (kind === 'config_error') return severity.config;
    if (kind === 'transient_error') return severity.transient;
    return code === 'protocol' ? severity.protocol : severity.system;
  };
  return errors.reduce<ConnectorError | undefined>((found, error) => (!found || rank(error) > rank(found) ? error : found), undefined);
}
