import { defineDestination } from '@tapline/sdk';
import { config, type Config } from './config.js';

export const destination = defineDestination<Config>({
  name: 'destination-s3',
  version: '0.1.0',
  documentationUrl: 'https://github.com/tapline/tapline/blob/main/connectors/destination-s3/README.md',
  config,
  syncModes: ['append', 'overwrite'],
  modeAdvice: {
    append_dedup: 'Parquet files cannot be changed in place: write with append, and read the latest row of each key through the view in the README of destination-s3, "The latest row of each key"',
  },
  extensions: ['start', 'checkpoint', 'schema', 'generation', 'batch'],
  batchFormats: ['parquet'],
  // Loaded when needed: the engine and the SDK of AWS take longer to load than `spec` takes to run.
  prepare: ({ config: { bucket } }) => Promise.all([import('./write.js'), ...(bucket === undefined ? [] : [import('@aws-sdk/client-s3')])]),
  check: async (context) => (await import('./check.js')).check(context),
  consume: async (context) => (await import('./write.js')).write(context),
  tools: {
    async *digest(context) {
      yield* (await import('./tools/digest.js')).digest(context);
    },
  },
});
