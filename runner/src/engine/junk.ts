/** Lines that are no message. The run goes on; the first is warned about, the rest are counted. */
import type { Redact } from './redact.js';
import type { Reporter } from '../types.js';

export class Junk {
  readonly #who: string;
  readonly #redact: Redact;
  readonly #reporter: Reporter;
  readonly #warned = new Set<string>();
  #count = 0;

  constructor(who: string, redact: Redact, reporter: Reporter) {
    this.#who = who;
    this.#redact = redact;
    this.#reporter = reporter;
  }

  /** `text` is what was printed on line `number`. A line with a `{` may hold a row: only its length and number are told. */
  line(text: Buffer, number: number): void {
    if (this.#count++ > 0) return;
    const what = text.includes(0x7b)
      ? `line ${number}, of ${text.length} bytes`
      : `line ${number}: ${this.#redact(text.toString('utf8', 0, 4096)).slice(0, 200)}`;
    this.#reporter.message('warn', `${this.#who} printed a line that is no message (${what}); such lines are ignored`);
  }

  unknownType(type: string): void {
    this.once(`type ${type}`, `${this.#who} sent a message of the unknown type ${JSON.stringify(type.slice(0, 40))}; such messages are ignored`);
  }

  /** A warning that is given once for each `topic`. */
  once(topic: string, text: string): void {
    if (this.#warned.has(topic)) return;
    this.#warned.add(topic);
    this.#reporter.message('warn', text);
  }

  /** Tells how much was ignored beyond the first. */
  summarize(): void {
    if (this.#count > 1) this.#reporter.message('warn', `${this.#who} printed ${this.#count} lines that are no messages`);
  }
}
