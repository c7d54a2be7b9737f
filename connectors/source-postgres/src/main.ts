import { run } from '@tapline/sdk';
import definition from './index.js';

await run(definition);
