/**
 * Tells lines apart by their bytes. Runs of records of one stream go to its lane as they came, in one piece; a known beginning
 * is enough to know them. Everything else goes through the scanner, and control lines come out one by one.
 */
import { Beginning, forEachMember, protocolError, scanEnvelope, decodeString, streamKey, viewOf, type Envelope } from '@tapline/protocol';

const LF = 0x0a;
/** Known beginnings to compare with, the newest first, before they are looked up. */
const maxRecent = 8;
/** Known beginnings in all: thousands of streams may alternate. */
const maxPrefixes = 50_000;
/** Names of the member behind a beginning, in all. */
const maxTails = 4;

export interface ControlLine {
  readonly type: string;
  /** Without its end. */
  readonly bytes: Buffer;
  readonly envelope: Envelope;
}

export interface RouterTarget {
  /** Keys of the streams of this name. */
  keysOfName(name: string): readonly string[];
  records(key: string, bytes: Buffer, lines: number, longestLine: number): void;
  /** A line of an unknown type, or `junk`: no message at all. */
  ignored(what: string, bytes: number): void;
}

interface Prefix {
  readonly beginning: Beginning;
  readonly key: string;
}

/**
 * Beginnings by their text. Where one ends is found by the name of the member that follows (`"emitted_at":`); what lies before
 * is then looked up, and equal to the last byte or unknown.
 */
class Prefixes {
  readonly #byText = new Map<string, Prefix>();
  readonly #tails: string[] = [];
  #recent: Prefix[] = [];
  #longest = 0;

  find(block: Buffer, view: DataView, start: number, end: number): Prefix | undefined {
    return this.#recent.find(({ beginning }) => beginning.begins(view, start, end)) ?? this.#lookUp(block, start, end);
  }

  #lookUp(block: Buffer, start: number, end: number): Prefix | undefined {
    if (this.#byText.size <= maxRecent) return undefined;
    const text = block.toString('latin1', start, Math.min(start + this.#longest, end));
    for (const tail of this.#tails) {
      const at = text.indexOf(tail);
      const found = at === -1 ? undefined : this.#byText.get(text.slice(0, at + tail.length));
      if (found) return found;
    }
    return undefined;
  }

  add(line: Buffer, end: number, key: string): void {
    const text = line.toString('latin1', 0, end);
    if (this.#byText.has(text)) return;
    const prefix = { beginning: new Beginning(line.subarray(0, end)), key };
    this.#recent = [prefix, ...this.#recent].slice(0, maxRecent);
    const tail = /"[^"\\]+"\s*:\s*$/.exec(text)?.[0];
    if (tail === undefined || this.#byText.size === maxPrefixes) return;
    if (!this.#tails.includes(tail)) {
      if (this.#tails.length === maxTails) return;
      this.#tails.push(tail);
    }
    this.#byText.set(text, prefix);
    this.#longest = Math.max(this.#longest, end);
  }
}

export class LineRouter {
  readonly #target: RouterTarget;
  readonly #prefixes = new Prefixes();
  #lines = 0;

  constructor(target: RouterTarget) {
    this.#target = target;
  }

  /** Yields the control lines of a block of {@link readBlocks}; records before each were passed on already. */
  *route(block: Buffer): Generator<ControlLine, void, undefined> {
    const view = viewOf(block);
    let run: Prefix | undefined;
    let [runStart, runLines, longest, start] = [0, 0, 0, 0];
    const passOn = (end: number): void => {
      if (run && runLines > 0) this.#target.records(run.key, block.subarray(runStart, end), runLines, longest);
      runLines = 0;
      longest = 0;
      runStart = end;
    };
    while (start < block.length) {
      const newline = block.indexOf(LF, start);
      if (newline === -1) {
        passOn(start);
        yield* this.#last(block.subarray(start));
        return;
      }
      const end = newline + 1;
      this.#lines++;
      if (!run?.beginning.begins(view, start, end)) {
        passOn(start);
        run = this.#prefixes.find(block, view, start, end);
      }
      if (run) {
        runLines++;
        if (end - start > longest) longest = end - start;
      } else {
        yield* this.#scan(block.subarray(start, end));
        runStart = end;
      }
      start = end;
    }
    passOn(start);
  }

  /** A last line without its end: a whole message, or half of one. */
  *#last(line: Buffer): Generator<ControlLine, void, undefined> {
    this.#lines++;
    if (line.toString('latin1').trim() === '') return;
    if (!scanEnvelope(line)) throw protocolError(`the input ends in the middle of line ${this.#lines} (${line.length} bytes); nothing of that line was written`);
    yield* this.#scan(Buffer.concat([line, Buffer.from('\n')]));
  }

  *#scan(line: Buffer): Generator<ControlLine, void, undefined> {
    const envelope = scanEnvelope(line.subarray(0, -1));
    if (!envelope) {
      if (line.toString('latin1').trim() === '') return;
      // Half a record passed over in silence would be a lost row.
      if (line.includes('"RECORD"') || line.includes('"STATE"')) throw protocolError(`line ${this.#lines} (${line.length} bytes) is not valid JSON`);
      this.#target.ignored('junk', line.length);
    } else if (envelope.type === 'RECORD') {
      this.#target.records(this.#streamOf(line, envelope), line, 1, line.length);
    } else {
      yield { type: envelope.type, bytes: line.subarray(0, -1), envelope };
    }
  }

  #streamOf(line: Buffer, { bodyStart }: Envelope): string {
    let name: string | undefined;
    let namespace: string | undefined;
    // The beginning up to the value of the first member that tells nothing of the stream.
    let prefixEnd = 0;
    let namespaceInPrefix = false;
    if (bodyStart !== -1) {
      forEachMember(line, bodyStart, (key, start, stop) => {
        const text = line[start] === 0x22 ? decodeString(line, start, stop) : undefined;
        if (key === 'stream') name = text;
        else if (key === 'namespace') namespace = text;
        else if (prefixEnd === 0) {
          prefixEnd = name === undefined ? -1 : start;
          namespaceInPrefix = namespace !== undefined;
        }
      });
    }
    if (name === undefined) throw protocolError(`line ${this.#lines} (${line.length} bytes) is a RECORD that names no stream`);
    const key = streamKey({ name, namespace });
    const keys = this.#target.keysOfName(name);
    if (!keys.includes(key)) {
      throw protocolError(`the source sent a record of the stream ${key}, which is not in the configured catalog`, { stream: { name, namespace } });
    }
    // Where the namespace may follow later in the line, the name alone must tell the stream.
    if (prefixEnd > 0 && (namespaceInPrefix || keys.length === 1) && typeBefore(line, bodyStart)) {
      this.#prefixes.add(line, prefixEnd, key);
    }
    return key;
  }
}

/** Whether the type is told before the record, so that the beginning tells it. */
const typeBefore = (line: Buffer, bodyStart: number): boolean => /^\s*\{\s*"type"\s*:\s*"RECORD"\s*,/.test(line.toString('latin1', 0, bodyStart));
