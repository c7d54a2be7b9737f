import type { Readable } from 'node:stream';

const keep = 20;
const longest = 4096;

/** Reads a connector's stderr as it comes, whatever else we wait for, and keeps the last lines for a diagnosis. */
export class StderrTail {
  readonly #last: string[] = [];
  readonly #onLine: (line: string) => void;
  #rest = '';

  constructor(stderr: Readable, onLine: (line: string) => void) {
    this.#onLine = onLine;
    stderr.setEncoding('utf8');
    stderr.on('data', (text: string) => this.#take(text));
    stderr.on('end', () => this.#rest !== '' && this.#line(this.#rest));
    stderr.on('error', () => undefined);
  }

  /** The last line that is neither empty nor may hold data, at most 200 characters; '' = none. */
  lastWords(): string {
    const line = this.#last.findLast((text) => text.trim() !== '' && !text.includes('{'));
    return (line ?? '').trim().slice(0, 200);
  }

  #take(text: string): void {
    const lines = (this.#rest + text).split('\n');
    // A line without an end must not grow for ever; its beginning says most.
    this.#rest = lines.pop()!.slice(0, longest);
    for (const line of lines) this.#line(line);
  }

  #line(line: string): void {
    const cut = line.slice(0, longest).trimEnd();
    this.#last.push(cut);
    if (this.#last.length > keep) this.#last.shift();
    this.#onLine(cut);
  }
}
