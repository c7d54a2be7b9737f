import { loadDriver } from '@tapline/postgres-client';
import { defineSource } from '@tapline/sdk';
import { check } from './check.js';
import { config, type Config } from './config.js';
import { discover } from './discover.js';
import { read } from './read.js';

export { config, type Config };

/** The source itself: what `run` takes. */
export const source = defineSource<Config>({
  name: 'source-postgres',
  version: '0.1.0',
  documentationUrl: 'https://github.com/tapline/tapline/tree/main/connectors/source-postgres',
  config,
  extensions: ['start', 'ack', 'end', 'schema', 'generation', 'partial', 'lag', 'batch'],
  batchFormats: ['parquet'],
  check,
  discover,
  prepare: ({ config, session }) => Promise.all([
    loadDriver(),
    ...(config.replication === 'cdc' ? [import('./cdc/read-cdc.js')] : []),
    ...(session.batch ? [import('./batch/batches.js')] : []),
  ]),
  read,
  // Without cdc no state has a position, and there is nothing to confirm.
  confirm: async (state, context) => (await import('./cdc/confirmations.js')).Confirmations.of(context).confirm(state),
  close: async (context) => (await import('./cdc/confirmations.js')).Confirmations.of(context).stop(),
  tools: {
    async *slots(context) {
      yield* (await import('./tools/slots.js')).slots(context);
    },
    async *drop_slot(context, args) {
      yield* (await import('./tools/slots.js')).dropSlot(context, args);
    },
    async *lag(context, args) {
      yield* (await import('./tools/slots.js')).lag(context, args);
    },
    async *digest(context) {
      yield* (await import('./tools/digest.js')).digest(context);
    },
  },
});
