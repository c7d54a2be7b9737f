import { patiently } from '@tapline/postgres-client';
import type { VerbContext } from '@tapline/sdk';
import type { Config } from './config.js';
import { Connection } from './connection.js';

/** {@link Connection.open} of a server that may just be starting. */
export const openPatiently = ({ config, signal, log }: Pick<VerbContext<Config>, 'config' | 'signal' | 'log'>): Promise<Connection> =>
  patiently(() => Connection.open(config), { start_timeout: config.start_timeout, signal, log });
