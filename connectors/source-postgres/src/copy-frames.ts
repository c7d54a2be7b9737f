/**
 * The frames of `COPY … (FORMAT binary)` whose first field is a line's JSON: rows in, whole lines out. Binary, because the server then
 * sends the text as it is; csv and text go over every byte once more. No object is made for a row: bytes move inside one buffer.
 * https://www.postgresql.org/docs/current/sql-copy.html#SQL-COPY-BINARY-FORMAT
 */
export const DATA = 0x64;
export const headerBytes = 19;
/** Frames up to this size are gathered in the input region; bigger ones go straight into a block of their own. */
const inputBytes = 131_072;
const gatheredFrame = 65_536;
const prefixBytes = 1024;
const tailBytes = 1024;
/** Where the input region begins. */
const inputStart = prefixBytes + tailBytes;
const orderDigits = 16;

export interface FrameBlock {
  /** Whole lines. */
  readonly bytes: Buffer;
  readonly rows: number;
  /** The fields after the JSON of the block's last row. */
  readonly last: readonly string[];
  /** What `mark` said after that row. */
  readonly mark: unknown;
}

export interface RowObserver {
  /** Told of each row's fields after the JSON: the ranges are valid during the call only. */
  row(bytes: Buffer, starts: readonly number[], ends: readonly number[]): void;
  /** Called at the end of each block: several may be made before the first one is consumed. */
  mark(): unknown;
}

export interface CopyFramesOptions {
  readonly blockBytes: number;
  /** How many fields follow the JSON. */
  readonly fields: number;
  readonly observe?: RowObserver | undefined;
  /** Members that each row has after its columns: `"a":1,"b":null`. */
  readonly tail?: string | undefined;
  /** A last member, `_tapline_order`: `prefix` and 16 hex digits that count from `start`. */
  readonly order?: { readonly prefix: string; readonly start: bigint } | undefined;
  readonly onBlock: (block: FrameBlock) => void;
}

export class CopyFrames {
  readonly #options: CopyFramesOptions;
  readonly #work: Buffer;
  readonly #outStart: number;
  /** Length of the tail in the work buffer, from its comma to its brace; 0 = none. It lies behind the prefix, and is counted up there. */
  readonly #tail: number;
  /** Offset after the last digit of the order. */
  readonly #orderEnd: number;
  #prefix = Buffer.alloc(0);
  #at: number;
  #rows = 0;
  /** Bytes of an unfinished frame at the beginning of the input region. */
  #held = 0;
  #begun = false;
  readonly #starts: number[];
  readonly #ends: number[];
  #last: string[] = [];
  #large: { block: Buffer; at: number; jsonLeft: number; tail: Buffer; tailAt: number } | undefined;

  constructor(options: CopyFramesOptions) {
    this.#options = options;
    // One buffer for all: the line's beginning, its tail, the input region, the output region. copyWithin() moves bytes without a view.
    this.#outStart = inputStart + inputBytes;
    this.#work = Buffer.allocUnsafeSlow(this.#outStart + Math.max(options.blockBytes, gatheredFrame) + inputBytes + prefixBytes + tailBytes);
    const tail = tailOf(options);
    if (tail.length > tailBytes) throw new RangeError(`a line ends with ${tail.length} bytes`);
    this.#tail = tail.copy(this.#work, prefixBytes);
    this.#orderEnd = options.order ? prefixBytes + tail.length - '"}'.length : 0;
    this.#at = this.#outStart;
    this.#starts = Array.from({ length: options.fields }, () => 0);
    this.#ends = Array.from({ length: options.fields }, () => 0);
  }

  /** What each line begins with, up to its `data`. Takes effect with the next row. */
  set prefix(text: string) {
    this.#prefix = Buffer.from(text);
    if (this.#prefix.length > prefixBytes) throw new RangeError(`a line begins with ${this.#prefix.length} bytes`);
    this.#prefix.copy(this.#work, 0);
  }

  /** Takes bytes of the connection. Returns those that are not of the copy, from the first on: they are the driver's. */
  push(chunk: Buffer): Buffer | undefined {
    let from = 0;
    while (from < chunk.length) {
      if (this.#large) {
        from += this.#fillLarge(chunk, from);
        continue;
      }
      const take = Math.min(chunk.length - from, inputBytes - this.#held);
      this.#work.set(take === chunk.length ? chunk : chunk.subarray(from, from + take), inputStart + this.#held);
      from += take;
      const end = inputStart + this.#held + take;
      const stop = this.#frames(end);
      if (stop !== -1) return Buffer.concat([this.#work.subarray(stop, end), chunk.subarray(from)]);
    }
    return undefined;
  }

  /** Hands over the lines that are whole so far. */
  cut(): void {
    if (this.#rows === 0) return;
    const bytes = Buffer.from(this.#work.subarray(this.#outStart, this.#at));
    const rows = this.#rows;
    this.#at = this.#outStart;
    this.#rows = 0;
    this.#options.onBlock({ bytes, rows, last: this.#last, mark: this.#options.observe?.mark() });
  }

  /** Rows that wait in the block that is being made. */
  get pendingRows(): number {
    return this.#rows;
  }

  /** Works through the input region up to `end`. Returns the offset of the first message that is the driver's, or -1. */
  #frames(end: number): number {
    const work = this.#work;
    const blockEnd = this.#outStart + this.#options.blockBytes;
    const prefix = this.#prefix.length;
    const tail = this.#tail;
    let at = inputStart;
    let lastStarts = -1;
    while (at + 5 <= end) {
      const type = work[at];
      const next = at + 1 + int32(work, at + 1);
      if (type !== DATA) {
        if (!isCopyMessage(type)) {
          if (lastStarts !== -1) this.#remember();
          return at;
        }
        // The server ends a copy with messages that are small: they fit.
        if (next > end) break;
        at = next;
        continue;
      }
      if (next > end) {
        if (next - at > gatheredFrame && end - at >= 5 + headerBytes + 6) {
          if (lastStarts !== -1) this.#remember();
          this.#beginLarge(at, next, end);
          this.#held = 0;
          return -1;
        }
        break;
      }
      let body = at + 5;
      if (!this.#begun) {
        this.#begun = true;
        body += headerBytes;
      }
      // A frame of the header alone, or the trailer (-1 fields).
      if (next - body < 6) {
        at = next;
        continue;
      }
      const length = int32(work, body + 2);
      const json = body + 6;
      let out = this.#at;
      work.copyWithin(out, 0, prefix);
      out += prefix;
      work.copyWithin(out, json, json + length);
      out += length;
      if (tail > 0) out = this.#appendTail(work, out, length);
      work[out] = 0x7d;
      work[out + 1] = 0x7d;
      work[out + 2] = 0x0a;
      this.#at = out + 3;
      this.#rows++;
      if (this.#starts.length > 0) {
        this.#fields(work, json + length);
        lastStarts = at;
        this.#options.observe?.row(work, this.#starts, this.#ends);
      }
      at = next;
      if (this.#at >= blockEnd) {
        if (lastStarts !== -1) this.#remember();
        lastStarts = -1;
        this.cut();
      }
    }
    if (lastStarts !== -1) this.#remember();
    work.copyWithin(inputStart, at, end);
    this.#held = end - at;
    return -1;
  }

  /** The row's JSON ends at `out`, with a brace. Returns where the tail ends. */
  #appendTail(target: Buffer, out: number, length: number): number {
    // A row without columns takes no comma.
    const from = length > 2 ? prefixBytes : prefixBytes + 1;
    const end = prefixBytes + this.#tail;
    if (target === this.#work) target.copyWithin(out - 1, from, end);
    else this.#work.copy(target, out - 1, from, end);
    if (this.#orderEnd > 0) countUp(this.#work, this.#orderEnd);
    return out - 1 + end - from;
  }

  #fields(bytes: Buffer, at: number): void {
    for (let i = 0; i < this.#starts.length; i++) {
      const length = int32(bytes, at);
      this.#starts[i] = at + 4;
      this.#ends[i] = at + 4 + Math.max(length, 0);
      at = this.#ends[i]!;
    }
  }

  #remember(bytes = this.#work): void {
    this.#last = this.#starts.map((start, i) => bytes.toString('utf8', start, this.#ends[i]));
  }

  /** A frame bigger than the input region: its line gets exactly the memory that it needs. */
  #beginLarge(at: number, next: number, end: number): void {
    this.cut();
    let body = at + 5;
    if (!this.#begun) {
      this.#begun = true;
      body += headerBytes;
    }
    const length = int32(this.#work, body + 2);
    const block = Buffer.allocUnsafeSlow(this.#prefix.length + length + (this.#tail > 0 ? this.#tail - 1 : 0) + 3);
    this.#prefix.copy(block, 0);
    this.#large = { block, at: this.#prefix.length, jsonLeft: length, tail: Buffer.allocUnsafe(next - body - 6 - length), tailAt: 0 };
    this.#fillLarge(this.#work.subarray(0, end), body + 6);
  }

  /** Returns how many bytes it took. */
  #fillLarge(chunk: Buffer, from: number): number {
    const large = this.#large!;
    const json = Math.min(large.jsonLeft, chunk.length - from);
    chunk.copy(large.block, large.at, from, from + json);
    large.at += json;
    large.jsonLeft -= json;
    const tail = Math.min(large.tail.length - large.tailAt, chunk.length - from - json);
    chunk.copy(large.tail, large.tailAt, from + json, from + json + tail);
    large.tailAt += tail;
    if (large.jsonLeft === 0 && large.tailAt === large.tail.length) {
      this.#large = undefined;
      const end = this.#tail > 0 ? this.#appendTail(large.block, large.at, large.block.length) : large.at;
      large.block.write('}}\n', end, 'latin1');
      if (this.#starts.length > 0) {
        this.#fields(large.tail, 0);
        this.#remember(large.tail);
        this.#options.observe?.row(large.tail, this.#starts, this.#ends);
      }
      this.#options.onBlock({ bytes: large.block, rows: 1, last: this.#last, mark: this.#options.observe?.mark() });
    }
    return json + tail;
  }
}

/** From the comma behind the columns to the brace. */
function tailOf({ tail, order }: CopyFramesOptions): Buffer {
  const members = [tail, order && `"_tapline_order":"${order.prefix}${order.start.toString(16).padStart(orderDigits, '0')}"`].filter(Boolean);
  return Buffer.from(members.length > 0 ? `,${members.join(',')}}` : '');
}

/** Adds one to the hex digits that end at `end`. */
function countUp(bytes: Buffer, end: number): void {
  for (let at = end - 1; ; at--) {
    const digit = bytes[at]!;
    if (digit === 0x66) {
      bytes[at] = 0x30;
      continue;
    }
    bytes[at] = digit === 0x39 ? 0x61 : digit + 1;
    return;
  }
}

/** CopyOutResponse, CopyDone, CommandComplete, and what may come at any time: notices, parameter changes, notifications. */
export const isCopyMessage = (type: number | undefined): boolean =>
  type === 0x48 || type === 0x63 || type === 0x43 || type === 0x4e || type === 0x53 || type === 0x41;

export const int32 = (bytes: Buffer, at: number): number => (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
