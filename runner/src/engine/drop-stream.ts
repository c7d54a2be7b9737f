/** Takes one stream's state out of a set of states, by bytes: what stays is exactly what the source wrote. */
import { forEachMember, skipSpace, skipValue, streamKey, summarizeState, type StreamDescriptor } from '@tapline/protocol';

/** STREAM: its state leaves. GLOBAL: its entry leaves, the shared part stays. LEGACY: cannot be taken apart, and stays. */
export function dropStream(states: readonly string[], key: string): string[] {
  return states.flatMap((body) => {
    const summary = summarizeState(body);
    if (summary.kind === 'STREAM') return summary.key === key ? [] : [body];
    return summary.kind === 'GLOBAL' ? [withoutEntry(body, key)] : [body];
  });
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
  const [globalStart] = memberOf(bytes, skipSpace(bytes, 0), 'global');
  const [listStart] = globalStart === -1 ? [-1] : memberOf(bytes, globalStart, 'stream_states');
  const entries: Entry[] = [];
  if (listStart === -1 || bytes[listStart] !== 0x5b) return entries;
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

function memberOf(bytes: Buffer, at: number, name: string): readonly [number, number] {
  let range: readonly [number, number] = [-1, -1];
  forEachMember(bytes, at, (key, start, end) => {
    if (key === name) range = [start, end];
  });
  return range;
}
