/** One queue from several producers to the one that writes: what was put first goes out first, and who puts too much waits. */

export class Mailbox<Item> {
  readonly #limit: number;
  #items: { readonly item: Item; readonly bytes: number }[] = [];
  #bytes = 0;
  #closed = false;
  #failure: { readonly error: unknown } | undefined;
  #room: (() => void)[] = [];
  #wake: (() => void) | undefined;

  /** `limit`: bytes that may wait. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Takes its place at once; resolves when there is room for more. Rejects once the reader has gone. */
  put(item: Item, bytes = 0): Promise<void> {
    if (this.#failure) return Promise.reject(this.#failure.error);
    if (this.#closed) return Promise.reject(new DOMException('nobody reads any more', 'AbortError'));
    this.#items.push({ item, bytes });
    this.#bytes += bytes;
    this.#wake?.();
    if (this.#bytes <= this.#limit) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#room.push(() => {
        if (this.#failure) reject(this.#failure.error);
        else if (this.#closed) reject(new DOMException('nobody reads any more', 'AbortError'));
        else resolve();
      });
    });
  }

  /** What waits still goes out; then the reader's loop ends. */
  close(): void {
    this.#closed = true;
    this.#release();
  }

  /** The reader gets what was put before, and then this. */
  fail(error: unknown): void {
    this.#failure ??= { error };
    this.#release();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Item, void, undefined> {
    try {
      for (;;) {
        const next = this.#items.shift();
        if (next) {
          yield next.item;
          this.#bytes -= next.bytes;
          if (this.#bytes <= this.#limit) this.#letIn();
          continue;
        }
        if (this.#failure) throw this.#failure.error;
        if (this.#closed) return;
        await new Promise<void>((resolve) => (this.#wake = resolve));
        this.#wake = undefined;
      }
    } finally {
      this.close();
    }
  }

  #release(): void {
    this.#wake?.();
    this.#letIn();
  }

  #letIn(): void {
    for (const enter of this.#room.splice(0)) enter();
  }
}
