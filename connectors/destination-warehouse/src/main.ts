import { run } from '@tapline/sdk';
import { destination } from './destination.js';

await run(destination);
