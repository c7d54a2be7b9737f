/** The folder through which a source hands its batches over: numbered files, and the credit to write them. */
import { configError, failpoint, systemError, type ConnectorError, type Session } from '@tapline/protocol';
import { open, readdir, rename, rm, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** While there is no credit the folder is looked at so often: at first soon, since a destination that keeps up frees a file in no time. */
const firstPollMs = 2;
const longestPollMs = 20;
/** Who is asked to stop may go on to its next state; but for that it waits no longer, as the reader may be gone. */
const stopMs = 1000;

/** Over all instances of the process: no two files of it share a name. */
let written = 0;

/**
 * The files that this process has written into the session's `batch.dir`. What the destination has deleted is credit again. At most
 * `max_bytes` lie there; but a file may always go while no more than half of that does: a destination never keeps more than this half to
 * itself, and who waited for more would wait for ever behind one large row.
 */
export class BatchFiles {
  readonly #dir: string;
  readonly #format: string;
  readonly #maxBytes: number;
  readonly #signal: AbortSignal;
  /** Bytes by name; some of them may be gone already. */
  readonly #files = new Map<string, number>();
  #bytes = 0;
  #stopBy: number | undefined;
  #last: Promise<unknown> = Promise.resolve();

  constructor({ dir, format, max_bytes: maxBytes }: NonNullable<Session['batch']>, signal: AbortSignal) {
    this.#dir = dir;
    this.#format = format;
    this.#maxBytes = maxBytes;
    this.#signal = signal;
  }

  /**
   * Writes a file out of parts (byte order is that of the list; the buffers are free again once it has resolved) and resolves with what
   * the item `batch` needs. Yield that item without waiting for another `write` first: what nobody was told of is never deleted. Calls
   * take turns. Waits while there is no credit, for a second at most once the signal is aborted: then it rejects with the signal's reason.
   * Else it rejects with a ConnectorError that names the folder.
   */
  write(parts: readonly Uint8Array[]): Promise<{ readonly path: string; readonly bytes: number }> {
    const turn = this.#last.then(() => this.#write(parts));
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  async #write(parts: readonly Uint8Array[]): Promise<{ readonly path: string; readonly bytes: number }> {
    const bytes = parts.reduce((sum, part) => sum + part.length, 0);
    const name = `${String(++written).padStart(6, '0')}.${this.#format}`;
    const path = join(this.#dir, name);
    try {
      await this.#credit(bytes);
      await writeWhole(`${path}.tmp`, parts);
      // Only whole files have a name that is announced.
      await rename(`${path}.tmp`, path);
    } catch (error) {
      await rm(`${path}.tmp`, { force: true }).catch(() => undefined);
      if (error === this.#signal.reason) throw error;
      throw writeError(this.#dir, error as NodeJS.ErrnoException);
    }
    this.#files.set(name, bytes);
    this.#bytes += bytes;
    failpoint('source.after_batch');
    return { path: name, bytes };
  }

  async #credit(bytes: number): Promise<void> {
    for (let wait = firstPollMs; !this.#fits(bytes); wait = Math.min(wait * 1.5, longestPollMs)) {
      await this.#forgetDeleted();
      if (this.#fits(bytes)) return;
      if (this.#signal.aborted) this.#stopBy ??= performance.now() + stopMs;
      if (this.#stopBy !== undefined && performance.now() > this.#stopBy) throw this.#signal.reason;
      await sleep(wait);
    }
  }

  #fits(bytes: number): boolean {
    return this.#bytes + bytes <= this.#maxBytes || this.#bytes <= this.#maxBytes / 2;
  }

  /** One listing, not a look at each: a stream that is held back must not hide that files behind it are gone. */
  async #forgetDeleted(): Promise<void> {
    const there = new Set(await readdir(this.#dir));
    for (const [name, bytes] of this.#files) {
      if (there.has(name)) continue;
      this.#files.delete(name);
      this.#bytes -= bytes;
    }
  }
}

/** What the user is told of a file that could not be written. */
export function writeError(dir: string, error: NodeJS.ErrnoException): ConnectorError {
  if (error.code === 'ENOSPC' || error.code === 'EDQUOT') {
    return configError(`the folder for batches ${dir} has no room left: make room there, or run with --transport json`, { code: 'disk_full', cause: error });
  }
  return systemError(`a batch cannot be written into ${dir}: ${error.message}`, { code: 'batch_folder', cause: error });
}

async function writeWhole(path: string, parts: readonly Uint8Array[]): Promise<void> {
  const file = await open(path, 'wx', 0o600);
  try {
    await writeParts(file, parts);
  } finally {
    await file.close();
  }
}

/** Fills `bytes` from the beginning of the file. */
export async function readInto(file: FileHandle, bytes: Buffer): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    const { bytesRead } = await file.read(bytes, at, bytes.length - at, at);
    if (bytesRead === 0) throw new Error('a batch file became shorter while it was read');
    at += bytesRead;
  }
}

/** One after another, where the file stands. */
export async function writeParts(file: FileHandle, parts: readonly Uint8Array[]): Promise<void> {
  for (let i = 0; i < parts.length; i += mostParts) await writeAll(file, parts.slice(i, i + mostParts));
}

/** The system takes no more at once (IOV_MAX). */
const mostParts = 1024;

/** The system may take a part of it only: at most 2 GiB at once, or what a full disk still holds. */
async function writeAll(file: FileHandle, parts: readonly Uint8Array[]): Promise<void> {
  let left = parts.filter(({ length }) => length > 0);
  while (left.length > 0) {
    let { bytesWritten } = await file.writev(left);
    left = left.flatMap((part) => {
      const done = Math.min(bytesWritten, part.length);
      bytesWritten -= done;
      return done === part.length ? [] : [part.subarray(done)];
    });
  }
}
