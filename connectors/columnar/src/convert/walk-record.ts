/**
 * One RECORD line, walked: each declared value comes out as a JSON string (digits as they came) or null, under the name that
 * the engine reads; what is not declared is gathered. Text is handled as latin1, one character a byte, so that bytes pass as
 * they came; nothing is parsed as a number.
 */
import { isUtf8 } from 'node:buffer';
import type { LogicalType } from '@tapline/catalog';
import { skipSpace, skipString, skipValue } from '@tapline/protocol';
import type { ColumnPlan } from './column-plan.js';
import { memberName } from './line-sql.js';

export interface WalkedRecord {
  /** The line for the engine, latin1, with its end. */
  readonly line: string;
  /** Members of `data` that the schema does not declare. */
  readonly undeclared: readonly string[];
  /** Values that are null in `line` because they are as long as they are. */
  readonly large: readonly LargeValue[];
}

/** Where in the line it came in a long value stands, and of which column it is. */
export interface LargeValue {
  readonly column: number;
  readonly start: number;
  readonly stop: number;
  /** The JSON itself is the value, quotes included. */
  readonly embedded: boolean;
}

/** `malformed`: not one whole JSON object with a record in it. `no_data`: a record whose `data` is missing. */
export type WalkResult = WalkedRecord | 'malformed' | 'no_data';

/** Thrown while walking; never leaves this file. */
class Malformed extends Error {}

export interface WalkerOptions {
  /** Values of so many bytes and more come out apart. */
  readonly largeFrom?: number;
  /** Names of columns that a record's `meta.unchanged` has come out, too. */
  readonly unchanged?: boolean;
}

interface Slot {
  readonly index: number;
  readonly type: LogicalType;
}

/** Takes the member whose value begins at `start`; returns where the value ends. `key`: its bytes as latin1. */
type Visit = (key: string, start: number) => number;

/** One pass over the bytes: what is found is kept in the walker, and no object is made for a row. */
export class RecordWalker {
  readonly #slots = new Map<string, Slot>();
  readonly #prefixes: string[] = [];
  #line: Buffer = Buffer.alloc(0);
  #text = '';
  #valid = true;
  #found = false;
  #hasData = false;
  #emittedAt = 'null';
  #changes: Change[] = [];
  #unchanged: readonly string[] = none;
  #values: (string | undefined)[] = [];
  #extras = new Map<string, string>();
  #lost = new Set<string>();
  #large: LargeValue[] = [];
  readonly #largeFrom: number;
  readonly #leftOut: ReadonlySet<string>;
  /** Columns by field, where what a record calls unchanged is wanted. */
  readonly #columns: ReadonlyMap<string, string> | undefined;

  constructor(plan: ColumnPlan, { largeFrom = Infinity, unchanged = false }: WalkerOptions = {}) {
    this.#largeFrom = largeFrom;
    this.#columns = unchanged ? new Map(plan.columns.map(({ field, name }) => [field, name])) : undefined;
    this.#leftOut = new Set(plan.leftOut.map(bytesOf));
    plan.columns.forEach(({ field, type }, index) => this.#addSlot(field, { index, type }));
    if (plan.ownOrder) this.#addSlot('_tapline_order', { index: plan.columns.length, type: { kind: 'text' } });
  }

  #addSlot(field: string, slot: Slot): void {
    this.#slots.set(bytesOf(field), slot);
    this.#prefixes.push(`"${memberName(field, slot.index, 'walked')}":`);
  }

  /** `valid`: the line's bytes are known to be UTF-8. The line comes without its end. */
  walk(line: Buffer, valid: boolean): WalkResult {
    this.#line = line;
    this.#text = line.toString('latin1');
    this.#valid = valid;
    this.#found = false;
    try {
      const end = this.#members(skipSpace(line, 0), this.#message);
      if (!this.#found || skipSpace(line, end) !== line.length) return 'malformed';
    } catch (error) {
      if (error instanceof Malformed) return 'malformed';
      throw error;
    }
    if (!this.#hasData) return 'no_data';
    for (const field of this.#lost) this.#changes.push({ field: textOf(field), change: 'NULLED', reason: 'DESTINATION_SERIALIZATION_ERROR' });
    return { line: this.#compose(), undeclared: this.#extras.size === 0 ? none : [...this.#extras.keys()].map(textOf), large: this.#large };
  }

  readonly #message: Visit = (key, start) => {
    if (key !== 'record') return this.#skip(start);
    this.#found = true;
    this.#hasData = false;
    this.#emittedAt = 'null';
    this.#changes = [];
    this.#unchanged = none;
    return this.#members(start, this.#record);
  };

  readonly #record: Visit = (key, start) => {
    if (key === 'data') {
      this.#hasData = this.#line[start] === OPEN_BRACE;
      this.#values = [];
      this.#large = [];
      if (this.#extras.size > 0) this.#extras = new Map();
      if (this.#lost.size > 0) this.#lost = new Set();
      return this.#hasData ? this.#members(start, this.#datum) : this.#skip(start);
    }
    const stop = this.#skip(start);
    if (key === 'emitted_at') this.#emittedAt = milliseconds(this.#text.slice(start, stop));
    if (key === 'meta') this.#meta(this.#line.toString('utf8', start, stop));
    return stop;
  };

  #meta(text: string): void {
    const meta = JSON.parse(text) as { changes?: unknown; unchanged?: unknown } | null;
    this.#changes = ownChanges(meta?.changes);
    const columns = this.#columns;
    const named = columns && Array.isArray(meta?.unchanged) ? meta.unchanged : none;
    this.#unchanged = named.flatMap((field: unknown) => columns?.get(field as string) ?? []);
  }

  readonly #datum: Visit = (key, start) => {
    const slot = this.#slots.get(key);
    // The last of two members of one name wins, as in every parser.
    if (this.#lost.size > 0) this.#lost.delete(key);
    const stop = slot ? this.#end(start) : this.#skip(start);
    if (!slot && this.#leftOut.has(key)) return stop;
    if (slot) {
      const value = this.#declared(start, stop, slot.type);
      if (value === undefined) this.#lost.add(key);
      const large = value !== undefined && stop - start >= this.#largeFrom;
      if (this.#large.length > 0) this.#large = this.#large.filter(({ column }) => column !== slot.index);
      if (large) this.#large.push({ column: slot.index, start, stop, embedded: slot.type.kind === 'json' && slot.type.embedded });
      this.#values[slot.index] = large ? 'null' : value;
    } else if (this.#valid || isUtf8(this.#line.subarray(start, stop))) {
      this.#extras.set(key, this.#text.slice(start, stop));
    } else {
      this.#lost.add(key);
    }
    return stop;
  };

  /** Walks the object that begins at `at`; returns where it ends. */
  #members(at: number, visit: Visit): number {
    const line = this.#line;
    if (line[at] !== OPEN_BRACE) throw new Malformed();
    let i = skipSpace(line, at + 1);
    if (line[i] === CLOSE_BRACE) return i + 1;
    for (;;) {
      if (line[i] !== QUOTE) throw new Malformed();
      const keyEnd = skipString(line, i);
      if (keyEnd === -1) throw new Malformed();
      const colon = skipSpace(line, keyEnd);
      if (line[colon] !== COLON) throw new Malformed();
      i = skipSpace(line, visit(this.#key(i, keyEnd), skipSpace(line, colon + 1)));
      if (line[i] === CLOSE_BRACE) return i + 1;
      if (line[i] !== COMMA) throw new Malformed();
      i = skipSpace(line, i + 1);
    }
  }

  #key(start: number, end: number): string {
    const raw = this.#text.slice(start + 1, end - 1);
    return escapeOrControl.test(raw) ? bytesOf(wellFormed(parsed(this.#line, start, end) as string)) : raw;
  }

  #end(start: number): number {
    const stop = skipValue(this.#line, start);
    if (stop === -1) throw new Malformed();
    return stop;
  }

  /** As {@link #end}, for a value that is only passed on: it must be valid JSON. */
  #skip(start: number): number {
    const stop = this.#end(start);
    const first = this.#line[start];
    const raw = this.#text.slice(start, stop);
    if (first === QUOTE ? escapeOrControl.test(raw) : first === OPEN_BRACE || first === OPEN_BRACKET) parsed(this.#line, start, stop);
    else if (first !== QUOTE && !scalar.test(raw)) throw new Malformed();
    return stop;
  }

  /** A value as a JSON string literal or `null`, in latin1; undefined where text cannot be held as UTF-8. */
  #declared(start: number, stop: number, type: LogicalType): string | undefined {
    const raw = this.#text.slice(start, stop);
    if (raw === 'null') return raw;
    const first = this.#line[start];
    if (first === QUOTE && !(type.kind === 'json' && type.embedded)) {
      const literal = this.#literal(start, stop, raw);
      if (literal === undefined || type.kind !== 'decimal') return literal;
      const digits = literal.slice(1, -1);
      const plain = withoutExponent(digits);
      return plain === digits ? literal : `"${plain}"`;
    }
    if (first === QUOTE || first === OPEN_BRACE || first === OPEN_BRACKET) {
      parsed(this.#line, start, stop);
      return this.#valid || isUtf8(this.#line.subarray(start, stop)) ? JSON.stringify(raw) : undefined;
    }
    if (!scalar.test(raw) && !nonFinite.test(raw)) throw new Malformed();
    switch (type.kind) {
      case 'int':
        return `"${wholeNumber(raw)}"`;
      case 'decimal':
        return `"${withoutExponent(raw)}"`;
      case 'float':
        return raw === 'true' ? '"1"' : raw === 'false' ? '"0"' : `"${raw}"`;
      default:
        return `"${raw}"`;
    }
  }

  /** Most strings have neither escapes nor control characters, and pass as they are. */
  #literal(start: number, stop: number, raw: string): string | undefined {
    if (!this.#valid && !isUtf8(this.#line.subarray(start, stop))) return undefined;
    if (!escapeOrControl.test(raw)) return raw;
    return loneSurrogate.test(parsed(this.#line, start, stop) as string) ? undefined : raw;
  }

  #compose(): string {
    let data = '';
    for (let i = 0; i < this.#values.length; i++) {
      const value = this.#values[i];
      if (value !== undefined) data += (data === '' ? '' : ',') + this.#prefixes[i]! + value;
    }
    const unchanged = this.#unchanged.length === 0 ? '' : `,"unchanged":${JSON.stringify(this.#unchanged)}`;
    const meta = this.#changes.length === 0 && unchanged === '' ? '' : `,"meta":{"changes":${bytesOf(wellFormed(JSON.stringify(this.#changes) + unchanged))}}`;
    let extra = '';
    if (this.#extras.size > 0) {
      // Keys and values are bytes here: what JSON.stringify escapes is the same in either.
      const members = [...this.#extras].map(([key, value]) => `${JSON.stringify(key)}:${value}`);
      extra = `,"extra":${JSON.stringify(`{${members.join(',')}}`)}`;
    }
    return `{"record":{"emitted_at":${this.#emittedAt}${meta},"data":{${data}}${extra}}}\n`;
  }
}

const none: readonly string[] = [];

/** The text of a {@link LargeValue}: of a string what it says, of anything else its JSON. */
export function largeText(line: Buffer, { start, stop, embedded }: LargeValue): Buffer {
  if (embedded || line[start] !== QUOTE) return line.subarray(start, stop);
  const inner = line.subarray(start + 1, stop - 1);
  return inner.includes(BACKSLASH) ? Buffer.from(parsed(line, start, stop) as string) : inner;
}

interface Change {
  readonly field: string;
  readonly change: string;
  readonly reason: string;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const COLON = 0x3a;
const COMMA = 0x2c;

const escapeOrControl = /[\\\u0000-\u001f]/;
/** No JSON, but what Python writes, and the engine reads. */
const nonFinite = /^(?:NaN|-?Infinity)$/;
const loneSurrogate = /\p{Surrogate}/u;
const wellFormed = (text: string): string => text.replace(/\p{Surrogate}/gu, '\ufffd');
/** Text to its bytes, one character each, and back. */
const bytesOf = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');
const textOf = (bytes: string): string => Buffer.from(bytes, 'latin1').toString('utf8');

/** 1e3 and 12.0 are whole numbers, written oddly; any other text is left to the cast, which refuses it. */
function wholeNumber(raw: string): string {
  if (!/[.eE]/.test(raw)) return raw;
  const plain = withoutExponent(raw);
  return /^-?\d+(?:\.0*)?$/.test(plain) ? plain.replace(/\..*$/, '') : raw;
}

/** A decimal number in plain digits, exact; any other text as it is. */
export function withoutExponent(text: string): string {
  const match = /^(-?)(\d+)(?:\.(\d*))?[eE]([+-]?\d{1,4})$/.exec(text);
  if (!match) return text;
  const fraction = match[3] ?? '';
  const digits = match[2]! + fraction;
  const point = digits.length - fraction.length + Number(match[4]);
  // Nothing that lands in a column has more digits than this; the cast refuses the text as it is.
  if (point < -60 || point > 100) return text;
  if (point <= 0) return `${match[1]}0.${'0'.repeat(-point)}${digits}`;
  if (point >= digits.length) return match[1] + digits.padEnd(point, '0');
  return `${match[1]}${digits.slice(0, point)}.${digits.slice(point)}`;
}

/** Whole milliseconds within what a timestamp holds, else null. */
function milliseconds(raw: string): string {
  const value = Math.round(Number(raw.startsWith('"') ? raw.slice(1, -1) : raw));
  return Number.isSafeInteger(value) && raw !== 'null' && Math.abs(value) <= 8.64e15 ? String(value) : 'null';
}

function ownChanges(changes: unknown): Change[] {
  if (!Array.isArray(changes)) return [];
  const text = (value: unknown): string => (typeof value === 'string' ? value : '');
  return changes.map((change: Record<string, unknown> | null) => ({ field: text(change?.['field']), change: text(change?.['change']), reason: text(change?.['reason']) }));
}

/** The value of a literal; throws if it is none. */
function parsed(line: Buffer, start: number, stop: number): unknown {
  try {
    return JSON.parse(line.toString('utf8', start, stop));
  } catch {
    throw new Malformed();
  }
}

const scalar = /^(?:true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)$/;
