/** Cuts what a socket gives into whole messages of PostgreSQL's protocol. Bytes are copied only for a message that arrives in pieces. */

export interface SplitHandler {
  /** Whole CopyData messages, one behind another. */
  copyData(frames: Buffer): void;
  /** Any other message: its type, and its body. */
  message(type: number, body: Buffer): void;
}

const copyData = 0x64;
const head = 5;

export class MessageSplitter {
  readonly #handler: SplitHandler;
  /** The beginning of a message that is not whole yet: its head, then a buffer of its size. */
  #partial: Buffer | undefined;
  #filled = 0;

  constructor(handler: SplitHandler) {
    this.#handler = handler;
  }

  push(chunk: Buffer): void {
    let at = this.#complete(chunk);
    let run = at;
    while (chunk.length - at >= head) {
      const end = at + 1 + chunk.readUInt32BE(at + 1);
      if (end > chunk.length) break;
      if (chunk[at] !== copyData) {
        if (at > run) this.#handler.copyData(chunk.subarray(run, at));
        this.#handler.message(chunk[at]!, chunk.subarray(at + head, end));
        run = end;
      }
      at = end;
    }
    if (at > run) this.#handler.copyData(chunk.subarray(run, at));
    if (at < chunk.length) this.#begin(chunk.subarray(at));
  }

  #begin(rest: Buffer): void {
    this.#partial = Buffer.allocUnsafe(rest.length < head ? head : 1 + rest.readUInt32BE(1));
    this.#filled = rest.copy(this.#partial);
  }

  /** Fills up the message that began earlier. Returns where the next one starts. */
  #complete(chunk: Buffer): number {
    let at = 0;
    while (this.#partial) {
      const taken = chunk.copy(this.#partial, this.#filled, at);
      this.#filled += taken;
      at += taken;
      const partial = this.#partial;
      if (this.#filled < partial.length) return at;
      // A head that is whole now tells the size; a message without a body is whole with it.
      const size = 1 + partial.readUInt32BE(1);
      if (partial.length < size) {
        this.#partial = Buffer.allocUnsafe(size);
        partial.copy(this.#partial);
        continue;
      }
      this.#partial = undefined;
      if (partial[0] === copyData) this.#handler.copyData(partial);
      else this.#handler.message(partial[0]!, partial.subarray(head));
    }
    return at;
  }
}
