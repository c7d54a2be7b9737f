/** A named pipe between the embedded engine, which writes files, and a reader here: nothing lies on disk, and who is faster waits. */
import { execFile } from 'node:child_process';
import { closeSync, constants, open, openSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

export class Pipe implements AsyncDisposable {
  readonly path: string;
  #reader: Socket | undefined;
  #opening: Promise<Socket> | undefined;

  private constructor(path: string) {
    this.path = path;
  }

  /** `path` is not there yet. Undefined where the system has no mkfifo. */
  static async make(path: string): Promise<Pipe | undefined> {
    const made = await new Promise<boolean>((resolve) => execFile('mkfifo', ['-m', '600', path], (error) => resolve(error === null)));
    return made ? new Pipe(path) : undefined;
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
    this.#reader?.destroy();
    await rm(this.path, { force: true });
  }

  async #open(): Promise<Socket> {
    // Waits, in a thread, until the writer has opened its end.
    const fd = await new Promise<number>((resolve, reject) => open(this.path, 'r', (error, opened) => (error ? reject(error) : resolve(opened))));
    this.#reader = new Socket({ fd, readable: true, writable: false });
    return this.#reader;
  }
}
