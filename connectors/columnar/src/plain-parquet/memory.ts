/** Buffers that are used again: fresh ones of megabytes cost a page fault for every 4 KB, and the garbage collector counts them. */

/** Of what is given back so much is kept, whoever works at the same time. */
const mostKept = 64 << 20;
/** Sizes of batches differ a little: room for the next one. */
const spare = 1.1;

export class Memory {
  readonly #free: Buffer[] = [];
  #kept = 0;

  /** So many bytes, with anything in them. */
  take(size: number): Buffer {
    const index = this.#free.findIndex((one) => one.length >= size);
    const whole = index === -1 ? Buffer.allocUnsafeSlow(Math.ceil(size * spare)) : this.#free.splice(index, 1)[0]!;
    if (index !== -1) this.#kept -= whole.length;
    return whole.subarray(0, size);
  }

  /** What `take` gave: nobody may use it any more. */
  give(bytes: Buffer): void {
    const whole = Buffer.from(bytes.buffer);
    if (this.#kept + whole.length > mostKept) return;
    this.#free.push(whole);
    this.#free.sort((a, b) => a.length - b.length);
    this.#kept += whole.length;
  }
}
