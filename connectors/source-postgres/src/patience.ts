/** A server that restarts refuses connections for some seconds: that alone is no reason to end a sync. */
import { setTimeout as sleep } from 'node:timers/promises';
import { toConnectorError, type ConnectorError } from '@tapline/protocol';
import type { VerbContext } from '@tapline/sdk';
import type { Config } from './config.js';
import { Connection } from './connection.js';

const notUp = new Set(['pg_refused', 'pg_starting']);
const pauseMs = 500;

/** To somebody who begins a run a server that is not up is a wrong port; in the middle of one it is a server that restarts. */
export const mayComeBack = ({ kind, code }: ConnectorError): boolean => kind === 'transient_error' || notUp.has(code);

/** {@link Connection.open}, again and again until `start_timeout` has passed. A wrong port costs that long, too, but says so at once. */
export async function openPatiently({ config, signal, log }: Pick<VerbContext<Config>, 'config' | 'signal' | 'log'>): Promise<Connection> {
  const deadline = performance.now() + config.start_timeout * 1000;
  for (let attempt = 1; ; attempt++) {
    try {
      return await Connection.open(config);
    } catch (thrown) {
      const error = toConnectorError(thrown);
      if (!notUp.has(error.code) || performance.now() + pauseMs > deadline || signal.aborted) throw error;
      if (attempt === 1) log('WARN', `${error.message}; waiting up to ${config.start_timeout} s for it`);
      await sleep(pauseMs, undefined, { signal });
    }
  }
}
