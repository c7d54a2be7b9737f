import { run } from '@tapline/sdk';
import { source } from './source.js';

await run(source);
