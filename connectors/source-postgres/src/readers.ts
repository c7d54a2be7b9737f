/** Several sessions that read streams, each one after another; a large one that is divided they read together. */
import { failpoint } from '@tapline/protocol';
import type { SourceItem } from '@tapline/sdk';
import type { Connection } from './connection.js';
import { withSnapshot } from './page-ranges.js';

/** A stream of which parts can be read by any session that has the exported snapshot. */
export interface Division {
  readonly exported: string;
  /** How many parts. */
  readonly parts: number;
  read(part: number, connection: Connection): AsyncGenerator<Piece, void, undefined>;
  /** Asked by each session that stops before the end: what it puts at once, if anything. */
  stopped?(): SourceItem | undefined;
  /** What a session says of an error is told as its own. */
  classify(error: unknown, connection: Connection): unknown;
}

/** Of a part. */
export interface Piece {
  readonly item: SourceItem;
  /** Called once the item has its place. What it returns has the next one: no other session comes between. */
  behind?(): SourceItem | undefined;
}

export interface ReadersOptions<Stream> {
  readonly size: number;
  readonly streams: readonly Stream[];
  readonly signal: AbortSignal;
  /** Reads a whole stream; what it throws ends all. */
  read(stream: Stream, connection: Connection): Promise<void>;
  /** The item takes its place at once; resolves when there is room for more. */
  put(item: SourceItem): Promise<void>;
  /** Of a further session. */
  open(): Promise<Connection>;
  /** Why there is one session less. */
  onRefused(error: unknown): void;
}

/** A division, and how far it is. */
interface Running {
  readonly division: Division;
  next: number;
  /** Sessions beside the one that leads. */
  readonly helpers: Set<Promise<void>>;
}

export class Readers<Stream> {
  readonly #options: ReadersOptions<Stream>;
  readonly #waiting: Stream[];
  readonly #running = new Set<Running>();
  #leading = 0;
  #wakes: (() => void)[] = [];

  constructor(options: ReadersOptions<Stream>) {
    this.#options = options;
    this.#waiting = [...options.streams];
    options.signal.addEventListener('abort', () => this.#wake(), { once: true });
  }

  /** Resolves when all streams are read, or the signal is aborted. `first` is the caller's to close. */
  async run(first: Connection): Promise<void> {
    await Promise.all(Array.from({ length: this.#options.size }, (_, i) => this.#work(i === 0 ? first : undefined)));
  }

  /** Called by who reads a stream, in the transaction that was exported: resolves when all parts are read. */
  async divide(division: Division, connection: Connection): Promise<void> {
    const running: Running = { division, next: 0, helpers: new Set() };
    this.#running.add(running);
    this.#wake();
    try {
      await this.#parts(running, connection);
      await Promise.all(running.helpers);
    } finally {
      // The snapshot ends with the leader's transaction.
      running.next = division.parts;
      this.#running.delete(running);
      await Promise.allSettled(running.helpers);
    }
  }

  async #work(first: Connection | undefined): Promise<void> {
    const { signal, read } = this.#options;
    let connection = first;
    try {
      while (!signal.aborted) {
        const divided = [...this.#running].find(({ next, division }) => next < division.parts);
        if (!divided && this.#waiting.length === 0) {
          if (this.#leading === 0) return;
          await new Promise<void>((resolve) => this.#wakes.push(resolve));
          continue;
        }
        if (!connection || connection.broken) {
          connection = await this.#further();
          if (!connection) return;
          // Others may have taken the work meanwhile.
          continue;
        }
        if (divided) {
          const help = this.#help(divided, connection);
          divided.helpers.add(help);
          // The leader hears of it.
          await help.catch(() => {});
          continue;
        }
        this.#leading++;
        try {
          await read(this.#waiting.shift()!, connection);
        } finally {
          this.#leading--;
          this.#wake();
        }
      }
    } finally {
      if (connection !== first) await connection?.[Symbol.asyncDispose]();
    }
  }

  /** One that the server does not let in is no failure: the others do its work. */
  async #further(): Promise<Connection | undefined> {
    try {
      return await this.#options.open();
    } catch (error) {
      if (!this.#options.signal.aborted) this.#options.onRefused(error);
      return undefined;
    }
  }

  async #help(running: Running, connection: Connection): Promise<void> {
    const { division } = running;
    try {
      await withSnapshot(connection, division.exported, () => this.#parts(running, connection, 'source.in_help'));
    } catch (error) {
      // What is left is not begun: the stream fails.
      running.next = division.parts;
      throw division.classify(error, connection);
    }
  }

  async #parts(running: Running, connection: Connection, passed?: string): Promise<void> {
    const { signal, put } = this.#options;
    const { division } = running;
    while (running.next < division.parts && !signal.aborted) {
      for await (const { item, behind } of division.read(running.next++, connection)) {
        // Nothing is awaited between an item and what is said of it.
        const placed = [put(item)];
        const more = behind?.();
        if (more) placed.push(put(more));
        await Promise.all(placed);
        if (passed) failpoint(passed);
        if (signal.aborted) break;
      }
    }
    const last = signal.aborted ? division.stopped?.() : undefined;
    if (last) await put(last);
  }

  #wake(): void {
    for (const wake of this.#wakes.splice(0)) wake();
  }
}
