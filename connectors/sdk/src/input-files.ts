/** The files that a verb is given: configuration, catalog, states, session. */
import { readFile } from 'node:fs/promises';
import {
  configError, ConfiguredCatalog, Session, StateBody, streamKey, type ConfiguredStream, type StreamDescriptor,
} from '@tapline/protocol';
import type { z } from 'zod';
import { describeIssues } from './config-issues.js';
import type { DestinationDefinition, SourceDefinition } from './definition.js';

export async function readConfig<Config>(schema: z.ZodType<Config>, file: string): Promise<Config> {
  const parsed = await schema.safeParseAsync(await readJson('config', file));
  if (parsed.success) return parsed.data;
  throw configError(`the configuration is not valid: ${describeIssues(parsed.error)}`, { code: 'invalid_config' });
}

export async function readCatalog<Config>(
  definition: SourceDefinition<Config> | DestinationDefinition<Config>,
  file: string,
): Promise<ConfiguredCatalog> {
  const parsed = ConfiguredCatalog.safeParse(await readJson('catalog', file));
  if (!parsed.success) throw invalid('catalog', file, parsed.error);
  for (const stream of parsed.data.streams) requireModes(definition, stream);
  return parsed.data;
}

function requireModes<Config>(definition: SourceDefinition<Config> | DestinationDefinition<Config>, configured: ConfiguredStream): void {
  const name = streamKey(configured.stream);
  const supported = configured.stream.supported_sync_modes;
  if ('read' in definition) {
    if (!supported?.length || supported.includes(configured.sync_mode)) return;
    throw configError(`the stream ${name} cannot be read as ${configured.sync_mode}, only as ${supported.join(' or ')}`, { code: 'unsupported_mode' });
  }
  const mode = configured.destination_sync_mode;
  if ((definition.syncModes as readonly string[]).includes(mode)) return;
  const advice = definition.modeAdvice?.[mode];
  throw configError(
    `${definition.name} cannot write the stream ${name} as ${mode}, only as ${definition.syncModes.join(' or ')}${advice === undefined ? '' : `. ${advice}`}`,
    { code: 'unsupported_mode' },
  );
}

/** What a `--state` file says. */
export interface StartStates {
  readonly bodies: readonly StateBody[];
  stateOf(stream: StreamDescriptor): unknown;
  readonly streamStates: readonly { readonly stream: StreamDescriptor; readonly state: unknown }[];
  readonly globalState: unknown;
}

/**
 * A JSON array of states; and what else is met: one state, bare or as a whole message; the bare value of old platforms (LEGACY);
 * `[]`, `{}` and `null`, which mean from the start. An empty file is refused: it would be a full resync in silence.
 */
export async function readStates(file: string | undefined): Promise<StartStates> {
  const bodies = file === undefined ? [] : stateBodies(await readJson('state', file)).map((value) => parseState(value, file));
  const streams = new Map<string, { readonly stream: StreamDescriptor; readonly state: unknown }>();
  let globalState: unknown;
  for (const { stream, global, data } of bodies) {
    for (const { stream_descriptor: descriptor, stream_state: state } of [...(global?.stream_states ?? []), ...(stream ? [stream] : [])]) {
      streams.set(streamKey(descriptor), { stream: descriptor, state: state ?? undefined });
    }
    if (global) globalState = global.shared_state ?? undefined;
    else if (!stream) globalState = data ?? undefined;
  }
  return { bodies, stateOf: (stream) => streams.get(streamKey(stream))?.state, streamStates: [...streams.values()], globalState };
}

function stateBodies(value: unknown): unknown[] {
  if (value === null) return [];
  if (Array.isArray(value)) return value.map(unwrapMessage);
  if (typeof value !== 'object') return [value];
  if (Object.keys(value).length === 0) return [];
  const body = unwrapMessage(value);
  const isState = typeof body === 'object' && body !== null && ['type', 'stream', 'global', 'data'].some((key) => key in body);
  return [body !== value || isState ? body : { type: 'LEGACY', data: value }];
}

const unwrapMessage = (value: unknown): unknown =>
  typeof value === 'object' && value !== null && 'state' in value && 'type' in value && value.type === 'STATE' ? value.state : value;

function parseState(value: unknown, file: string): StateBody {
  const parsed = StateBody.safeParse(value);
  if (!parsed.success) throw invalid('state', file, parsed.error);
  return parsed.data;
}

export async function readSession(file: string | undefined): Promise<Session | undefined> {
  if (file === undefined) return undefined;
  const parsed = Session.safeParse(await readJson('session', file));
  if (!parsed.success) throw invalid('session', file, parsed.error);
  return parsed.data;
}

export async function readJson(flag: string, file: string): Promise<unknown> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (cause) {
    throw configError(`--${flag}: ${file} cannot be read (${(cause as NodeJS.ErrnoException).code ?? 'unknown'})`, { code: 'bad_file', cause });
  }
  try {
    return JSON.parse(text);
  } catch {
    // Not as its cause: the parser's message quotes the file, which may hold a secret.
    throw configError(`--${flag}: ${file} ${text.trim() === '' ? 'is empty' : 'is not valid JSON'}`, { code: 'bad_file' });
  }
}

const invalid = (flag: string, file: string, error: z.ZodError): Error =>
  configError(`--${flag}: ${file} is not valid: ${describeIssues(error)}`, { code: 'bad_file' });
