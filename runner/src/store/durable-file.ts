/** Files that are whole at any instant: a temporary name that does not end in `.json`, fsync, rename, fsync of the folder. */
import { randomBytes } from 'node:crypto';
import { type FileHandle, open, rename, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';

/** After it resolved, the file survives a power cut; before, the old one stands. Mode 0600: it may hold secrets. */
export async function writeDurably(path: string, text: string): Promise<void> {
  await writeWhole(path, text, async (file) => file.sync());
  await syncFolder(dirname(path));
}

/** Whole, but not forced to disk: for files that only this run reads. */
export const writePrivately = (path: string, text: string): Promise<void> => writeWhole(path, text, async () => undefined);

async function writeWhole(path: string, text: string, settle: (file: FileHandle) => Promise<void>): Promise<void> {
  const temporary = `${path}.${randomBytes(4).toString('hex')}.tmp`;
  try {
    const file = await open(temporary, 'wx', 0o600);
    try {
      await file.writeFile(text);
      await settle(file);
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await unlink(temporary).catch(() => undefined);
    throw error;
  }
}

export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
