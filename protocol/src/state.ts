/**
 * STATE lines as bytes. A state's content is the source's own: it is never parsed and written again (integers over
 * 2^53 would not survive), only spliced, and kept as text.
 */
import { streamKey } from './descriptor.js';
import { protocolError } from './errors.js';
import { StateBody, type StreamDescriptor } from './messages.js';
import { forEachMember, scanEnvelope } from './scan.js';

export type StateKind = 'STREAM' | 'GLOBAL' | 'LEGACY';

export interface StateSummary {
  readonly kind: StateKind;
  /** `streamKey` of the stream for STREAM, else ''. */
  readonly key: string;
  readonly descriptor: StreamDescriptor | undefined;
  readonly id: number | undefined;
  /** `sourceStats.recordCount` and `destinationStats.recordCount`, where present. */
  readonly sourceCount: number | undefined;
  readonly destinationCount: number | undefined;
  /** `destinationStats.nulledValues`: values that the destination could not hold, where it says so. */
  readonly nulledValues?: number | undefined;
}

/** The text of the `state` member of a STATE line: the AirbyteStateMessage. */
export function stateBodyOf(line: Buffer): string {
  const envelope = scanEnvelope(line);
  if (envelope?.type !== 'STATE' || envelope.bodyStart === -1) {
    throw protocolError(`a STATE line of ${line.length} bytes has no state in it`);
  }
  return line.toString('utf8', envelope.bodyStart, envelope.bodyEnd);
}

/** What a state is about. Parses it, which is safe for reading: only its bytes are ever kept. */
export function summarizeState(body: string): StateSummary {
  const parsed = StateBody.safeParse(parseJson(body));
  if (!parsed.success) throw protocolError('a STATE does not have the form of the protocol', { internalMessage: parsed.error.message });
  const { type, stream, global, id, sourceStats, destinationStats } = parsed.data;
  const kind: StateKind = type ?? (stream ? 'STREAM' : global ? 'GLOBAL' : 'LEGACY');
  const descriptor = kind === 'STREAM' ? stream?.stream_descriptor : undefined;
  if (kind === 'STREAM' && !descriptor) throw protocolError('a STATE of type STREAM names no stream');
  return {
    kind,
    key: descriptor ? streamKey(descriptor) : '',
    descriptor,
    id: id ?? undefined,
    sourceCount: sourceStats?.recordCount ?? undefined,
    destinationCount: destinationStats?.recordCount ?? undefined,
    nulledValues: destinationStats?.nulledValues ?? undefined,
  };
}

/**
 * Gives a state the platform's `id`, and `sourceStats` where the source sent none. Inserted at the front, so that
 * {@link untagState} gives back the source's bytes; an `id` of the source's own is taken out. The counts stand before
 * the id: behind it they are the source's own.
 */
export function tagState(body: string, id: number, recordCount: number): string {
  const bare = withoutMember(body, 'id');
  let hasStats = false;
  forEachMember(Buffer.from(bare), 0, (key) => {
    if (key === 'sourceStats') hasStats = true;
  });
  const tag = `${hasStats ? '' : `"sourceStats":{"recordCount":${recordCount}},`}"id":${id}`;
  return /^\{\s*\}/.test(bare) ? `{${tag}${bare.slice(1)}` : `{${tag},${bare.slice(1)}`;
}

/** The source's own bytes of a state that {@link tagState} tagged; any other state as it is. */
export const untagState = (body: string): string =>
  body.replace(/^\{(?:"sourceStats":\{"recordCount":\d+\},)?"id":\d+(?:,|(?=\s*\}))/, '{');

/** Adds what a destination counted, before the closing brace; `nulledValues` only where there are any. */
export function withDestinationStats(body: string, recordCount: number, nulledValues = 0): string {
  const end = body.lastIndexOf('}');
  const comma = /^\{\s*$/.test(body.slice(0, end)) ? '' : ',';
  const nulled = nulledValues > 0 ? `,"nulledValues":${nulledValues}` : '';
  return `${body.slice(0, end)}${comma}"destinationStats":{"recordCount":${recordCount}${nulled}}}`;
}

/** A STATE line, end included, around a body. */
export const stateLine = (body: string): string => `{"type":"STATE","state":${body}}\n`;

const known = new Map<string, StateSummary>();

/** A thousand streams merge a thousand times over the same texts: each is parsed once. */
function knownSummary(body: string): StateSummary {
  let summary = known.get(body);
  if (!summary) {
    summary = summarizeState(body);
    if (known.size >= 10_000) known.clear();
    if (body.length < 10_000) known.set(body, summary);
  }
  return summary;
}

/**
 * The states that a `--state` file holds after `next` came: STREAM states one a descriptor, a GLOBAL or LEGACY one
 * replaces all. Mixing the two kinds is a protocol error.
 */
export function mergeStates(states: readonly string[], next: string): string[] {
  const summary = summarizeState(next);
  if (summary.kind !== 'STREAM') return [next];
  const kept = states.filter((state) => {
    const other = knownSummary(state);
    if (other.kind !== 'STREAM') throw protocolError(`a STATE of type STREAM follows one of type ${other.kind}`);
    return other.key !== summary.key;
  });
  return [...kept, next];
}

/** The object without all members of this name, everything else byte for byte. */
function withoutMember(body: string, name: string): string {
  const bytes = Buffer.from(body);
  let own: readonly [number, number] | undefined;
  let next: number | undefined;
  forEachMember(bytes, 0, (key, _valueStart, valueEnd, memberStart) => {
    if (own) {
      next = memberStart;
      return true;
    }
    if (key === name) own = [memberStart, valueEnd];
    return false;
  });
  if (!own) return body;
  const before = bytes.toString('utf8', 0, own[0]);
  const rest = next === undefined ? before.replace(/,\s*$/, '') + bytes.toString('utf8', own[1]) : before + bytes.toString('utf8', next);
  return withoutMember(rest, name);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw protocolError('a STATE is not valid JSON', { cause });
  }
}
