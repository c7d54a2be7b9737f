/** Finds the program of a connector. Ours are found by name among the dependencies of this package: nothing is imported. */
import { configError, type SpecBody } from '@tapline/protocol';
import { nearest } from '@tapline/catalog';
import { accessSync, constants, readFileSync, statSync, type Stats } from 'node:fs';
import { createRequire } from 'node:module';
import { delimiter, dirname, join } from 'node:path';

export type Role = 'source' | 'destination';

export interface Executable {
  readonly command: string;
  readonly args: readonly string[];
  /** The name of one of ours (`source-postgres`), or undefined. */
  readonly ours: string | undefined;
  readonly shippedSpec: SpecBody | undefined;
  /** The file that is run. */
  readonly path: string;
}

const require = createRequire(import.meta.url);

/** The connectors that came with this package: `postgres`, `s3`. */
export function shippedNames(role: Role): string[] {
  const { dependencies } = require('tapline/package.json') as { dependencies: Readonly<Record<string, string>> };
  const prefix = `@tapline/${role}-`;
  return Object.keys(dependencies).filter((name) => name.startsWith(prefix)).map((name) => name.slice(prefix.length)).sort();
}

interface Alias {
  readonly name: string;
  /** What the alias says of the configuration. */
  readonly config?: Readonly<Record<string, string>>;
}

/** Names under which people know one of ours, too. */
const aliases: Readonly<Record<Role, Readonly<Record<string, Alias>>>> = {
  source: { pg: { name: 'postgres' }, postgresql: { name: 'postgres' } },
  destination: {
    duckdb: { name: 'warehouse', config: { engine: 'duckdb' } },
    postgres: { name: 'warehouse', config: { engine: 'postgres' } },
    postgresql: { name: 'warehouse', config: { engine: 'postgres' } },
    pg: { name: 'warehouse', config: { engine: 'postgres' } },
  },
};
export const aliasOf = (role: Role, name: string): Alias => (Object.hasOwn(aliases[role], name) ? aliases[role][name]! : { name });

/** The names to choose from, for messages. */
export const namesToTake = (role: Role): string[] => (role === 'source' ? shippedNames(role) : [...new Set(['duckdb', 'postgres', ...shippedNames(role)])].sort());

/** By name: ours first, else `source-<name>` on PATH. Throws a `config_error` that lists what there is. */
export function findByName(role: Role, wanted: string, environment: NodeJS.ProcessEnv, otherNames: readonly string[] = []): Executable {
  const { name } = aliasOf(role, wanted);
  if (shippedNames(role).includes(name)) return shipped(`${role}-${name}`);
  const path = /^[A-Za-z0-9_-]+$/.test(name) ? onPath(`${role}-${name}`, environment) : undefined;
  if (path) return { command: path, args: [], ours: undefined, shippedSpec: undefined, path };
  const known = [...otherNames, ...namesToTake(role)];
  const near = nearest(wanted, known, 1)[0];
  const folder = role === 'destination' ? ` For a folder, write ./${wanted}.` : '';
  throw configError(
    `there is no ${role} '${wanted}'.${near ? ` Did you mean '${near}'?` : ''} There ${known.length === 1 ? 'is' : 'are'} ${known.join(', ')}; ` +
      `an executable is given by its path (./my-${role}) or found as ${role}-${wanted} on PATH.${folder}`,
    { code: 'unknown_connector' },
  );
}

function shipped(executable: string): Executable {
  const manifestPath = require.resolve(`@tapline/${executable}/package.json`);
  const manifest = JSON.parse(readFileSync(manifestPath, 'utf8')) as { bin: Readonly<Record<string, string>> };
  const path = join(dirname(manifestPath), manifest.bin[executable]!);
  // Through this very Node: a shebang would need PATH, and might find another version.
  return { command: process.execPath, args: [path], ours: executable, shippedSpec: readSpec(join(dirname(manifestPath), 'spec.json')), path };
}

/** By path: a regular file that may be run. Throws a `config_error`. */
export function executableAt(role: Role, path: string): Executable {
  const stats = statOf(path);
  if (!stats) throw configError(`the ${role} ${path} does not exist`, { code: 'no_such_connector' });
  if (!stats.isFile()) throw configError(`the ${role} ${path} is no file, but a connector is a program`, { code: 'not_executable' });
  if (!isRunnable(path, stats)) throw configError(`the ${role} ${path} may not be executed. If it is a program: chmod +x ${path}${role === 'destination' && /\.(db|ddb|duckdb)$/i.test(path) ? `; if it is a DuckDB file: --dest duckdb:${path}` : ''}`, { code: 'not_executable' });
  return { command: path, args: [], ours: undefined, shippedSpec: undefined, path };
}

/** Undefined = there is nothing. A file in the place of a folder on the way there is a `config_error`. */
export function statOf(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'ENOTDIR') throw configError(`${path} cannot be: a part of that path is a file, not a folder`, { code: 'bad_path', cause });
    throw configError(`${path} cannot be looked at (${code ?? 'unknown'}): check the path and its rights`, { code: 'bad_path', cause });
  }
}

/** The first of that name on PATH. */
export function onPath(name: string, environment: NodeJS.ProcessEnv): string | undefined {
  for (const folder of (environment['PATH'] ?? '').split(delimiter)) {
    const path = join(folder, name);
    const stats = folder === '' ? undefined : statOf(path);
    if (stats?.isFile() && isRunnable(path, stats)) return path;
  }
  return undefined;
}

function isRunnable(path: string, { mode }: Stats): boolean {
  // For root access() would do with any run bit of anybody.
  if ((mode & 0o111) === 0) return false;
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function readSpec(path: string): SpecBody | undefined {
  try {
    const content = JSON.parse(readFileSync(path, 'utf8')) as { spec?: SpecBody } & SpecBody;
    return content.spec ?? content;
  } catch {
    // Not built yet, or a fork without it: it is asked.
    return undefined;
  }
}
