import type { Writable } from 'node:stream';

/**
 * The one line writer. Every method resolves once the stream takes more: awaiting it is what bounds memory.
 * Calls are written in call order; a failed stream (EPIPE) rejects the pending and every later call.
 */
export class LineWriter {
  readonly #stream: Writable;
  #failure: Error | undefined;

  constructor(stream: Writable) {
    this.#stream = stream;
    stream.on('error', (error) => (this.#failure ??= error));
  }

  /** One message as one line. */
  message(message: object): Promise<void> {
    return this.bytes(`${JSON.stringify(message)}\n`);
  }

  /** Lines already encoded, ends included. */
  bytes(lines: Buffer | string): Promise<void> {
    if (this.#failure) return Promise.reject(this.#failure);
    return this.#stream.write(lines) ? done : this.#drained();
  }

  /** Resolves when all that was written has left the process. */
  async end(): Promise<void> {
    if (this.#failure) throw this.#failure;
    await new Promise<void>((resolve, reject) => {
      this.#stream.once('error', reject);
      this.#stream.end(() => resolve());
    });
  }

  #drained(): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        this.#stream.off('drain', settle).off('error', settle).off('close', settle);
        if (this.#failure) reject(this.#failure);
        else if (this.#stream.destroyed) reject(new Error('the output was closed before all was written'));
        else resolve();
      };
      this.#stream.once('drain', settle).once('error', settle).once('close', settle);
    });
  }
}

const done = Promise.resolve();
