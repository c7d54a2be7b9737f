/**
 * A batch file and the rows that are made of it, in one buffer: what is longer than a few words is copied within it by one call, which
 * between two buffers is dearer than the copy. Rows are gathered in two regions by turns, so that one can be sent while the other fills.
 */
import { open } from 'node:fs/promises';
import { readInto } from '@tapline/sdk/batch';

/** Values are copied four bytes at a time, and read and written beyond their ends. */
const slack = 8;
const chunkBytes = 262_144;
/** Room for the fixed part of a row, 1,600 columns of 64 bytes; and for values of so many bytes without a move. */
const rowBytes = 131_072;
const regionBytes = chunkBytes + 2 * rowBytes + slack;
/** Of memory that large values took, more goes with the next file. */
const mostKept = 64 << 20;

interface Region {
  readonly start: number;
  readonly end: number;
}

/** Kept for one COPY after the other: what it once took it needs again. */
export class CopyMemory {
  bytes: Buffer = Buffer.alloc(0);
  view: DataView = new DataView(this.bytes.buffer, 0, 0);
  #file = 0;
  #regionBytes = regionBytes;
  #region: Region = { start: 0, end: 0 };
  #other: Region = { start: 0, end: 0 };

  /** Where the rows begin. */
  get start(): number {
    return this.#region.start;
  }

  /** Takes a file in, and forgets the one before it. The last chunk stays: it may be on its way. */
  async read(path: string): Promise<void> {
    const file = await open(path, 'r');
    try {
      const { size } = await file.stat();
      const start = size + slack;
      const isLarge = this.bytes.length > Math.max(mostKept, 2 * (start + 2 * regionBytes));
      if (isLarge) this.#regionBytes = regionBytes;
      // The last chunk keeps the memory that it lies in.
      if (isLarge || start > Math.min(this.#region.start, this.#other.start)) {
        this.#take(Buffer.allocUnsafeSlow(start + 2 * this.#regionBytes));
        this.#divide(start);
      }
      this.#file = size;
      await readInto(file, this.file);
    } finally {
      await file.close();
    }
  }

  /** The file. */
  get file(): Buffer {
    return this.bytes.subarray(0, this.#file);
  }

  /** Makes room for a value of that many bytes at `at`, and for the rest of its row. May move `bytes` and `view`. */
  reserve(at: number, bytes: number): void {
    const needed = at - this.start + bytes + slack + rowBytes;
    if (this.start + needed <= this.#region.end) return;
    this.#regionBytes = 2 * needed;
    const larger = Buffer.allocUnsafeSlow(this.start + 2 * this.#regionBytes);
    this.bytes.copy(larger, 0, 0, at);
    this.#take(larger);
    this.#divide(this.start);
  }

  /** Rows up to `at` are enough for a chunk. */
  isFull(at: number): boolean {
    return at - this.start >= chunkBytes;
  }

  /** The rows up to `at`, valid until the chunk after the next one is asked for. The next rows begin at `start`. */
  chunk(at: number): Buffer {
    const chunk = this.bytes.subarray(this.start, at);
    [this.#region, this.#other] = [this.#other, this.#region];
    return chunk;
  }

  #divide(start: number): void {
    const middle = start + this.#regionBytes;
    this.#region = { start, end: middle };
    this.#other = { start: middle, end: middle + this.#regionBytes };
  }

  #take(bytes: Buffer): void {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }
}
