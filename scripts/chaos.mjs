// npm run chaos [-- --kills 120 --seed 7]: kill -9 at every named step and at random moments, many times; a dozen of them are in `npm test`.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { root } from './setup.mjs';

const { values } = parseArgs({ options: { kills: { type: 'string', default: '120' }, seed: { type: 'string' } } });
const env = { ...process.env, CHAOS: 'full', CHAOS_KILLS: values.kills, ...(values.seed ? { CHAOS_SEED: values.seed } : {}) };
const { status } = spawnSync(process.execPath, [join(root, 'scripts', 'test.mjs'), 'test/chaos'], { cwd: root, stdio: 'inherit', env });
process.exit(status ?? 1);
