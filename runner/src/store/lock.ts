/**
 * One run of a sync at a time. A convenience: what keeps data safe is the destination's epoch. Taken over when its owner
 * is dead; made by link(2), so that nobody ever reads half of it.
 */
import { transientError } from '@tapline/protocol';
import { randomBytes } from 'node:crypto';
import { link, mkdir, readFile, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { identify, isAlive, type ProcessIdentity } from './process-identity.js';

export interface Lock {
  release(): Promise<void>;
}

/** Rejects with a `transient_error` of code `locked` while another run of the sync is alive. */
export async function acquireLock(directory: string, sync: string): Promise<Lock> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const path = join(directory, 'lock');
  if (await tryLink(path)) return held(path);
  const owner = await ownerOf(path);
  if (owner && isAlive(owner)) throw locked(sync, owner);
  // Two runs may both see a dead owner: only the one that holds the door removes the old lock.
  const door = `${path}.takeover`;
  if (!(await tryLink(door))) {
    const other = await ownerOf(door);
    if (other && isAlive(other)) throw locked(sync, other);
    await unlink(door).catch(() => undefined);
    if (!(await tryLink(door))) throw locked(sync, await ownerOf(door));
  }
  try {
    const current = await ownerOf(path);
    if (current && isAlive(current)) throw locked(sync, current);
    await unlink(path).catch(() => undefined);
    if (!(await tryLink(path))) throw locked(sync, await ownerOf(path));
  } finally {
    await unlink(door).catch(() => undefined);
  }
  return held(path);
}

const held = (path: string): Lock => ({ release: () => unlink(path).catch(() => undefined) });

const locked = (sync: string, owner: ProcessIdentity | undefined): Error =>
  transientError(
    `sync ${sync} is already running${owner ? `, as process ${owner.pid}` : ''}; wait for it to end, or stop it, then run again`,
    { code: 'locked' },
  );

async function tryLink(path: string): Promise<boolean> {
  const temporary = `${path}.${randomBytes(4).toString('hex')}.tmp`;
  await writeFile(temporary, `${JSON.stringify(identify(process.pid))}\n`, { mode: 0o600 });
  try {
    await link(temporary, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    await unlink(temporary).catch(() => undefined);
  }
}

async function ownerOf(path: string): Promise<ProcessIdentity | undefined> {
  try {
    const owner = JSON.parse(await readFile(path, 'utf8')) as ProcessIdentity;
    return typeof owner.pid === 'number' ? owner : undefined;
  } catch {
    return undefined;
  }
}
