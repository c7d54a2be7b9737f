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
  extensions: ['end'],
  check,
  discover,
  read,
});
