/**
 * The one line reader: chunks of bytes in, whole lines out. It decodes nothing (a character split between two
 * chunks, or invalid UTF-8, passes as it came) and has no limit on a line's length.
 */
import { transientError } from './errors.js';

const LF = 0x0a;
const CR = 0x0d;

export interface LineReaderOptions {
  /** Fail with a `transient_error` when no byte has arrived for so long while we were waiting. Default: never. */
  readonly idleTimeoutMs?: number | undefined;
  /** A chunk is overwritten once the next one is asked for, and so is a block. Default: they are nobody else's. */
  readonly reused?: boolean;
}

/**
 * Yields blocks of whole lines, ends included: the bulk form, without a copy where no line crosses a chunk.
 * Only the last block may lack its final newline; then it is exactly one unterminated line.
 */
export async function* readBlocks(input: AsyncIterable<Buffer>, options: LineReaderOptions = {}): AsyncGenerator<Buffer, void, undefined> {
  const pending = new Gathered(options.reused ?? false);
  for await (const chunk of withIdleTimeout(input, options.idleTimeoutMs)) {
    let start = 0;
    if (!pending.isEmpty) {
      const first = chunk.indexOf(LF);
      if (first === -1) {
        pending.add(chunk);
        continue;
      }
      pending.add(chunk.subarray(0, first + 1));
      yield pending.take();
      start = first + 1;
    }
    const last = chunk.lastIndexOf(LF);
    if (last >= start) {
      yield start === 0 && last === chunk.length - 1 ? chunk : chunk.subarray(start, last + 1);
      start = last + 1;
    }
    if (start < chunk.length) pending.add(chunk.subarray(start));
  }
  if (!pending.isEmpty) yield pending.take();
}

const manyBytes = 1 << 20;

/**
 * The parts of a line that crosses chunks. A long one is copied into one buffer as it comes, so that it is never held twice: the
 * buffer grows fourfold, and what of it is not yet written to takes no memory.
 */
class Gathered {
  #parts: Buffer[] = [];
  #bytes = 0;
  #large: Buffer | undefined;
  readonly #copies: boolean;

  constructor(copies: boolean) {
    this.#copies = copies;
  }

  get isEmpty(): boolean {
    return this.#bytes === 0;
  }

  add(part: Buffer): void {
    if (this.#bytes + part.length > (this.#large?.length ?? manyBytes)) this.#grow(part.length);
    if (this.#large) part.copy(this.#large, this.#bytes);
    else this.#parts.push(this.#copies ? Buffer.from(part) : part);
    this.#bytes += part.length;
  }

  take(): Buffer {
    const whole = this.#large ? this.#large.subarray(0, this.#bytes) : Buffer.concat(this.#parts, this.#bytes);
    this.#parts = [];
    this.#large = undefined;
    this.#bytes = 0;
    return whole;
  }

  #grow(more: number): void {
    const grown = Buffer.allocUnsafeSlow(4 * (this.#bytes + more));
    let at = 0;
    for (const part of this.#large ? [this.#large.subarray(0, this.#bytes)] : this.#parts) at += part.copy(grown, at);
    this.#parts = [];
    this.#large = grown;
  }
}

export interface Line {
  /** Without its end; CRLF counts as one end, a lone CR as none. */
  readonly bytes: Buffer;
  /** False only for a last line that the input left without a newline. */
  readonly terminated: boolean;
}

/** Yields single lines. For control channels; data goes by {@link readBlocks}. */
export async function* readLines(input: AsyncIterable<Buffer>, options: LineReaderOptions = {}): AsyncGenerator<Line, void, undefined> {
  for await (const block of readBlocks(input, options)) yield* splitBlock(block);
}

/** The lines of one block of {@link readBlocks}. */
export function* splitBlock(block: Buffer): Generator<Line, void, undefined> {
  let start = 0;
  while (start < block.length) {
    const newline = block.indexOf(LF, start);
    if (newline === -1) {
      yield { bytes: block.subarray(start), terminated: false };
      return;
    }
    yield { bytes: block.subarray(start, lineEnd(block, start, newline)), terminated: true };
    start = newline + 1;
  }
}

/** Where the text of a line ends: before its CRLF or LF. */
export const lineEnd = (block: Buffer, start: number, newline: number): number =>
  newline > start && block[newline - 1] === CR ? newline - 1 : newline;

async function* withIdleTimeout(input: AsyncIterable<Buffer>, idleTimeoutMs: number | undefined): AsyncGenerator<Buffer, void, undefined> {
  if (idleTimeoutMs === undefined) {
    yield* input;
    return;
  }
  const iterator = input[Symbol.asyncIterator]();
  try {
    for (;;) {
      // The timer runs only while we wait: a consumer that takes its time does not count as silence.
      let timer: NodeJS.Timeout | undefined;
      const silence = new Promise<never>((_, reject) => {
        timer = setTimeout(
          () => reject(transientError(`no output for ${Math.round(idleTimeoutMs / 1000)} s`, { code: 'silent' })),
          idleTimeoutMs,
        );
      });
      const next = await Promise.race([iterator.next(), silence]).finally(() => clearTimeout(timer));
      if (next.done) return;
      yield next.value;
    }
  } finally {
    // Not awaited: an input that went silent would never settle its return().
    iterator.return?.().catch(() => {});
  }
}
