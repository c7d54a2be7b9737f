/**
 * One `COPY … TO STDOUT (FORMAT binary)` as blocks of lines, or of what else its frames are made into. It takes the place of the driver's parser on the socket for as long as
 * the copy lasts: the driver would make several objects a row, and knows no backpressure.
 */
import type { Socket } from 'node:net';
import { CopyFrames, type CopyFramesOptions, type FrameBlock } from './copy-frames.js';

/** What makes blocks of the bytes of a copy. */
export interface FrameReader {
  /** Takes bytes of the connection. Returns those that are not of the copy, from the first on. Blocks are handed over meanwhile. */
  push(chunk: Buffer): Buffer | undefined;
  /** Hands over the rows that are whole so far. */
  cut(): void;
  /** Rows that are not handed over. */
  readonly pendingRows: number;
  /** Blocks are still to be made of what was pushed: an empty chunk is to be pushed before any other, and before it is over. */
  readonly holdsBack?: boolean;
}

export interface CopyOutOptions<Block> {
  /** Blocks are consumed before the reader is given anything more. */
  readonly reader: (onBlock: (block: Block) => void) => FrameReader;
  /** A slow table must not keep its rows: what came is handed over after so long. */
  readonly lingerMs: number;
}

export interface LineOptions extends Omit<CopyFramesOptions, 'onBlock'> {
  /** What a line begins with, asked for at each block: it carries the time. */
  readonly prefix: () => string;
}

/** Blocks of lines. */
export const lineBlocks = ({ prefix, ...options }: LineOptions): CopyOutOptions<FrameBlock> => ({
  lingerMs: 100,
  reader: (onBlock) => {
    const frames = new CopyFrames({ ...options, onBlock });
    return {
      push(chunk) {
        frames.prefix = prefix();
        return frames.push(chunk);
      },
      cut: () => frames.cut(),
      get pendingRows() {
        return frames.pendingRows;
      },
    };
  },
});

type DataListener = (chunk: Buffer) => void;
const noBytes = Buffer.alloc(0);
/** Bytes read ahead of the consumer. */
const readAhead = 262_144;

export class CopyOut<Block> {
  readonly #sql: string;
  readonly #frames: FrameReader;
  readonly #lingerMs: number;
  readonly #chunks: Buffer[] = [];
  readonly #blocks: Block[] = [];
  #chunkBytes = 0;
  #socket: Socket | undefined;
  #drivers: DataListener[] = [];
  #error: Error | undefined;
  #ended = false;
  #wake: (() => void) | undefined;

  constructor(sql: string, { reader, lingerMs }: CopyOutOptions<Block>) {
    this.#sql = sql;
    this.#lingerMs = lingerMs;
    this.#frames = reader((block) => this.#blocks.push(block));
  }

  /** The statement failed: the connection itself may still be good. */
  get failed(): boolean {
    return this.#error !== undefined;
  }

  /** Pulled: nothing is read from the server while the consumer keeps a block. Rejects with the driver's error. */
  async *blocks(): AsyncGenerator<Block, void, undefined> {
    let since = performance.now();
    for (;;) {
      const block = this.#blocks.shift();
      if (block) {
        yield block;
        since = performance.now();
        continue;
      }
      const chunk = this.#frames.holdsBack ? noBytes : this.#chunks.shift();
      if (chunk) {
        this.#chunkBytes -= chunk.length;
        const rest = this.#frames.push(chunk);
        if (rest) this.#handBack(rest);
        else if (performance.now() - since > this.#lingerMs) this.#frames.cut();
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
