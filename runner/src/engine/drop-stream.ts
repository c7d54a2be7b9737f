/** Takes one stream's state out of a set of states, or replaces it, by bytes: what stays is exactly what the source wrote. */
import { forEachMember, protocolError, skipSpace, skipValue, streamKey, summarizeState, type StreamDescriptor } from '@tapline/protocol';

/**
 * STREAM: its state leaves. GLOBAL: its entry leaves, and with the last one the whole: a position that is shared by nobody means
 * nothing. LEGACY: cannot be taken apart, and stays.
 */
export function dropStream(states: readonly string[], key: string): string[] {
  return states.flatMap((body) => {
    const summary = summarizeState(body);
    if (summary.kind === 'STREAM') return summary.key === key ? [] : [body];
    if (summary.kind !== 'GLOBAL') return [body];
    const left = withoutEntry(body, key);
    return left !== body && isShared(left) ? [] : [left];
  });
}

/** A GLOBAL state in which no stream has an entry. */
export const isShared = (body: string): boolean => summarizeState(body).kind === 'GLOBAL' && entriesOf(Buffer.from(body)).length === 0;

/** A GLOBAL state with this entry of `stream_states` (its text) instead of the stream's own, or behind the others. */
export function withEntry(body: string, key: string, entry: string): string {
  const bytes = Buffer.from(body);
  const entries = entriesOf(bytes);
  const own = entries.find((one) => one.key === key);
  if (own) return bytes.toString('utf8', 0, own.start) + entry + bytes.toString('utf8', own.end);
  const last = entries.at(-1);
  if (last) return `${bytes.toString('utf8', 0, last.end)},${entry}${bytes.toString('utf8', last.end)}`;
  const list = listOf(bytes);
  if (list === -1) throw protocolError('a GLOBAL state has no stream_states');
  return `${bytes.toString('utf8', 0, list + 1)}${entry}${bytes.toString('utf8', skipSpace(bytes, list + 1))}`;
}

/** The text of a stream's entry: of `stream_states` of a GLOBAL state, or the `stream` of a STREAM one. */
export function entryOf(body: string, key: string): string | undefined {
  const bytes = Buffer.from(body);
  const summary = summarizeState(body);
  if (summary.kind === 'STREAM') {
    const [start, end] = memberOf(bytes, skipSpace(bytes, 0), 'stream');
    return summary.key === key && start !== -1 ? bytes.toString('utf8', start, end) : undefined;
  }
  const own = summary.kind === 'GLOBAL' ? entriesOf(bytes).find((one) => one.key === key) : undefined;
  return own && bytes.toString('utf8', own.start, own.end);
}

/** Has the stream a state of its own among these? A LEGACY one may hold anything. */
export function hasStateOf(states: readonly string[], key: string): boolean {
  return states.some((body) => {
    const summary = summarizeState(body);
    if (summary.kind === 'STREAM') return summary.key === key;
    return summary.kind === 'LEGACY' || entriesOf(Buffer.from(body)).some((entry) => entry.key === key);
  });
}

interface Entry {
  readonly key: string;
  readonly start: number;
  readonly end: number;
}

function withoutEntry(body: string, key: string): string {
  const bytes = Buffer.from(body);
  const entries = entriesOf(bytes);
  const at = entries.findIndex((entry) => entry.key === key);
  if (at === -1) return body;
  const entry = entries[at]!;
  const next = entries[at + 1];
  const before = entries[at - 1];
  // With one of its commas: the one after it, or, for the last, the one before.
  const [start, end] = next ? [entry.start, next.start] : [before ? before.end : entry.start, entry.end];
  return bytes.toString('utf8', 0, start) + bytes.toString('utf8', end);
}

/** The entries of `global.stream_states`. */
function entriesOf(bytes: Buffer): Entry[] {
  const listStart = listOf(bytes);
  const entries: Entry[] = [];
  if (listStart === -1) return entries;
  for (let at = skipSpace(bytes, listStart + 1); at < bytes.length && bytes[at] !== 0x5d; ) {
    const end = skipValue(bytes, at);
    if (end === -1) break;
    const entry = JSON.parse(bytes.toString('utf8', at, end)) as { stream_descriptor?: StreamDescriptor } | null;
    const descriptor = entry?.stream_descriptor;
    entries.push({ key: descriptor ? streamKey(descriptor) : '', start: at, end });
    at = skipSpace(bytes, end);
    if (bytes[at] === 0x2c) at = skipSpace(bytes, at + 1);
  }
  return entries;
}

/** Where the list `global.stream_states` begins, or -1. */
function listOf(bytes: Buffer): number {
  const [globalStart] = memberOf(bytes, skipSpace(bytes, 0), 'global');
  const [listStart] = globalStart === -1 ? [-1] : memberOf(bytes, globalStart, 'stream_states');
  return listStart !== -1 && bytes[listStart] === 0x5b ? listStart : -1;
}

function memberOf(bytes: Buffer, at: number, name: string): readonly [number, number] {
  let range: readonly [number, number] = [-1, -1];
  forEachMember(bytes, at, (key, start, end) => {
    if (key === name) range = [start, end];
  });
  return range;
}
