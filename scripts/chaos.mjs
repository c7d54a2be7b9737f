// npm run chaos -- [--kills 100] [--seed N] [--random]: kill -9 at every named step in every place, then at random moments (see test/chaos).
// Prints a line a kill, a tally and the seed that repeats the choices; exits 1 if a row was lost, doubled or damaged. A dozen kills are in `npm test`.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { root } from './setup.mjs';

const { values } = parseArgs({ options: { kills: { type: 'string', default: '100' }, seed: { type: 'string' }, random: { type: 'boolean', default: false } } });
const kills = Number(values.kills);
const seed = Number(values.seed ?? Math.floor(Math.random() * 1_000_000));
if (!Number.isInteger(kills) || kills < 1 || !Number.isInteger(seed)) {
  console.error('Usage: npm run chaos -- [--kills N] [--seed N] [--random]   (--random: without the named steps)');
  process.exit(78);
}
console.log(`seed ${seed}: repeat with npm run chaos -- --kills ${kills} --seed ${seed}${values.random ? ' --random' : ''}`);
const args = [join(root, 'scripts', 'test.mjs'), values.random ? 'test/chaos/random' : 'test/chaos', '--disableConsoleIntercept=true'];
const env = { ...process.env, CHAOS: 'full', CHAOS_KILLS: String(kills), CHAOS_SEED: String(seed) };
const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit', env });
process.exit(status ?? 1);
