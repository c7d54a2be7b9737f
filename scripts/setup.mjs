// Makes a clone ready: the pinned pnpm, the dependencies, the build of all packages. Plain Node; a second later if nothing changed.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('..', import.meta.url));
export const cache = join(root, '.cache');
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const stamp = join(root, 'node_modules', '.setup');

export function setup() {
  const [major] = process.versions.node.split('.').map(Number);
  if (major < 20) throw new Error(`Tapline needs Node 20 or later; this is ${process.versions.node}.`);
  installDependencies();
  build();
}

function installDependencies() {
  const wanted = fingerprint();
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return;
  console.log('Installing the dependencies');
  const [command, ...args] = pnpm();
  run(command, [...args, 'install', '--frozen-lockfile', '--reporter=append-only', '--loglevel=warn'], { CI: 'true' });
  writeFileSync(stamp, wanted);
}

function build() {
  // tsc itself knows what is up to date.
  run(process.execPath, [join(root, 'node_modules', 'typescript', 'bin', 'tsc'), '-b'], {});
  run(process.execPath, [join(root, 'scripts', 'bundle.mjs')], {});
}

/** Whatever decides what `pnpm install` does. */
function fingerprint() {
  const hash = createHash('sha256').update(`${process.platform} ${process.arch} ${process.versions.modules}`);
  for (const file of ['pnpm-lock.yaml', 'pnpm-workspace.yaml', '.npmrc', ...manifests()]) hash.update(readFileSync(join(root, file)));
  return hash.digest('hex');
}

function manifests() {
  const folders = ['.', 'protocol', 'catalog', 'runner', 'test'];
  for (const parent of ['connectors', 'examples']) {
    for (const name of readdirSync(join(root, parent)).sort()) folders.push(join(parent, name));
  }
  return folders.map((folder) => join(folder, 'package.json')).filter((file) => existsSync(join(root, file)));
}

/** The command of the pnpm that package.json pins: the machine's if it is that version, else one of our own. */
export function pnpm() {
  const version = manifest.packageManager.replace('pnpm@', '');
  if (output('pnpm', ['--version']) === version) return ['pnpm'];
  const folder = join(cache, `pnpm-${version}`);
  const program = join(folder, 'node_modules', 'pnpm', 'bin', 'pnpm.cjs');
  if (!existsSync(program)) {
    console.log(`Fetching pnpm ${version}`);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'package.json'), '{ "private": true }\n');
    const args = ['install', '--prefix', folder, '--no-audit', '--no-fund', '--no-save', '--loglevel=error', `pnpm@${version}`];
    run(process.platform === 'win32' ? 'npm.cmd' : 'npm', args, {});
  }
  return [process.execPath, program];
}

/** What a command prints, or undefined if there is no such command. Asked outside the clone: there, pnpm would fetch the pinned version. */
function output(command, args) {
  try {
    return execFileSync(command, args, { cwd: process.platform === 'win32' ? undefined : '/', encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    return undefined;
  }
}

export function run(command, args, env) {
  try {
    execFileSync(command, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'], env: { ...childEnv(), ...env } });
  } catch (error) {
    throw new Error(`${[command, ...args].join(' ')} failed${error.status === null ? '' : ` with ${error.status}`}`, { cause: error });
  }
}

/** npm tells what it runs where it is itself installing: a second npm or pnpm would take that for its own. Registries and proxies stay. */
export function childEnv() {
  const ours = /^npm_(package|lifecycle|command|execpath|config_(local_|global_)?prefix)/i;
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !ours.test(name)));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    setup();
    console.log('Ready: npx --no-install runner --help');
  } catch (error) {
    console.error(error.message);
    process.exit(1);
  }
}
