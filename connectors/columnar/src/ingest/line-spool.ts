/** A {@link Spool} of raw RECORD lines in one file: appended in large writes, split at a STATE. */
import { createReadStream, createWriteStream } from 'node:fs';
import { appendFile, rm, truncate } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import type { SpooledLines } from '../convert/convert-request.js';
import { Slab, largeSlab, smallSlab, tinySlab } from './slab.js';
import { SpoolBase, type SpoolOrigin } from './spool.js';

/** Read at once when lines move to another spool. */
const copyBytes = 1 << 20;
/** One line so long fills a block alone: it is written as it is. */
const uncopied = 4 << 20;

/** Found in a value it costs a column of nulls, and no more. */
const unchangedMember = Buffer.from('"unchanged"');

export interface LineSpoolOrigin extends SpoolOrigin {
  readonly path: string;
  /** Lines that name what is unchanged are looked for. */
  readonly partial: boolean;
}

export class LineSpool extends SpoolBase {
  readonly path: string;
  longestLine = 0;
  #sealedBytes = 0;
  readonly #partial: boolean;
  #slab: Slab | undefined;
  #chain: Promise<void> = Promise.resolve();

  constructor(origin: LineSpoolOrigin) {
    super(origin);
    this.path = origin.path;
    this.#partial = origin.partial;
  }

  get widestRow(): number {
    return this.longestLine;
  }

  get input(): SpooledLines {
    return { path: this.path, lines: this.rows, bytes: this.bytes, longestLine: this.longestLine, firstLine: this.firstLine };
  }

  append(bytes: Buffer, lines: number, longestLine: number): void {
    this.pendingBytes += bytes.length;
    this.bytes += bytes.length;
    this.rows += lines;
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

  override seal(): void {
    super.seal();
    this.#sealedBytes = this.bytes;
  }

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

  split(path: string): LineSpool {
    const { schema, generation, firstLine } = this;
    const tail = new LineSpool({ path, schema, generation, firstLine: firstLine + this.sealedRows, partial: this.#partial });
    tail.unchanged = this.unchanged;
    tail.longestLine = this.longestLine;
    this.moveTail(tail, this.bytes - this.#sealedBytes);
    const end = this.#sealedBytes;
    void this.write();
    const moved = this.#then(async () => {
      await pipeline(createReadStream(this.path, { start: end, highWaterMark: copyBytes }), createWriteStream(path));
      await truncate(this.path, end);
    });
    void tail.#then(() => moved);
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
