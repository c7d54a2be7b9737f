/**
 * One `COPY … TO STDOUT (FORMAT binary)` as blocks of lines. It takes the place of the driver's parser on the socket for as long as
 * the copy lasts: the driver would make several objects a row, and knows no backpressure.
 */
import type { Socket } from 'node:net';
import { CopyFrames, type CopyFramesOptions, type FrameBlock, type RowObserver } from './copy-frames.js';

export type CopyBlock = FrameBlock;

export interface CopyOptions extends Pick<CopyFramesOptions, 'tail' | 'order'> {
  readonly blockBytes: number;
  /** What a line begins with, asked for at each block: it carries the time. */
  readonly prefix: () => string;
  /** How many fields each row has after its JSON. */
  readonly fields: number;
  readonly observe?: RowObserver | undefined;
}

type DataListener = (chunk: Buffer) => void;
/** A slow table must not keep its rows: what came is handed over after so long. */
const lingerMs = 100;
/** Bytes read ahead of the consumer. */
const readAhead = 262_144;

export class CopyOut {
  readonly #sql: string;
  readonly #options: CopyOptions;
  readonly #frames: CopyFrames;
  readonly #chunks: Buffer[] = [];
  readonly #blocks: FrameBlock[] = [];
  #chunkBytes = 0;
  #socket: Socket | undefined;
  #drivers: DataListener[] = [];
  #error: Error | undefined;
  #ended = false;
  #wake: (() => void) | undefined;

  constructor(sql: string, options: CopyOptions) {
    this.#sql = sql;
    this.#options = options;
    this.#frames = new CopyFrames({ ...options, onBlock: (block) => this.#blocks.push(block) });
  }

  /** The statement failed: the connection itself may still be good. */
  get failed(): boolean {
    return this.#error !== undefined;
  }

  /** Pulled: nothing is read from the server while the consumer keeps a block. Rejects with the driver's error. */
  async *blocks(): AsyncGenerator<FrameBlock, void, undefined> {
    let since = performance.now();
    for (;;) {
      const block = this.#blocks.shift();
      if (block) {
        yield block;
        since = performance.now();
        continue;
      }
      const chunk = this.#chunks.shift();
      if (chunk) {
        this.#chunkBytes -= chunk.length;
        this.#frames.prefix = this.#options.prefix();
        const rest = this.#frames.push(chunk);
        if (rest) this.#handBack(rest);
        else if (performance.now() - since > lingerMs) this.#frames.cut();
        continue;
      }
      if (this.#error !== undefined) throw this.#error;
      if (this.#ended) {
        if (this.#frames.pendingRows === 0) return;
        this.#frames.cut();
        continue;
      }
      if (this.#socket?.isPaused() && this.#drivers.length > 0) this.#socket.resume();
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  // What the driver calls on a statement of somebody else's making.

  submit(connection: { query(text: string): void; readonly stream: Socket }): void {
    this.#socket = connection.stream;
    this.#drivers = connection.stream.listeners('data') as DataListener[];
    connection.stream.removeAllListeners('data');
    connection.stream.on('data', this.#take);
    connection.query(this.#sql);
  }

  handleError(error: Error): void {
    this.#error ??= error;
    this.#detach();
    this.#wakeUp();
  }

  handleReadyForQuery(): void {
    this.#ended = true;
    this.#wakeUp();
  }

  handleCommandComplete(): void {}
  handleRowDescription(): void {}
  handleDataRow(): void {}
  handlePortalSuspended(): void {}
  handleEmptyQuery(): void {}
  handleCopyInResponse(): void {}
  handleCopyData(): void {}

  readonly #take: DataListener = (chunk) => {
    this.#chunks.push(chunk);
    this.#chunkBytes += chunk.length;
    if (this.#chunkBytes >= readAhead) this.#socket!.pause();
    this.#wakeUp();
  };

  /** The copy is over, or failed: the driver reads on from here, and tells us by handleReadyForQuery or handleError. */
  #handBack(rest: Buffer): void {
    const drivers = this.#drivers;
    const chunks = [rest, ...this.#chunks.splice(0)];
    this.#chunkBytes = 0;
    this.#detach();
    for (const chunk of chunks) for (const driver of drivers) driver(chunk);
  }

  #detach(): void {
    if (this.#drivers.length === 0 || !this.#socket) return;
    this.#socket.removeListener('data', this.#take);
    for (const driver of this.#drivers) this.#socket.on('data', driver);
    this.#drivers = [];
    this.#socket.resume();
  }

  #wakeUp(): void {
    this.#wake?.();
    this.#wake = undefined;
  }
}
