/**
 * Buffers that lines wait in until they are written, used over and over. Pieces of what was read are copied into them: kept
 * until a write is done, they would outlive the young generation, and memory would grow until a full collection.
 */
export const largeSlab = 1 << 20;
/** The slab of a spool that is small yet. */
export const smallSlab = 64 << 10;
/** The first slab of a spool: of thousands of streams most get a few rows between two commits. */
export const tinySlab = 4 << 10;

/** Kept for reuse, at most. */
const maxFree = 8;
const free: Buffer[] = [];

export class Slab {
  readonly #bytes: Buffer;
  #used = 0;

  constructor(size: number) {
    this.#bytes = (size === largeSlab ? free.pop() : undefined) ?? Buffer.allocUnsafeSlow(size);
  }

  get used(): number {
    return this.#used;
  }

  /** One of another size with the same content. */
  grown(size: number): Slab {
    const larger = new Slab(size);
    larger.fill(this.content(), 0);
    return larger;
  }

  /** Takes what fits of `bytes` from `start` on; returns how much that was. */
  fill(bytes: Buffer, start: number): number {
    const taken = bytes.copy(this.#bytes, this.#used, start);
    this.#used += taken;
    return taken;
  }

  get size(): number {
    return this.#bytes.length;
  }

  get full(): boolean {
    return this.#used === this.#bytes.length;
  }

  content(): Buffer {
    return this.#bytes.subarray(0, this.#used);
  }

  /** The content is written, and read by nobody any more. */
  release(): void {
    if (this.#bytes.length === largeSlab && free.length < maxFree) free.push(this.#bytes);
  }
}
