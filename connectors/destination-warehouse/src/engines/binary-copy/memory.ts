/**
 * A batch file and the rows that are made of it, in one buffer: what is longer than a few words is copied within it by one call, which
 * between two buffers is dearer than the copy. Rows are gathered in two regions by turns, so that one can be sent while the other fills.
 */
import { open } from 'node:fs/promises';

/** Values are copied four bytes at a time, and read and written beyond their ends. */
const slack = 8;
const chunkBytes = 262_144;
/** Room for the fixed part of a row: 1,600 columns of 64 bytes. */
const rowBytes = 131_072;

interface Region {
  readonly start: number;
  readonly end: number;
}

export class CopyMemory {
  bytes: Buffer = Buffer.alloc(0);
  view: DataView = new DataView(this.bytes.buffer, 0, 0);
  #file = 0;
  #regionBytes = chunkBytes + rowBytes + slack;
  #region: Region = { start: 0, end: 0 };
  #other: Region = { start: 0, end: 0 };

  /** Where the rows begin. */
  get start(): number {
    return this.#region.start;
  }

  /** Takes a file in. All that was in it before is gone, but for the last chunk. */
  async read(path: string): Promise<void> {
    const file = await open(path, 'r');
    try {
      const { size } = await file.stat();
      const wanted = size + slack + 2 * this.#regionBytes;
      // The last chunk may still be on its way: a place of its own is not worth a thought of where it lies.
      this.#take(Buffer.allocUnsafeSlow(wanted));
      this.#file = size;
      this.#divide(size + slack);
      for (let at = 0; at < size; ) {
        const { bytesRead } = await file.read(this.bytes, at, size - at, at);
        if (bytesRead === 0) throw new Error('a batch file became shorter while it was read');
        at += bytesRead;
      }
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
