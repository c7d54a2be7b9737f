/** A file of raw RECORD lines of one stream, one schema and one generation: appended in large writes, split at a STATE. */
import { createReadStream, createWriteStream } from 'node:fs';
import { appendFile, rm, truncate } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import type { StreamSchema } from '../sink.js';
import { Slab, largeSlab, smallSlab, tinySlab } from './slab.js';

/** Read at once when lines move to another spool. */
const copyBytes = 1 << 20;
/** One line so long fills a block alone: it is written as it is. */
const uncopied = 4 << 20;

/** Found in a value it costs a column of nulls, and no more. */
const unchangedMember = Buffer.from('"unchanged"');

export interface SpoolOrigin {
  readonly path: string;
  readonly schema: StreamSchema;
  readonly generation: number;
  /** Number of its first line among the stream's records of this run, from 1. */
  readonly firstLine: number;
  /** Lines that name what is unchanged are looked for. */
  readonly partial: boolean;
}

/** Where the rows stand in `_tapline_order`; given once no line can come before them any more. */
export interface SpoolPosition {
  readonly seq: number;
  readonly firstRow: number;
}

export class Spool {
  readonly path: string;
  readonly schema: StreamSchema;
  readonly generation: number;
  readonly firstLine: number;
  /** A line may name values that are unchanged. */
  unchanged = false;
  lines = 0;
  bytes = 0;
  longestLine = 0;
  /** Lines and bytes before the last STATE. */
  sealedLines = 0;
  sealedBytes = 0;
  position: SpoolPosition | undefined;
  /** Takes no more lines. */
  full = false;
  readonly #partial: boolean;
  #slab: Slab | undefined;
  /** In memory: waiting to be written, or being written. */
  pendingBytes = 0;
  #chain: Promise<void> = Promise.resolve();

  constructor(origin: SpoolOrigin) {
    this.path = origin.path;
    this.schema = origin.schema;
    this.generation = origin.generation;
    this.firstLine = origin.firstLine;
    this.#partial = origin.partial;
  }

  /** True if no STATE divides it: all of it is before the last one, or all after. */
  get pure(): boolean {
    return this.sealedLines === 0 || this.sealedLines === this.lines;
  }

  append(bytes: Buffer, lines: number, longestLine: number): void {
    this.pendingBytes += bytes.length;
    this.bytes += bytes.length;
    this.lines += lines;
    if (longestLine > this.longestLine) this.longestLine = longestLine;
    if (this.#partial && !this.unchanged) this.unchanged = bytes.includes(unchangedMember);
    if (bytes.length >= uncopied) {
      void this.write();
      void this.#put(bytes, () => undefined);
      return;
    }
    for (let start = 0; start < bytes.length; ) {
      this.#slab ??= new Slab(this.bytes > smallSlab ? largeSlab : this.bytes > tinySlab ? smallSlab : tinySlab);
      start += this.#slab.fill(bytes, start);
      if (!this.#slab.full) continue;
      if (this.#slab.size === tinySlab) this.#slab = this.#slab.grown(smallSlab);
      else void this.write();
    }
  }

  /** Everything so far is before a STATE. */
  seal(): void {
    this.sealedLines = this.lines;
    this.sealedBytes = this.bytes;
  }

  /** Resolves once all that was appended so far is in the file; rejects if a write failed, now or earlier. */
  write(): Promise<void> {
    const slab = this.#slab;
    if (!slab) return this.#chain;
    this.#slab = undefined;
    return this.#put(slab.content(), () => slab.release());
  }

  #put(bytes: Buffer, release: () => void): Promise<void> {
    return this.#then(async () => {
      try {
        // Opened for each large write: thousands of streams hold no file open.
        await appendFile(this.path, bytes);
      } finally {
        this.pendingBytes -= bytes.length;
        release();
      }
    });
  }

  /** Cuts the lines after the last STATE off into a spool of their own; this one takes no more. */
  split(path: string): Spool {
    const tail = new Spool({ path, schema: this.schema, generation: this.generation, firstLine: this.firstLine + this.sealedLines, partial: this.#partial });
    tail.unchanged = this.unchanged;
    tail.lines = this.lines - this.sealedLines;
    tail.bytes = this.bytes - this.sealedBytes;
    tail.longestLine = this.longestLine;
    tail.full = this.full;
    if (this.position) tail.position = { seq: this.position.seq, firstRow: this.position.firstRow + this.sealedLines };
    const end = this.sealedBytes;
    void this.write();
    const moved = this.#then(async () => {
      await pipeline(createReadStream(this.path, { start: end, highWaterMark: copyBytes }), createWriteStream(path));
      await truncate(this.path, end);
    });
    void tail.#then(() => moved);
    this.lines = this.sealedLines;
    this.bytes = this.sealedBytes;
    this.full = true;
    return tail;
  }

  async remove(): Promise<void> {
    await this.#chain.catch(() => undefined);
    await rm(this.path, { force: true });
  }

  #then(step: () => Promise<void>): Promise<void> {
    this.#chain = this.#chain.then(step);
    // Every later call of write() rejects with it: here it must only not count as unhandled.
    this.#chain.catch(() => undefined);
    return this.#chain;
  }
}
