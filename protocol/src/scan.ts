/**
 * A scanner of JSON bytes that builds nothing: where a value ends, which members an object has. It is how lines are
 * told apart and spliced without parsing them, and how digits that a double would damage are kept as they came.
 * It accepts every valid JSON text; of an invalid one it may accept more than JSON.parse does, never less.
 */
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const COLON = 0x3a;
const COMMA = 0x2c;

/** Offset of the next byte that is no JSON white space. */
export function skipSpace(bytes: Buffer, at: number): number {
  let byte = bytes[at];
  while (byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09) byte = bytes[++at];
  return at;
}

/** Offset just past the string that begins at `at` (its opening quote), or -1 if it does not end. */
export function skipString(bytes: Buffer, at: number): number {
  // Most strings are short: a plain loop first, then the native search that wins on long ones.
  const near = Math.min(at + 48, bytes.length);
  let i = at + 1;
  for (; i < near; i++) {
    const byte = bytes[i];
    if (byte === QUOTE) return i + 1;
    if (byte === BACKSLASH) i++;
  }
  // `i` may stand one past `near` when an escape straddled it; both are unescaped positions.
  for (;;) {
    const quote = bytes.indexOf(QUOTE, i);
    if (quote === -1) return -1;
    let backslashes = 0;
    while (quote - 1 - backslashes >= i && bytes[quote - 1 - backslashes] === BACKSLASH) backslashes++;
    if (backslashes % 2 === 0) return quote + 1;
    i = quote + 1;
  }
}

/** Offset just past the value that begins at `at`, or -1 if it does not end. */
export function skipValue(bytes: Buffer, at: number): number {
  const first = bytes[at];
  if (first === QUOTE) return skipString(bytes, at);
  if (first === OPEN_BRACE || first === OPEN_BRACKET) return skipNested(bytes, at);
  let i = at;
  for (; i < bytes.length; i++) {
    const byte = bytes[i]!;
    if (byte === COMMA || byte === CLOSE_BRACE || byte === CLOSE_BRACKET || byte <= 0x20) break;
  }
  return i === at ? -1 : i;
}

function skipNested(bytes: Buffer, at: number): number {
  // Brackets must match in kind: `{]` is no value. A string of closers, because depth has no bound.
  const closers: number[] = [];
  for (let i = at; i < bytes.length; i++) {
    const byte = bytes[i];
    if (byte === QUOTE) {
      const end = skipString(bytes, i);
      if (end === -1) return -1;
      i = end - 1;
    } else if (byte === OPEN_BRACE) closers.push(CLOSE_BRACE);
    else if (byte === OPEN_BRACKET) closers.push(CLOSE_BRACKET);
    else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) {
      if (closers.pop() !== byte) return -1;
      if (closers.length === 0) return i + 1;
    }
  }
  return -1;
}

/** Called for each member: its key decoded, and the range of its value. Return true to stop. */
export type MemberVisitor = (key: string, valueStart: number, valueEnd: number, memberStart: number) => boolean | void;

/**
 * Walks the members of the object that begins at `at`. Returns the offset just past the object (or past the member
 * at which the visitor stopped), or -1 if there is no whole object.
 */
export function forEachMember(bytes: Buffer, at: number, visit: MemberVisitor): number {
  if (bytes[at] !== OPEN_BRACE) return -1;
  let i = skipSpace(bytes, at + 1);
  if (bytes[i] === CLOSE_BRACE) return i + 1;
  for (;;) {
    if (bytes[i] !== QUOTE) return -1;
    const memberStart = i;
    const keyEnd = skipString(bytes, i);
    if (keyEnd === -1) return -1;
    const key = decodeString(bytes, i, keyEnd);
    i = skipSpace(bytes, keyEnd);
    if (bytes[i] !== COLON) return -1;
    const valueStart = skipSpace(bytes, i + 1);
    const valueEnd = skipValue(bytes, valueStart);
    if (valueEnd === -1) return -1;
    if (visit(key, valueStart, valueEnd, memberStart) === true) return valueEnd;
    i = skipSpace(bytes, valueEnd);
    if (bytes[i] === CLOSE_BRACE) return i + 1;
    if (bytes[i] !== COMMA) return -1;
    i = skipSpace(bytes, i + 1);
  }
}

/** The string literal in [start, end), quotes included, decoded. One that is no valid literal comes as its raw text. */
export function decodeString(bytes: Buffer, start: number, end: number): string {
  const raw = bytes.toString('utf8', start + 1, end - 1);
  if (!raw.includes('\\')) return raw;
  try {
    return JSON.parse(`"${raw}"`) as string;
  } catch {
    return raw;
  }
}

/** What a line says it is. */
export interface Envelope {
  /** The top-level `type`, wherever it stands. */
  readonly type: string;
  /** Range of the value of the top-level member that carries the body (`record`, `state` …); -1 if there is none. */
  readonly bodyStart: number;
  readonly bodyEnd: number;
}

const bodyMember: Readonly<Record<string, string>> = {
  RECORD: 'record', STATE: 'state', LOG: 'log', SPEC: 'spec', CONNECTION_STATUS: 'connectionStatus', CATALOG: 'catalog',
  TRACE: 'trace', CONTROL: 'control', DESTINATION_CATALOG: 'destination_catalog', TAPLINE: 'tapline',
};

/** Reads the envelope of one line, or undefined if the line is not one whole JSON object with a string `type`. */
export function scanEnvelope(line: Buffer): Envelope | undefined {
  let type: string | undefined;
  const bodies = new Map<string, readonly [number, number]>();
  const start = skipSpace(line, 0);
  const end = forEachMember(line, start, (key, valueStart, valueEnd) => {
    if (key === 'type' && line[valueStart] === QUOTE) type = decodeString(line, valueStart, valueEnd);
    else if (line[valueStart] === OPEN_BRACE) bodies.set(key, [valueStart, valueEnd]);
  });
  if (end === -1 || type === undefined || skipSpace(line, end) !== line.length) return undefined;
  const [bodyStart, bodyEnd] = bodies.get(bodyMember[type] ?? '') ?? [-1, -1];
  return { type, bodyStart, bodyEnd };
}
