/**
 * The states in a file that people hand to `state set`: `state show --json`, a `--state` file (an array of STATE bodies or
 * messages), STATE lines, or one state. Their bytes are kept as they stand: parsing and writing would damage long integers.
 */
import { configError, forEachMember, skipSpace, skipValue, summarizeState, type StreamDescriptor } from '@tapline/protocol';

/** Bodies of STATE messages. `stream`: what a bare stream state in the file belongs to. Throws a `config_error`. */
export function statesIn(text: string, path: string, stream?: StreamDescriptor): string[] {
  const bytes = Buffer.from(text.replace(/^\uFEFF/, ''));
  const bodies = values(bytes, skipSpace(bytes, 0), path).flatMap((value) => bodiesOf(value, stream));
  for (const body of bodies) {
    try {
      summarizeState(body);
    } catch (cause) {
      throw configError(`${path} holds something that is no STATE: ${(cause as Error).message}`, { code: 'bad_state', cause });
    }
  }
  return bodies;
}

/** The JSON values that stand one after another. */
function values(bytes: Buffer, start: number, path: string): string[] {
  const found: string[] = [];
  for (let at = start; at < bytes.length; ) {
    const end = skipValue(bytes, at);
    const text = end === -1 ? '' : bytes.toString('utf8', at, end);
    if (end === -1 || !isJson(text)) throw configError(`${path} is not valid JSON`, { code: 'bad_state' });
    found.push(text);
    at = skipSpace(bytes, end);
  }
  return found;
}

function bodiesOf(text: string, stream: StreamDescriptor | undefined): string[] {
  if (text.startsWith('[')) return elements(text).flatMap((element) => bodiesOf(element, stream));
  // state.json keeps each body as a string.
  if (text.startsWith('"')) return bodiesOf(JSON.parse(text) as string, stream);
  const members = new Map<string, string>();
  const bytes = Buffer.from(text);
  forEachMember(bytes, 0, (key, start, end) => void members.set(key, bytes.toString('utf8', start, end)));
  const states = members.get('states');
  if (states?.startsWith('[')) return bodiesOf(states, stream);
  const state = members.get('state');
  if (members.get('type') === '"STATE"' && state !== undefined) return [state];
  const isBody = ['"STREAM"', '"GLOBAL"', '"LEGACY"'].includes(members.get('type') ?? '') || members.has('stream') || members.has('global');
  if (stream && !isBody) return [`{"type":"STREAM","stream":{"stream_descriptor":${JSON.stringify(stream)},"stream_state":${text}}}`];
  return [text];
}

function elements(array: string): string[] {
  const bytes = Buffer.from(array);
  const found: string[] = [];
  for (let at = skipSpace(bytes, 1); at < bytes.length - 1; ) {
    const end = skipValue(bytes, at);
    found.push(bytes.toString('utf8', at, end));
    at = skipSpace(bytes, end);
    if (bytes[at] === 0x2c) at = skipSpace(bytes, at + 1);
  }
  return found;
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
