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

  /** All that came, in one piece: a server that is no faster than its reader sends it in crumbs. What is large is not copied for that. */
  shift(): Buffer | undefined {
    const frames = this.#queue.length > 1 && this.#bytes <= 2 * limit ? Buffer.concat(this.#queue.splice(0), this.#bytes) : this.#queue.shift();
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
