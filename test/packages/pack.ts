import { mkdir, readFile, readdir } from 'node:fs/promises';
import { isBuiltin } from 'node:module';
import { join } from 'node:path';
import { runCommand } from '../services/run-command.js';
import { workspaceRoot } from '../services/workspace.js';

/** What npm reads of a package, as far as these tests do. */
export interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly license?: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly bin?: Readonly<Record<string, string>>;
  readonly engines?: Readonly<Record<string, string>>;
}

export interface Packed {
  readonly name: string;
  readonly tarball: string;
  readonly unpacked: string;
  readonly manifest: Manifest;
  /** Relative to the package, sorted. */
  readonly files: readonly string[];
}

/** Everything that is published, in the order of its dependencies. */
export async function publishedFolders(): Promise<string[]> {
  const connectors = (await readdir(join(workspaceRoot, 'connectors'))).map((name) => `connectors/${name}`);
  return ['protocol', 'catalog', ...connectors, 'runner'];
}

/** Packs a package as it would be published, and unpacks it to look at it. */
export async function pack(folder: string, to: string): Promise<Packed> {
  // The scripts' own pnpm: it replaces `workspace:*` by versions, which npm pack does not.
  const { pnpm, childEnv } = (await import(join(workspaceRoot, 'scripts', 'setup.mjs'))) as { pnpm(): string[]; childEnv(): Record<string, string> };
  const [command = 'pnpm', ...args] = pnpm();
  const printed = await runCommand(command, [...args, 'pack', '--json', '--pack-destination', to], { cwd: join(workspaceRoot, folder), env: childEnv() });
  const { name, filename } = JSON.parse(printed.slice(printed.indexOf('{'))) as { name: string; filename: string };
  const unpacked = join(to, 'unpacked', name.replace('/', '-'));
  await mkdir(unpacked, { recursive: true });
  await runCommand('tar', ['-xzf', filename, '-C', unpacked, '--strip-components=1']);
  const manifest = JSON.parse(await readFile(join(unpacked, 'package.json'), 'utf8')) as Manifest;
  const entries = await readdir(unpacked, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name).slice(unpacked.length + 1));
  return { name, tarball: filename, unpacked, manifest, files: files.sort() };
}

/** The packages that the code of a package imports, without Node's own, and without what pg can do without. */
export async function importedPackages({ unpacked, files }: Packed): Promise<Set<string>> {
  const found = new Set<string>();
  for (const file of files.filter((name) => /\.(js|d\.ts)$/.test(name))) {
    const text = await readFile(join(unpacked, file), 'utf8');
    for (const [, ...ways] of text.matchAll(/^(?:import|export)\b[^'"`;]*?from\s*["']([^"'.][^"']*)["']|^import\s*["']([^"'.][^"']*)["']|\b(?:import|__require)\(\s*["']([^"'.][^"']*)["']\s*\)/gm)) {
      const specifier = ways.find(Boolean);
      if (specifier && !isBuiltin(specifier) && specifier !== 'pg-native') found.add(specifier.split('/').slice(0, specifier.startsWith('@') ? 2 : 1).join('/'));
    }
  }
  return found;
}
