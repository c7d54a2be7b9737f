/**
 * Tells a source's lines apart without parsing records. A block of whole lines goes in, the pieces for the destination
 * come out: long runs of the same bytes, not copied. Only what is rare (states, traces, logs) is looked into.
 */
import { Beginning, forEachMember, lineEnd, protocolError, scanEnvelope, decodeString, viewOf, type ConnectorError, type Envelope, type StreamDescriptor } from '@tapline/protocol';
import { type StreamTable, type StreamTally, tallyOf } from './stream-table.js';

const LF = 0x0a;
const CLOSE_BRACE = 0x7d;
const QUOTE = 0x22;
const COMMA = 0x2c;
const newline = Buffer.from('\n');
const none: Buffer[] = [];

export interface RouteEvents {
  /** A STATE line. Returns what goes to the destination in its place, or undefined for nothing. Throws on a broken protocol. */
  state(line: Buffer): Buffer | undefined;
  /** A TAPLINE line. True = it goes to the destination as it is; bytes = these in its place, whole lines. */
  extension(line: Buffer, envelope: Envelope): boolean | Buffer;
  /** Any other message: LOG, TRACE, CONTROL, or a type that nobody knows. Returns what goes to the destination for it. */
  message(line: Buffer, envelope: Envelope): Buffer | undefined;
  /** A line that is no message. */
  junk(line: Buffer, number: number): void;
  /** The first record of a stream that is not in the catalog. Its records are not forwarded. */
  unknownStream(descriptor: StreamDescriptor): void;
}

/** The beginning of a RECORD line up to where its stream is certain. */
interface Known {
  readonly beginning: Beginning;
  readonly tally: StreamTally;
}

/** How our own lines begin; of theirs any number of streams is found at once. */
const head = new Beginning(Buffer.from('{"type":"RECORD","record":{"stream":"'));
const namespaceHead = new Beginning(Buffer.from(',"namespace":"'));
/** Other forms of a beginning are tried one by one. */
const mostBeginnings = 16;
/** What a beginning may consist of: then nothing later in the line can change what it is and to which stream it belongs. */
const certain = /^\{\s*"type"\s*:\s*"RECORD"\s*,\s*"record"\s*:\s*\{\s*(?:"(?:stream|namespace)"\s*:\s*(?:"(?:[^"\\]|\\.)*"|null)\s*,\s*)+$/;
const looksLikeRecord = /^\s*\{\s*"type"\s*:\s*"RECORD"/;

export class Router {
  readonly #events: RouteEvents;
  readonly #streams: StreamTable;
  readonly #unknown = new Map<string, StreamTally>();
  /** Tried first. */
  #last: Known | undefined;
  /** Those that begin with {@link head}, by what follows it. */
  readonly #compact = new Map<string, Known>();
  readonly #beginnings: Known[] = [];
  #line = 0;
  #failure: ConnectorError | undefined;

  constructor(streams: StreamTable, events: RouteEvents) {
    this.#streams = streams;
    this.#events = events;
  }

  /** Set once the source broke the protocol: nothing is routed any more. */
  get failure(): ConnectorError | undefined {
    return this.#failure;
  }

  get lines(): number {
    return this.#line;
  }

  /** The pieces of a block of whole lines that go to the destination, in order. Only the last line may lack its end. */
  route(block: Buffer): Buffer[] {
    if (this.#failure) return none;
    const pieces: Buffer[] = [];
    const view = viewOf(block);
    /** Where the run of lines that are forwarded as they are begins. */
    let run = 0;
    let at = 0;
    while (at < block.length) {
      const found = block.indexOf(LF, at);
      const textEnd = found === -1 ? block.length : lineEnd(block, at, found);
      const end = found === -1 ? block.length : found + 1;
      this.#line++;
      // The last line without an end always takes the slow way: that it ends in a brace does not make it whole.
      const tally = found === -1 ? undefined : this.#recordAt(block, view, at, textEnd);
      if (tally !== undefined) {
        tally.records++;
        tally.bytes += end - at;
        if (tally.selected) {
          at = end;
          continue;
        }
      }
      const piece = tally === undefined ? this.#slowly(block.subarray(at, textEnd), block.subarray(at, end)) : undefined;
      if (piece?.buffer === block.buffer && piece.byteOffset === block.byteOffset + at && piece.length === end - at && found !== -1) {
        at = end;
        continue;
      }
      if (run < at) pieces.push(block.subarray(run, at));
      if (this.#failure) return pieces;
      if (piece) pieces.push(piece);
      if (piece && found === -1 && piece[piece.length - 1] !== LF) pieces.push(newline);
      run = at = end;
    }
    if (run < at) pieces.push(run === 0 ? block : block.subarray(run, at));
    return pieces;
  }

  /** The fast way: the line begins like one that was understood before, and ends in a brace. */
  #recordAt(block: Buffer, view: DataView, at: number, textEnd: number): StreamTally | undefined {
    if (block[textEnd - 1] !== CLOSE_BRACE) return undefined;
    if (this.#last !== undefined && this.#last.beginning.begins(view, at, textEnd)) return this.#last.tally;
    const found = head.begins(view, at, textEnd)
      ? this.#compact.get(compactKey(block, view, at))
      : this.#beginnings.find(({ beginning }) => beginning.begins(view, at, textEnd));
    if (found === undefined) return undefined;
    this.#last = found;
    return found.tally;
  }

  /** Reads one line's envelope; returns what of it goes to the destination. */
  #slowly(text: Buffer, line: Buffer): Buffer | undefined {
    if (isBlank(text)) return undefined;
    const unterminated = text.length === line.length;
    const envelope = scanEnvelope(text);
    try {
      if (!envelope) {
        this.#notWhole(text, unterminated);
        return undefined;
      }
      switch (envelope.type) {
        case 'RECORD':
          return this.#record(text, line, envelope);
        case 'STATE':
          return this.#events.state(text);
        case 'TAPLINE':
          return this.#extension(text, line, envelope);
        default:
          return this.#events.message(text, envelope);
      }
    } catch (error) {
      this.#failure = error as ConnectorError;
      return undefined;
    }
  }

  #extension(text: Buffer, line: Buffer, envelope: Envelope): Buffer | undefined {
    const sent = this.#events.extension(text, envelope);
    return typeof sent === 'boolean' ? (sent ? line : undefined) : sent;
  }

  /** The table has another stream now: what was learned of names may not hold any more. */
  streamsChanged(): void {
    this.#last = undefined;
    this.#compact.clear();
    this.#beginnings.length = 0;
    this.#unknown.clear();
  }

  #notWhole(text: Buffer, unterminated: boolean): void {
    if (unterminated) {
      throw protocolError(`the output ended in the middle of line ${this.#line}, after ${text.length} bytes of it`);
    }
    const start = text.toString('latin1', 0, 64);
    if (looksLikeRecord.test(start)) throw protocolError(`line ${this.#line}, of ${text.length} bytes, is a RECORD that is not whole`);
    this.#events.junk(text, this.#line);
  }

  #record(text: Buffer, line: Buffer, envelope: Envelope): Buffer | undefined {
    let name: string | undefined;
    let namespace: string | undefined;
    /** Just past the last of both members. */
    let nameEnd = -1;
    let hasData = false;
    if (envelope.bodyStart !== -1) {
      forEachMember(text, envelope.bodyStart, (key, start, end) => {
        if (key === 'data') hasData = true;
        if (key !== 'stream' && key !== 'namespace') return;
        const value = text[start] === 0x22 ? decodeString(text, start, end) : undefined;
        if (key === 'stream') name = value;
        else namespace = value;
        nameEnd = end;
      });
    }
    if (name === undefined || !hasData) {
      this.#events.junk(text, this.#line);
      return undefined;
    }
    const descriptor: StreamDescriptor = namespace ? { name, namespace } : { name };
    const tally = this.#tallyOf(descriptor);
    tally.records++;
    tally.bytes += line.length;
    this.#learn(text, nameEnd, descriptor, tally);
    return tally.selected ? line : undefined;
  }

  #tallyOf(descriptor: StreamDescriptor): StreamTally {
    const known = this.#streams.find(descriptor);
    if (known) return known;
    const tally = tallyOf(descriptor, false);
    const before = this.#unknown.get(tally.key);
    if (before) return before;
    this.#unknown.set(tally.key, tally);
    this.#events.unknownStream(descriptor);
    return tally;
  }

  #learn(text: Buffer, nameEnd: number, descriptor: StreamDescriptor, tally: StreamTally): void {
    // A little past the name, so that `"a"` is not taken for the beginning of `"a" ...`: the comma is part of it.
    const comma = text.indexOf(COMMA, nameEnd);
    if (comma === -1 || comma > 1024) return;
    const beginning = new Beginning(text.subarray(0, comma + 1));
    const { bytes } = beginning;
    if (!certain.test(bytes.toString('utf8'))) return;
    // Without a namespace up to here one may still follow the data: only safe where it would make no difference.
    if (!bytes.includes('"namespace"') && this.#streams.onlyOneNamed(descriptor.name) !== tally) return;
    this.#last = { beginning, tally };
    const view = viewOf(bytes);
    if (head.begins(view, 0, bytes.length)) {
      const key = compactKey(bytes, view, 0);
      if (key.length === bytes.length - head.bytes.length) this.#compact.set(key, this.#last);
      return;
    }
    if (this.#beginnings.length >= mostBeginnings) this.#beginnings.shift();
    this.#beginnings.push(this.#last);
  }
}

/** What follows {@link head} up to the comma behind the name, or behind the namespace if that comes next; '' = cannot tell. */
function compactKey(block: Buffer, view: DataView, at: number): string {
  const start = at + head.bytes.length;
  let end = block.indexOf(QUOTE, start) + 1;
  if (namespaceHead.begins(view, end, block.length)) end = block.indexOf(QUOTE, end + namespaceHead.bytes.length) + 1;
  // An escaped quote ends the key too early: then no comma follows, or the key is not one that was learned.
  return end > 0 && block[end] === COMMA ? block.toString('latin1', start, end + 1) : '';
}

function isBlank(text: Buffer): boolean {
  for (const byte of text) if (byte !== 0x20 && byte !== 0x09 && byte !== 0x0d) return false;
  return true;
}
