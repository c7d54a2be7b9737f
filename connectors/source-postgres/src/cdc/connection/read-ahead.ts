/** What has come and was not read: bounded in bytes, by holding the socket back. */
import type { Socket } from 'node:net';

/** Bytes read ahead of the consumer; one message may be larger. */
const limit = 262_144;

export class ReadAhead {
  readonly #socket: Socket;
  #queue: Buffer[] = [];
  #bytes = 0;
  #dropping = false;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  get empty(): boolean {
    return this.#queue.length === 0;
  }

  get dropping(): boolean {
    return this.#dropping;
  }

  push(frames: Buffer): void {
    if (this.#dropping) return;
    this.#queue.push(frames);
    this.#bytes += frames.length;
    if (this.#bytes >= limit) this.#socket.pause();
  }

  shift(): Buffer | undefined {
    const frames = this.#queue.shift();
    if (frames) {
      this.#bytes -= frames.length;
      if (this.#bytes < limit && this.#socket.isPaused()) this.#socket.resume();
    }
    return frames;
  }

  /** From now on nothing is kept, and nothing holds the server back. */
  drop(): void {
    this.#dropping = true;
    this.#queue = [];
    this.#bytes = 0;
    this.#socket.resume();
  }
}
