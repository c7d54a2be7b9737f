/** The folder of a run's batches: private, empty for each attempt, gone at the end. */
import { configError, type BatchFormat, type Session } from '@tapline/protocol';
import { mkdir, rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import type { PrivateFiles } from './private-files.js';
import { mostBytes, placeOnRamDisk } from './ram-disk.js';

/** On a disk, however little room there is: a file alone may always go. */
const leastBytes = 8 * 2 ** 20;

export class BatchFolder {
  readonly format: BatchFormat;
  readonly maxBytes: number;
  readonly #folder: string;
  #attempts = 0;
  #last: string | undefined;

  private constructor(folder: string, maxBytes: number, format: BatchFormat) {
    this.#folder = folder;
    this.maxBytes = maxBytes;
    this.format = format;
  }

  /**
   * On a RAM disk where there is one with room; else among the run's private files, which the sync's next run sweeps whatever happens to
   * this one. `id` is the run's. Rejects with a `config_error` that names the folder.
   */
  static async create(format: BatchFormat, { files, id, disk }: { readonly files: PrivateFiles; readonly id: string; readonly disk?: string }): Promise<BatchFolder> {
    const place = await placeOnRamDisk(id, disk);
    if (place) {
      try {
        await mkdir(place.folder, { mode: 0o700 });
        return new BatchFolder(place.folder, place.maxBytes, format);
      } catch {
        // It may not be ours to write to: then a disk does.
      }
    }
    const folder = await files.scratch('batches').catch((cause: unknown) => {
      throw configError(`the folder for batches ${join(files.folder, 'batches')} cannot be made (${(cause as NodeJS.ErrnoException).code ?? 'unknown'}): make room, or run with --transport json`, { code: 'batch_folder', cause });
    });
    return new BatchFolder(folder, await roomOnDisk(folder), format);
  }

  /**
   * For the next attempt: what the one before it left is gone, and the folder is another, so that whoever of it still writes, writes
   * into nothing.
   */
  async fresh(): Promise<NonNullable<Session['batch']>> {
    if (this.#last !== undefined) await remove(this.#last);
    const dir = (this.#last = join(this.#folder, String(++this.#attempts)));
    await mkdir(dir, { mode: 0o700 });
    return { dir, format: this.format, max_bytes: this.maxBytes };
  }

  async remove(): Promise<void> {
    await remove(this.#folder);
  }
}

const remove = (path: string): Promise<void> => rm(path, { recursive: true, force: true, maxRetries: 3 });

async function roomOnDisk(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  return Math.floor(Math.max(leastBytes, Math.min(mostBytes, (bavail * bsize) / 4)));
}
