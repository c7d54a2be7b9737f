// npm test: everything from a fresh clone. Sets up, lints, checks the types of the tests, runs them on real servers, and closes with
// `N passed, N failed`. Lint, types and documented options count as one check each.
//
//   npm test                             the everyday suite
//   npm test -- connectors/sdk -t state  the same set-up, then vitest with these arguments only
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { cache, childEnv, root, setup } from './setup.mjs';

const bin = (name) => join(root, 'node_modules', '.bin', name);
const countFile = join(cache, `test-count-${process.pid}.json`);
const chosen = process.argv.slice(2);
if (!process.stdout.isTTY) process.env.NO_COLOR ??= '1';
const total = { passed: 0, failed: 0, skipped: 0 };

mkdirSync(cache, { recursive: true });
// Building a server may take minutes: it goes on beside the installation and the build.
const servers = start(process.execPath, [join(root, 'scripts', 'servers.mjs')]);
try {
  setup();
} catch (error) {
  console.error(error.message);
  await ended(servers);
  close({ passed: 0, failed: 1, skipped: 0 });
}
if (chosen.length === 0) {
  check('lint', bin('oxlint'), []);
  check('types of the tests', bin('tsc'), ['-p', 'tsconfig.test.json']);
  check('documented options', process.execPath, ['scripts/generate-docs.mjs', '--check']);
}
if ((await ended(servers)) === 0) {
  runTests(chosen);
} else {
  console.error('The servers that the tests need could not be installed: no test ran.');
  total.failed++;
}
close(total);

function check(name, command, args) {
  const { status } = spawnSync(command, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'], env: childEnv() });
  total[status === 0 ? 'passed' : 'failed']++;
  console.log(`${status === 0 ? 'ok' : 'FAILED'}: ${name}`);
}

function runTests(args) {
  const reporters = ['--reporter=default', '--reporter=./scripts/count-reporter.mjs'];
  // All of it: files that are alike take turns (vitest.config.ts).
  const env = { ...childEnv(), TAPLINE_COUNT_FILE: countFile, ...(args.length === 0 ? { TAPLINE_TURNS: '1' } : {}) };
  const { status } = spawnSync(bin('vitest'), ['run', ...reporters, ...args], { cwd: root, stdio: ['ignore', 'inherit', 'inherit'], env });
  const count = readCount();
  for (const [name, number] of Object.entries(count)) total[name] += number;
  // Vitest saw something that is no test: a global set-up that failed, no test file at all.
  if (status !== 0 && count.failed === 0) total.failed++;
}

function readCount() {
  try {
    return JSON.parse(readFileSync(countFile, 'utf8'));
  } catch {
    return { passed: 0, failed: 1, skipped: 0 };
  } finally {
    rmSync(countFile, { force: true });
  }
}

function start(command, args) {
  return spawn(command, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'], env: childEnv() });
}

function ended(child) {
  if (child.exitCode !== null) return child.exitCode;
  return new Promise((resolve) => child.once('exit', (code) => resolve(code ?? 1)));
}

function close({ passed, failed, skipped }) {
  console.log(`\n${passed} passed, ${failed} failed${skipped ? `, ${skipped} skipped` : ''}`);
  process.exit(failed === 0 && passed > 0 ? 0 : 1);
}
