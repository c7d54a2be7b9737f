/** What comes to a source on stdin in a session: acknowledged states, and the end of it. */
import type { Readable } from 'node:stream';
import { failpoint, readLines, StateBody, stateBodyOf, summarizeState, untagState } from '@tapline/protocol';

export interface AckOptions {
  /** Undefined: the source has nothing to confirm; only the end of stdin matters. */
  readonly confirm: ((state: StateBody) => Promise<void>) | undefined;
  /** stdin has ended: the runner wants no more, or is gone. */
  readonly onEnd: () => void;
  /** A confirmation failed. Called once; no further one is tried. */
  readonly onFailure: (error: unknown) => void;
  readonly onJunk: (description: string) => void;
}

/**
 * Reads acks from the first moment on, whatever the source is doing, so that the runner never waits for us. Of the acks that
 * pile up during a confirmation only the newest of each stream is confirmed.
 */
export class Acks {
  readonly #options: AckOptions;
  readonly #waiting = new Map<string, StateBody>();
  #confirming: Promise<void> | undefined;
  #failed = false;
  /** Resolves when stdin has ended and all that came by it is confirmed. */
  readonly done: Promise<void>;

  constructor(input: Readable, options: AckOptions) {
    this.#options = options;
    this.done = this.#listen(input);
  }

  async #listen(input: Readable): Promise<void> {
    try {
      for await (const { bytes } of readLines(input)) this.#take(bytes);
    } catch {
      // A reset pipe is an end like any other.
    }
    this.#options.onEnd();
    await this.settled();
  }

  /** Resolves when all that has come so far is confirmed. */
  async settled(): Promise<void> {
    await this.#confirming;
  }

  #take(line: Buffer): void {
    let state: StateBody;
    let key: string;
    try {
      const body = untagState(stateBodyOf(line));
      key = summarizeState(body).key;
      state = StateBody.parse(JSON.parse(body));
    } catch {
      this.#options.onJunk(`ignored a line of ${line.length} bytes on standard input: it is no STATE`);
      return;
    }
    // A source that has nothing to confirm passes the place, too: its death here must cost nothing either.
    if (!this.#options.confirm) return failpoint('source.before_confirm');
    if (this.#failed) return;
    // Taken out first: the newest goes to the end, so that confirmations keep the order of the acks.
    this.#waiting.delete(key);
    this.#waiting.set(key, state);
    this.#confirming ??= this.#confirmAll(this.#options.confirm).finally(() => (this.#confirming = undefined));
  }

  async #confirmAll(confirm: (state: StateBody) => Promise<void>): Promise<void> {
    for (const [key, state] of this.#waiting) {
      this.#waiting.delete(key);
      failpoint('source.before_confirm');
      try {
        await confirm(state);
      } catch (error) {
        this.#failed = true;
        this.#waiting.clear();
        this.#options.onFailure(error);
      }
    }
  }
}
