/**
 * A batch file and the rows that are made of it, in one buffer: what is longer than a few words is copied within it by one call, which
 * between two buffers is dearer than the copy.
 */
import { open } from 'node:fs/promises';

/** Values are copied four bytes at a time, and read and written beyond their ends. */
const slack = 8;
const chunkBytes = 262_144;
/** Room for the fixed part of a row: 1,600 columns of 64 bytes. */
const rowBytes = 131_072;

export class CopyMemory {
  bytes: Buffer = Buffer.alloc(0);
  view: DataView = new DataView(this.bytes.buffer, 0, 0);
  #file = 0;

  /** Where the rows begin. */
  get start(): number {
    return this.#file + slack;
  }

  /** Takes a file in. All that was in it before is gone. */
  async read(path: string): Promise<void> {
    const file = await open(path, 'r');
    try {
      const { size } = await file.stat();
      const wanted = size + slack + chunkBytes + rowBytes;
      if (this.bytes.length < wanted) this.#take(Buffer.allocUnsafeSlow(wanted));
      this.#file = size;
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
    const wanted = at + bytes + slack + rowBytes;
    if (wanted <= this.bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(wanted + bytes);
    this.bytes.copy(larger, 0, 0, at);
    this.#take(larger);
  }

  /** Rows up to `at` are enough for a chunk. */
  isFull(at: number): boolean {
    return at - this.start >= chunkBytes;
  }

  /** A copy of the rows up to `at`. */
  chunk(at: number): Buffer {
    return Buffer.from(this.bytes.subarray(this.start, at));
  }

  #take(bytes: Buffer): void {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }
}
