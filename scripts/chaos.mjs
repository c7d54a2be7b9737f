// npm run chaos -- [--kills 100] [--seed N]: kill -9 at every named step in every place, then at random moments; see test/chaos.
// Prints a line a kill and a tally, and exits 1 if a row was lost, doubled or damaged.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { childEnv, root, setup } from './setup.mjs';
import { installServers } from './servers.mjs';

const { values } = parseArgs({ options: { kills: { type: 'string', default: '100' }, seed: { type: 'string' }, random: { type: 'boolean', default: false } } });
const kills = Number(values.kills);
const seed = Number(values.seed ?? Math.floor(Math.random() * 1_000_000));
if (!Number.isInteger(kills) || kills < 1 || !Number.isInteger(seed)) {
  console.error('Usage: npm run chaos -- [--kills N] [--seed N] [--random]   (--random: without the named steps)');
  process.exit(78);
}
try {
  setup();
  installServers();
} catch (error) {
  console.error(error.message);
  process.exit(1);
}
console.log(`seed ${seed}: repeat with npm run chaos -- --kills ${kills} --seed ${seed}`);
const env = { ...childEnv(), CHAOS: 'full', CHAOS_KILLS: String(kills), CHAOS_SEED: String(seed) };
const args = ['run', '--project', 'whole', '--disable-console-intercept', '--reporter=verbose', values.random ? 'test/chaos/random' : 'test/chaos'];
const { status } = spawnSync(join(root, 'node_modules', '.bin', 'vitest'), args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'], env });
process.exit(status ?? 1);
