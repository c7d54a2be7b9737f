/**
 * One RECORD line, walked: each declared value comes out as a JSON string (digits as they came) or null, under the name that
 * the engine reads; what is not declared is gathered. Text is handled as latin1, one character a byte, so that bytes pass as
 * they came; nothing is parsed as a number.
 */
import { isUtf8 } from 'node:buffer';
import type { LogicalType } from '@tapline/catalog';
import { forEachMember, skipSpace, skipString } from '@tapline/protocol';
import type { ColumnPlan } from './column-plan.js';
import { memberName } from './copy-sql.js';

export interface WalkedRecord {
  /** The line for the engine, latin1, with its end. */
  readonly line: string;
  /** Members of `data` that the schema does not declare. */
  readonly undeclared: readonly string[];
}

/** `malformed`: not one whole JSON object with a record in it. `no_data`: a record whose `data` is missing. */
export type WalkResult = WalkedRecord | 'malformed' | 'no_data';

/** Thrown out of the member visitors; never leaves this file. */
class Malformed extends Error {}

export class RecordWalker {
  readonly #slots = new Map<string, { readonly member: string; readonly type: LogicalType }>();

  constructor(plan: ColumnPlan) {
    plan.columns.forEach((column, i) => this.#slots.set(column.field, { member: memberName(column.field, i, 'walked'), type: column.type }));
    if (plan.ownOrder) this.#slots.set('_tapline_order', { member: memberName('', plan.columns.length, 'walked'), type: { kind: 'text' } });
  }

  /** `valid`: the line's bytes are known to be UTF-8. The line comes without its end. */
  walk(line: Buffer, valid: boolean): WalkResult {
    try {
      return this.#walk(line, valid);
    } catch (error) {
      if (error instanceof Malformed) return 'malformed';
      throw error;
    }
  }

  #walk(line: Buffer, valid: boolean): WalkResult {
    let record = -1;
    const end = forEachMember(line, skipSpace(line, 0), (key, start, stop, member) => {
      checkKey(line, key, member);
      if (key === 'record') record = start;
      else if (!isValidJson(line, start, stop)) throw new Malformed();
    });
    if (end === -1 || skipSpace(line, end) !== line.length || record === -1) return 'malformed';
    let data = -1;
    let emittedAt = 'null';
    let changes: Change[] = [];
    const recordEnd = forEachMember(line, record, (key, start, stop, member) => {
      checkKey(line, key, member);
      if (key === 'data') data = line[start] === OPEN_BRACE ? start : -1;
      else if (!isValidJson(line, start, stop)) throw new Malformed();
      if (key === 'emitted_at') emittedAt = milliseconds(line.toString('latin1', start, stop));
      if (key === 'meta') changes = ownChanges(line.toString('utf8', start, stop));
    });
    if (recordEnd === -1) return 'malformed';
    if (data === -1) return 'no_data';

    const members = new Map<string, string>();
    const extras = new Map<string, string>();
    const lost = new Set<string>();
    const dataEnd = forEachMember(line, data, (key, start, stop, member) => {
      checkKey(line, key, member);
      const slot = this.#slots.get(key);
      // The last of two members of one name wins, as in every parser.
      lost.delete(key);
      if (slot) {
        const value = declaredValue(line, start, stop, slot.type, valid);
        if (value === undefined) lost.add(key);
        members.set(slot.member, value ?? 'null');
      } else {
        if (!isValidJson(line, start, stop)) throw new Malformed();
        if (valid || isUtf8(line.subarray(start, stop))) extras.set(key, line.toString('utf8', start, stop));
        else lost.add(key);
      }
    });
    if (dataEnd === -1) return 'malformed';
    for (const field of lost) changes.push({ field, change: 'NULLED', reason: 'DESTINATION_SERIALIZATION_ERROR' });
    return { line: compose(emittedAt, changes, members, extras), undeclared: [...extras.keys()] };
  }
}

interface Change {
  readonly field: string;
  readonly change: string;
  readonly reason: string;
}

const QUOTE = 0x22;
const OPEN_BRACE = 0x7b;
const OPEN_BRACKET = 0x5b;

function compose(emittedAt: string, changes: readonly Change[], members: ReadonlyMap<string, string>, extras: ReadonlyMap<string, string>): string {
  let data = '';
  for (const [member, value] of members) data += `${data === '' ? '' : ','}"${member}":${value}`;
  const meta = changes.length === 0 ? '' : `,"meta":{"changes":${bytesOf(wellFormed(JSON.stringify(changes)))}}`;
  let extra = '';
  if (extras.size > 0) {
    const text = [...extras].map(([key, value]) => `${JSON.stringify(key)}:${value}`).join(',');
    extra = `,"extra":${bytesOf(JSON.stringify(`{${text}}`))}`;
  }
  return `{"record":{"emitted_at":${emittedAt}${meta},"data":{${data}}${extra}}}\n`;
}

/** A value as a JSON string literal or `null`, in latin1; undefined where text cannot be held as UTF-8. */
function declaredValue(line: Buffer, start: number, stop: number, type: LogicalType, valid: boolean): string | undefined {
  const raw = line.toString('latin1', start, stop);
  if (raw === 'null') return raw;
  if (line[start] === QUOTE && !(type.kind === 'json' && type.embedded)) {
    const literal = textLiteral(line, start, stop, raw, valid);
    if (literal === undefined || type.kind !== 'decimal') return literal;
    const digits = literal.slice(1, -1);
    const plain = withoutExponent(digits);
    return plain === digits ? literal : `"${plain}"`;
  }
  if (!isValidJson(line, start, stop) && !nonFinite.test(raw)) throw new Malformed();
  if (line[start] === QUOTE || line[start] === OPEN_BRACE || line[start] === OPEN_BRACKET) {
    return valid || isUtf8(line.subarray(start, stop)) ? JSON.stringify(raw) : undefined;
  }
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
function textLiteral(line: Buffer, start: number, stop: number, raw: string, valid: boolean): string | undefined {
  if (!valid && !isUtf8(line.subarray(start, stop))) return undefined;
  if (!escapeOrControl.test(raw)) return raw;
  let text: unknown;
  try {
    text = JSON.parse(line.toString('utf8', start, stop));
  } catch {
    throw new Malformed();
  }
  return loneSurrogate.test(text as string) ? undefined : raw;
}

const escapeOrControl = /[\\\u0000-\u001f]/;
/** No JSON, but what Python writes, and the engine reads. */
const nonFinite = /^(?:NaN|-?Infinity)$/;
const loneSurrogate = /\p{Surrogate}/u;
const wellFormed = (text: string): string => text.replace(/\p{Surrogate}/gu, '\ufffd');
const bytesOf = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');

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

function ownChanges(meta: string): Change[] {
  const changes = (JSON.parse(meta) as { changes?: unknown } | null)?.changes;
  if (!Array.isArray(changes)) return [];
  const text = (value: unknown): string => (typeof value === 'string' ? value : '');
  return changes.map((change: Record<string, unknown> | null) => ({ field: text(change?.['field']), change: text(change?.['change']), reason: text(change?.['reason']) }));
}

/** The scanner takes a key that is no valid literal as its raw text: then it holds what needed an escape. */
function checkKey(line: Buffer, key: string, start: number): void {
  if (escapeOrControl.test(key) && !isValidJson(line, start, skipString(line, start))) throw new Malformed();
}

function isValidJson(line: Buffer, start: number, stop: number): boolean {
  const first = line[start];
  if (first === QUOTE && !escapeOrControl.test(line.toString('latin1', start, stop))) return true;
  if (first === OPEN_BRACE || first === OPEN_BRACKET || first === QUOTE) {
    try {
      JSON.parse(line.toString('utf8', start, stop));
      return true;
    } catch {
      return false;
    }
  }
  return scalar.test(line.toString('latin1', start, stop));
}

const scalar = /^(?:true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)$/;
