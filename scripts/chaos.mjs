// npm run chaos -- [--kills 100] [--seed N] [--random]: kill -9 at every named step in every place, then at random moments (see test/chaos).
// npm run chaos -- --cdc [--kills 200] [--seed N] [--random]: the same of change data capture, with faults of the network and of the destination among it.
// npm run chaos -- --warehouse [--kills 100] [--seed N] [--random]: the same into warehouses: DuckDB, PostgreSQL 18 and 14; refreshed, merged, soft deletions, histories.
// Prints a line a kill, a tally and the seed that repeats the choices; exits 1 if a row was lost, doubled or damaged. A dozen kills are in `npm test`.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { root } from './setup.mjs';

const { values } = parseArgs({ options: { kills: { type: 'string' }, seed: { type: 'string' }, random: { type: 'boolean', default: false }, cdc: { type: 'boolean', default: false }, warehouse: { type: 'boolean', default: false } } });
const only = values.cdc ? 'cdc' : values.warehouse ? 'warehouse' : undefined;
const kills = Number(values.kills ?? (values.cdc ? 200 : 100));
const seed = Number(values.seed ?? Math.floor(Math.random() * 1_000_000));
if ((values.cdc && values.warehouse) || !Number.isInteger(kills) || kills < 1 || !Number.isInteger(seed)) {
  console.error('Usage: npm run chaos -- [--cdc | --warehouse] [--kills N] [--seed N] [--random]   (--cdc: change data capture into a lake only; --warehouse: into warehouses only; --random: without the named steps)');
  process.exit(78);
}
console.log(`seed ${seed}: repeat with npm run chaos --${only ? ` --${only}` : ''} --kills ${kills} --seed ${seed}${values.random ? ' --random' : ''}`);
const tests = `test/chaos/${[only, values.random ? 'random' : undefined].filter(Boolean).join('-')}`;
const args = [join(root, 'scripts', 'test.mjs'), tests, '--disableConsoleIntercept=true'];
const env = { ...process.env, CHAOS: 'full', CHAOS_SEED: String(seed), [{ cdc: 'CHAOS_CDC_FAULTS', warehouse: 'CHAOS_WAREHOUSE_FAULTS' }[only] ?? 'CHAOS_KILLS']: String(kills) };
const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit', env });
process.exit(status ?? 1);
