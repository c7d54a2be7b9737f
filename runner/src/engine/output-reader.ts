/**
 * Reads a child's stdout into one piece of memory, again and again. As a stream every 64 KB of it would get memory of their own, and a good part of
 * what passing lines on costs would be the kernel's work of providing that; the memory of one reader stays in the processor's cache instead.
 */
import { Socket, type SocketConstructorOpts } from 'node:net';
import type { Readable } from 'node:stream';

/** More than a pipe holds. */
const readBytes = 262_144;

/** What Node keeps behind the stream of a pipe. It is not in its documentation; without it the stream itself is read. */
interface Piped {
  _handle?: unknown;
}

export class OutputReader {
  readonly #stream: Readable;
  /** Came, and nobody has taken it. One chunk, but for a stream, which Node makes flow at the end of its process. */
  readonly #chunks: Buffer[] = [];
  #ended = false;
  #wake: (() => void) | undefined;
  #reads = 0;
  #waiting = false;

  /** Takes the pipe over. Until {@link chunks} is iterated it is read once at most: nothing is lost, and no more comes than has room. */
  constructor(stdout: Readable) {
    this.#stream = readInto(Buffer.allocUnsafeSlow(readBytes), stdout, (chunk) => {
      this.#reads++;
      this.#chunks.push(chunk);
      this.#wake?.();
    });
    const end = (): void => {
      this.#ended = true;
      this.#wake?.();
    };
    // Closed by us, or a reset: nothing more will come, and the exit of the process tells why.
    this.#stream.once('end', end).once('close', end).on('error', end);
  }

  /** How often something came. */
  get reads(): number {
    return this.#reads;
  }

  /** Somebody waits for more. */
  get isWaiting(): boolean {
    return this.#waiting;
  }

  /** Each is overwritten once the next one is asked for. To be iterated once. */
  async *chunks(): AsyncGenerator<Buffer, void, undefined> {
    for (;;) {
      const chunk = this.#chunks.shift();
      if (chunk) {
        yield chunk;
        continue;
      }
      if (this.#ended) return;
      this.#waiting = true;
      const woken = new Promise<void>((resolve) => (this.#wake = resolve));
      this.#stream.resume();
      await woken;
      this.#waiting = false;
    }
  }

  destroy(): void {
    this.#stream.destroy();
  }

  onClose(listener: () => void): void {
    this.#stream.once('close', listener);
  }
}

/** After each chunk no more is read until the stream is resumed. */
function readInto(memory: Buffer, stdout: Readable, onChunk: (chunk: Buffer) => void): Readable {
  const piped = stdout as Piped;
  const { _handle: handle } = piped;
  if (!handle) {
    return stdout.on('data', (chunk: Buffer) => {
      stdout.pause();
      onChunk(chunk);
    });
  }
  piped._handle = null;
  const callback = (bytes: number): false => {
    onChunk(memory.subarray(0, bytes));
    return false;
  };
  return new Socket({ handle, readable: true, writable: false, onread: { buffer: memory, callback } } as SocketConstructorOpts);
}
