/** What the server hears from us, on time: it ends a walsender that has heard nothing for wal_sender_timeout. */
import { statusFrame } from './frames.js';

export interface FeedbackOptions {
  /** Milliseconds; 0: the server waits for ever. */
  readonly walSenderTimeoutMs: number;
  write(frame: Buffer): void;
  /** The end of what has come. */
  received(): bigint;
  /** Whether the server could be heard: not while our own queue is full, and the socket is not read. */
  listening(): boolean;
  /** Nothing was heard for so many seconds, though answers were asked for. */
  onSilence(seconds: number): void;
}

const longestIntervalMs = 10_000;
/** Where the server sets no limit. A dead host is found earlier, by what is written to it. */
const silenceWithoutLimitMs = 600_000;

export class Feedback {
  readonly #options: FeedbackOptions;
  readonly #silenceMs: number;
  readonly #intervalMs: number;
  #confirmed = 0n;
  #from = 0n;
  #heardAt = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: FeedbackOptions) {
    this.#options = options;
    const limit = options.walSenderTimeoutMs;
    // Half of the limit: what is due at 75% of it may be late by a busy event loop.
    this.#intervalMs = limit === 0 ? longestIntervalMs : Math.max(50, Math.min(longestIntervalMs, limit / 2));
    this.#silenceMs = limit === 0 ? silenceWithoutLimitMs : Math.max(2 * limit, 1000);
  }

  /**
   * Reports by a timer from now on, whatever the consumer does: always the position that is confirmed, with a reply asked for.
   * What lies before `from` is not confirmed: up to PostgreSQL 17 a slot goes back when it is told an older position.
   */
  start(from: bigint): void {
    this.#from = from;
    if (this.#confirmed < from) this.#confirmed = 0n;
    this.heard();
    if (this.#confirmed > 0n) this.report(false);
    this.#timer = setInterval(() => {
      if (!this.#options.listening()) this.heard();
      const silence = performance.now() - this.#heardAt;
      if (silence > this.#silenceMs) this.#options.onSilence(Math.round(silence / 1000));
      else this.report(true);
    }, this.#intervalMs);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  heard(): void {
    this.#heardAt = performance.now();
  }

  get confirmed(): bigint {
    return this.#confirmed;
  }

  /** False: not beyond what is confirmed. */
  confirm(lsn: bigint): boolean {
    if (lsn <= this.#confirmed || lsn < this.#from) return false;
    this.#confirmed = lsn;
    return true;
  }

  report(replyRequested: boolean): void {
    this.#options.write(statusFrame({ received: this.#options.received(), confirmed: this.#confirmed, replyRequested }));
  }
}
