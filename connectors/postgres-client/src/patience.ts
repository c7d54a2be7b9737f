/** A server that restarts refuses connections for some seconds: that alone is no reason to end a sync. */
import { setTimeout as sleep } from 'node:timers/promises';
import { toConnectorError, type ConnectorError, type LogLevel } from '@tapline/protocol';

const notUp = new Set(['pg_refused', 'pg_starting']);
const pauseMs = 500;

export interface Patience {
  /** Seconds. */
  readonly start_timeout: number;
  readonly signal: AbortSignal;
  readonly log: (level: LogLevel, message: string) => void;
}

/** To somebody who begins a run a server that is not up is a wrong port; in the middle of one it is a server that restarts. */
export const mayComeBack = ({ kind, code }: ConnectorError): boolean => kind === 'transient_error' || notUp.has(code);

/** `open`, again and again until `start_timeout` has passed. A wrong port costs that long, too, but says so at once. */
export async function patiently<Opened>(open: () => Promise<Opened>, { start_timeout, signal, log }: Patience): Promise<Opened> {
  const deadline = performance.now() + start_timeout * 1000;
  for (let attempt = 1; ; attempt++) {
    try {
      return await open();
    } catch (thrown) {
      const error = toConnectorError(thrown);
      if (!notUp.has(error.code) || performance.now() + pauseMs > deadline || signal.aborted) throw error;
      if (attempt === 1) log('WARN', `${error.message}; waiting up to ${start_timeout} s for it`);
      await sleep(pauseMs, undefined, { signal });
    }
  }
}
