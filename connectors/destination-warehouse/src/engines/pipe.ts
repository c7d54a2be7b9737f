/** A named pipe between the embedded engine, which writes files, and a reader here: nothing lies on disk, and who is faster waits. */
import { execFile } from 'node:child_process';
import { closeSync, constants, open, openSync, unlinkSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

export class Pipe implements AsyncDisposable {
  readonly path: string;
  #fd: number | undefined;
  #reader: Socket | undefined;
  #opening: Promise<Socket> | undefined;

  private constructor(path: string) {
    this.path = path;
  }

  /** `path` is not there yet. Undefined where the system has no mkfifo. */
  static async make(path: string): Promise<Pipe | undefined> {
    const made = await new Promise<boolean>((resolve) => execFile('mkfifo', ['-m', '600', path], (error) => resolve(error === null)));
    if (!made) return undefined;
    const pipe = new Pipe(path);
    process.once('exit', pipe.#letGo);
    return pipe;
  }

  /** Once: what the writer writes, until it closes its end. */
  async *read(): AsyncGenerator<Buffer, void, undefined> {
    this.#opening = this.#open();
    yield* (await this.#opening) as AsyncIterable<Buffer>;
  }

  /** The writer will not come, or not again: whoever waits for it sees an end. */
  async release(): Promise<void> {
    if (!this.#opening) return;
    // A pipe opens when both ends are there; not waiting for the reader fails until it waits for us.
    while (!this.#reader) {
      try {
        closeSync(openSync(this.path, constants.O_WRONLY | constants.O_NONBLOCK));
      } catch {
        await sleep(1);
      }
      if (!this.#reader) await sleep(1);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    process.off('exit', this.#letGo);
    this.#reader?.destroy();
    await rm(this.path, { force: true });
  }

  /** An exiting process waits for its threads: one that waits for the other end of a pipe would never end. */
  readonly #letGo = (): void => {
    try {
      const bothEnds = openSync(this.path, constants.O_RDWR | constants.O_NONBLOCK);
      unlinkSync(this.path);
      closeSync(bothEnds);
      if (this.#fd !== undefined) closeSync(this.#fd);
    } catch {
      // It is gone already.
    }
  };

  async #open(): Promise<Socket> {
    // Waits, in a thread, until the writer has opened its end.
    const fd = await new Promise<number>((resolve, reject) => open(this.path, 'r', (error, opened) => (error ? reject(error) : resolve(opened))));
    this.#fd = fd;
    this.#reader = new Socket({ fd, readable: true, writable: false });
    return this.#reader;
  }
}
