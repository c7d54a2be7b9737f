/** Files that survive a power cut: what was written, and that it is there. */
import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { copyFile, link, mkdir, open, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { codeOf } from './local-errors.js';

/** Makes a folder and those above it; each is recorded in its parent before this resolves. */
export async function makeFolder(path: string): Promise<void> {
  const first = await mkdir(path, { recursive: true });
  if (first === undefined) return;
  for (let folder = path; folder.length >= first.length; folder = dirname(folder)) await syncPath(dirname(folder));
}

/** fsync of a file or folder. */
export async function syncPath(path: string): Promise<void> {
  await using file = await open(path, 'r');
  await file.sync();
}

const running = new Map<string, Promise<void>>();
const waiting = new Map<string, Promise<void>>();

/**
 * fsync of a folder that many files are put into at a time: those who ask while one is under way share the next one, which begins
 * after their change, and so holds it.
 */
export function syncFolder(path: string): Promise<void> {
  const joined = waiting.get(path);
  if (joined) return joined;
  const next = (async () => {
    await (running.get(path) ?? Promise.resolve()).catch(() => {});
    waiting.delete(path);
    const sync = syncPath(path);
    running.set(path, sync);
    try {
      await sync;
    } finally {
      if (running.get(path) === sync) running.delete(path);
    }
  })();
  waiting.set(path, next);
  return next;
}

/** A whole, synced file under a temporary name in `folder`, never one that a reader would take. Its folder must exist. */
export async function writeTemporary(folder: string, text: string): Promise<string> {
  const path = join(folder, `${randomUUID()}.tmp`);
  try {
    await using file = await open(path, 'wx');
    await file.writeFile(text);
    await file.sync();
  } catch (error) {
    await unlink(path).catch(() => {});
    throw error;
  }
  return path;
}

/** Gives the content of a finished file a second name; copies it where the disk (or two disks) cannot link. Synced. */
export async function linkOrCopy(from: string, to: string): Promise<void> {
  try {
    await link(from, to);
  } catch (error) {
    if (!['EXDEV', 'EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'].includes(codeOf(error) ?? '')) throw error;
    try {
      await copyFile(from, to, constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL);
    } catch (failure) {
      if (codeOf(failure) !== 'EEXIST') await unlink(to).catch(() => {});
      throw failure;
    }
  }
  await syncPath(to);
}
