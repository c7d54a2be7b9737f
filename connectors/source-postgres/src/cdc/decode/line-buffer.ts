/**
 * RECORD lines as they will stand in the pipe, one after another in one growing buffer. Writers use {@link bytes} and {@link at}
 * directly: they reserve room, write, and move `at`.
 */
import type { ColumnType } from '../../types.js';

/** Where a value belongs that is not in the message: it is fetched before the lines are taken (reselect.ts). */
export interface Hole {
  /** Offset of the value. */
  readonly at: number;
  readonly property: string;
  readonly missing: Uncast | Unchanged;
  /** Where the line's `,"meta":{…}` belongs, or, where there is one already, its first member. */
  meta: number;
  hasMeta: boolean;
  /** Offset after the line's newline. */
  end: number;
}

/** A value whose JSON only the server can write. */
export interface Uncast {
  readonly kind: 'cast';
  readonly sqlType: string;
  readonly text: string;
}

/** A value that the log did not carry (unchanged TOAST), with the key to find it by. */
export interface Unchanged {
  readonly kind: 'unchanged';
  readonly table: UnchangedTable;
  readonly column: string;
  readonly type: ColumnType;
  /** As text, in the order of the table's `key`. */
  readonly key: readonly string[];
}

/** The same object for all holes of one encoder. */
export interface UnchangedTable {
  readonly oid: number;
  readonly key: readonly { readonly name: string; readonly type: ColumnType }[];
}

/** A value's JSON; undefined: there is none any more, and the record says why. */
export interface Filling {
  readonly json: Buffer | undefined;
  readonly reason?: string | undefined;
}

const nothing = Buffer.from('null');

export class LineBuffer {
  bytes: Buffer;
  at = 0;
  /** In the order of the lines. */
  readonly holes: Hole[] = [];
  readonly #size: number;
  /** The lines in [from, whole) wait. */
  #from = 0;
  #whole = 0;
  #rows = 0;

  /** `size`: what is usually taken at once, in bytes. */
  constructor(size = 262_144) {
    this.#size = size;
    this.bytes = Buffer.allocUnsafeSlow(size);
  }

  /** Bytes of whole lines that wait. */
  get length(): number {
    return this.#whole - this.#from;
  }

  get rows(): number {
    return this.#rows;
  }

  /** Room for so many bytes after `at`. Another buffer may stand in {@link bytes} afterwards. */
  reserve(count: number): void {
    if (this.at + count > this.bytes.length) this.#grow(count);
  }

  append(piece: Uint8Array): void {
    this.reserve(piece.length);
    this.bytes.set(piece, this.at);
    this.at += piece.length;
  }

  /** What a writer that failed has left behind is dropped. */
  beginLine(): void {
    if (this.at === this.#whole) return;
    this.at = this.#whole;
    while (this.holes.length > 0 && this.holes.at(-1)!.at > this.#whole) this.holes.pop();
  }

  endLine(): void {
    this.#whole = this.at;
    this.#rows++;
  }

  /** Hands over all lines. Throws while there are holes. */
  take(): Buffer {
    this.beginLine();
    if (this.holes.length > 0) throw new Error(`${this.holes.length} values are to be fetched first`);
    const taken = this.#cut();
    this.#reset();
    return taken;
  }

  /**
   * Hands over the lines up to the last one of the first holes, which are filled in their order; all lines if no hole is left then.
   * The holes of a line must be filled together.
   */
  fill(fillings: readonly Filling[]): Buffer {
    this.beginLine();
    const holes = this.holes.splice(0, fillings.length);
    const pieces: Buffer[] = [];
    let from = this.#from;
    const upTo = (at: number): void => {
      if (at > from) pieces.push(this.bytes.subarray(from, at));
      from = at;
    };
    for (let i = 0; i < holes.length; ) {
      const { meta, hasMeta, end } = holes[i]!;
      const changes: object[] = [];
      for (; i < holes.length && holes[i]!.end === end; i++) {
        upTo(holes[i]!.at);
        const { json, reason } = fillings[i]!;
        pieces.push(json ?? nothing);
        if (!json) changes.push({ field: holes[i]!.property, change: 'NULLED', reason });
      }
      if (changes.length === 0) continue;
      upTo(meta);
      const told = `"changes":${JSON.stringify(changes)}`;
      pieces.push(Buffer.from(hasMeta ? `${told},` : `,"meta":{${told}}`));
    }
    if (this.holes.length === 0) {
      upTo(this.at);
      this.#reset();
    } else {
      upTo(holes.at(-1)?.end ?? this.#from);
      this.#from = from;
    }
    return Buffer.concat(pieces);
  }

  #cut(): Buffer {
    // A buffer that is mostly full goes as it is; what is left of a big one is not kept for a few lines.
    const lines = this.bytes.subarray(this.#from, this.at);
    if (lines.length * 2 < this.bytes.length) return Buffer.from(lines);
    this.bytes = Buffer.allocUnsafeSlow(this.#size);
    return lines;
  }

  #reset(): void {
    if (this.bytes.length > 4 * this.#size) this.bytes = Buffer.allocUnsafeSlow(this.#size);
    this.at = 0;
    this.#from = 0;
    this.#whole = 0;
    this.#rows = 0;
  }

  #grow(count: number): void {
    const bigger = Buffer.allocUnsafeSlow(Math.max(Math.ceil(this.bytes.length * 1.5), this.at + count));
    this.bytes.copy(bigger, 0, 0, this.at);
    this.bytes = bigger;
  }
}
