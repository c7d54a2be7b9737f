// npm run bench [-- SCENARIO…]: see test/bench/main.ts.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { root, setup } from './setup.mjs';

try {
  setup();
} catch (error) {
  console.error(error.message);
  process.exit(1);
}
const { status } = spawnSync(process.execPath, [join(root, 'test', 'dist', 'bench', 'main.js'), ...process.argv.slice(2)], { cwd: process.cwd(), stdio: 'inherit' });
process.exit(status ?? 1);
