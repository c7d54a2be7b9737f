import { stateLine } from '@tapline/protocol';
import type { Writable } from 'node:stream';
import type { SentState } from './state-ledger.js';

/**
 * Tells a source what is durable. Never blocks, and holds at most one state a descriptor: a source that does not read its
 * stdin costs neither time nor memory.
 */
export class Acks {
  readonly #stdin: Writable;
  readonly #newest = new Map<string, string>();
  #blocked = false;

  constructor(stdin: Writable) {
    this.#stdin = stdin;
    stdin.on('drain', () => {
      this.#blocked = false;
      this.#flush();
    });
  }

  /** Only what was saved may be given here. */
  saved(states: readonly SentState[]): void {
    for (const { key, body, tagged } of states) if (body !== undefined) this.#newest.set(key, stateLine(tagged));
    this.#flush();
  }

  /** No further acks. What is still held goes out before the end of its stdin. */
  end(): void {
    this.#blocked = false;
    this.#flush(true);
    this.#stdin.end();
  }

  #flush(last = false): void {
    for (const [key, line] of this.#newest) {
      if (this.#blocked && !last) return;
      this.#newest.delete(key);
      if (this.#stdin.writable) this.#blocked = !this.#stdin.write(line);
    }
  }
}
