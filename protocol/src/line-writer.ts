import type { Writable } from 'node:stream';
import { collectGarbage } from './collect-garbage.js';

/** From here on a write leaves so much behind that it is freed at once: see {@link collectGarbage}. */
const longWrite = 8 << 20;
/** By then whoever wrote it has let go of it. */
const settledMs = 20;

/**
 * The one line writer. Every method resolves once the stream takes more: awaiting it is what bounds memory.
 * Calls are written in call order; a failed stream (EPIPE) rejects the pending and every later call.
 */
export class LineWriter {
  readonly #stream: Writable;
  #failure: Error | undefined;
  #draining: Promise<void> | undefined;

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
    const failure = this.#failed();
    if (failure) return Promise.reject(failure);
    if (this.#stream.write(lines)) return done;
    this.#draining ??= this.#drained().finally(() => (this.#draining = undefined));
    if (lines.length >= longWrite) void this.#draining.then(collectSoon, () => undefined);
    return this.#draining;
  }

  /** Lines in memory that is about to be used again: resolves once they have left the process. */
  lent(lines: Buffer): Promise<void> {
    const failure = this.#failed();
    if (failure) return Promise.reject(failure);
    let written = (_error?: Error | null): void => undefined;
    this.#stream.write(lines, (error) => written(error));
    // A pipe with room takes them at once; that they were taken is told on the next turn only.
    const left = this.#stream.writableLength === 0 && !this.#stream.errored ? done : this.#settled((settle) => (written = settle));
    if (lines.length >= longWrite) void left.then(collectSoon, () => undefined);
    return left;
  }

  /** Resolves when all that was written has left the process. */
  async end(): Promise<void> {
    const failure = this.#failed();
    if (failure) throw failure;
    await new Promise<void>((resolve, reject) => {
      this.#stream.once('error', reject);
      this.#stream.end((error?: Error | null) => (error ? reject(error) : resolve()));
    });
  }

  /** A stream that was destroyed without an error (the reader's process ended) would never say 'drain' nor 'error' again. */
  #failed(): Error | undefined {
    if (this.#failure) return this.#failure;
    return this.#stream.destroyed || this.#stream.writableEnded ? closed() : undefined;
  }

  #drained(): Promise<void> {
    return this.#settled((settle) => this.#stream.once('drain', settle));
  }

  /** Until `arm` has its function called, or the stream has failed or was closed. */
  #settled(arm: (settle: (error?: Error | null) => void) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (error?: Error | null): void => {
        this.#stream.off('drain', settle).off('error', settle).off('close', settle);
        const failure = this.#failure ?? error ?? (this.#stream.destroyed ? closed() : undefined);
        if (failure) reject(failure);
        else resolve();
      };
      this.#stream.once('error', settle).once('close', settle);
      arm(settle);
    });
  }
}

const done = Promise.resolve();
const collectSoon = (): void => void setTimeout(collectGarbage, settledMs).unref();
const closed = (): Error => Object.assign(new Error('the output was closed before all was written'), { code: 'ERR_STREAM_DESTROYED' });
