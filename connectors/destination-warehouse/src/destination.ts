import { loadDriver } from '@tapline/postgres-client';
import { defineDestination } from '@tapline/sdk';
import { config, type Config } from './config.js';

export const destination = defineDestination<Config>({
  name: 'destination-warehouse',
  version: '0.1.0',
  documentationUrl: 'https://github.com/tapline/tapline/blob/main/connectors/destination-warehouse/README.md',
  config,
  syncModes: ['append', 'overwrite', 'append_dedup'],
  extensions: ['start', 'checkpoint', 'schema', 'generation', 'partial', 'batch'],
  batchFormats: ['parquet'],
  // Loaded when needed: the engine takes longer to load than `spec` takes to run.
  prepare: ({ config: { engine } }) => Promise.all([
    import('./write.js'),
    ...(engine === 'duckdb' ? [import('./engines/duckdb.js'), import('@duckdb/node-api')] : [import('./engines/postgres.js'), loadDriver()]),
  ]),
  check: async (context) => (await import('./check.js')).check(context),
  consume: async (context) => (await import('./write.js')).write(context),
  tools: {
    async *digest(context) {
      yield* (await import('./tools/digest.js')).digest(context);
    },
  },
});
