import { run } from '@tapline/sdk';
import { source } from './index.js';

await run(source);
