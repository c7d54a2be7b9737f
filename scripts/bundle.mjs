// Bundles each executable, from what tsc built: a process then loads a few files instead of hundreds, and starts in half the time.
// The libraries stay as they are. A bundle that is current is left alone; an executable takes its own only if it is (protocol/src/executable.ts).
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, relative, sep } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
// Binaries.
const external = [/^@duckdb\/node-bindings/, /^@toondepauw\/node-zstd/, /^pg-native$/];
/** Whatever else decides what is in a bundle. */
const ingredients = [join(root, 'pnpm-lock.yaml'), fileURLToPath(import.meta.url)];

const { isCurrent } = await import(pathToFileURL(join(root, 'protocol', 'dist', 'executable.js')).href);
const due = executables().filter((folder) => !isCurrent(pathToFileURL(join(folder, 'dist', 'bundle', 'main.js'))));
for (const folder of due) await bundleOf(folder);

/** Folders of the packages that are published with a program. */
function executables() {
  const connectors = readdirSync(join(root, 'connectors')).map((name) => join(root, 'connectors', name));
  return [join(root, 'runner'), ...connectors].filter((folder) => existsSync(join(folder, 'dist', 'main.js')));
}

async function bundleOf(folder) {
  const { rolldown } = await import('rolldown');
  const began = new Date();
  const made = await rolldown({ input: join(folder, 'dist', 'main.js'), platform: 'node', external });
  // What is imported lazily gets files of its own: a process reads no code that it does not run.
  const { output } = await made.generate({ format: 'esm', entryFileNames: 'main.js', chunkFileNames: '[name]-[hash].js' });
  await made.close();
  const packages = packagesOf(output.flatMap(({ moduleIds }) => moduleIds));
  const to = join(folder, 'dist', 'bundle');
  const builds = packages.filter(isOurs).map((one) => join(one, 'dist', '.tsbuildinfo'));
  const sources = [...builds, ...ingredients].map((file) => relative(to, file).split(sep).join('/'));
  mkdirSync(to, { recursive: true });
  for (const { fileName, code, isEntry } of output) if (!isEntry) replace(join(to, fileName), code);
  replace(join(to, 'third-party.txt'), licences(packages.filter((one) => !isOurs(one))));
  replace(join(to, 'made-of.json'), JSON.stringify(sources));
  // Last, and in one step: who starts now finds the old one or the new one, and takes no old one for current.
  replace(join(to, 'main.js'), output.find(({ isEntry }) => isEntry).code, began);
  removeLeftovers(to);
}

function replace(file, content, time) {
  const temporary = `${file}.${process.pid}.tmp`;
  writeFileSync(temporary, content);
  if (time) utimesSync(temporary, time, time);
  renameSync(temporary, file);
}

/** Of bundles before. What runs from one may still want some of its files, so they stay for an hour. */
function removeLeftovers(folder) {
  for (const name of readdirSync(folder)) {
    const file = join(folder, name);
    if (statSync(file, { throwIfNoEntry: false })?.mtimeMs < Date.now() - 3_600_000) rmSync(file, { force: true });
  }
}

/** The folders of the packages that the modules belong to. */
function packagesOf(modules) {
  const folders = modules.filter((id) => id.startsWith(root)).map((id) => {
    let folder = dirname(id);
    while (!hasName(folder)) folder = dirname(folder);
    return folder;
  });
  return [...new Set(folders)];
}

/** Some packages have a package.json in a folder of theirs, which only says what kind of modules lie there. */
function hasName(folder) {
  const file = join(folder, 'package.json');
  return existsSync(file) && JSON.parse(readFileSync(file, 'utf8')).version !== undefined;
}

function isOurs(folder) {
  return !folder.includes(`${sep}node_modules${sep}`);
}

/** What others ask of who passes their work on. */
function licences(folders) {
  return folders.map((folder) => {
    const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
    const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(basename(entry, '.md')));
    const text = file ? readFileSync(join(folder, file), 'utf8').trim() : `Licence: ${license}`;
    return `${name} ${version}\n\n${text}\n`;
  }).join(`\n${'-'.repeat(80)}\n\n`);
}
