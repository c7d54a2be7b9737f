import { didYouMean, parsePattern, parseStreamName, type StreamPattern } from '@tapline/catalog';
import { configError, ExitCode, mergeStates, StateBody, streamKey, summarizeState, type StreamDescriptor } from '@tapline/protocol';
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { dropStream, entryOf, withEntry } from '../engine/drop-stream.js';
import { bytes, table } from '../report/numbers.js';
import { StateStore } from '../store/state-store.js';
import { requireSyncName } from '../sync-name.js';
import { UsageError } from './arguments.js';
import type { Context } from './context.js';
import { statesIn } from './state-file.js';
import { lagOf } from './state-lag.js';

const verbs: Readonly<Record<string, (context: Context) => Promise<void>>> = { list, show, set, reset };

/** `state list|show|set|reset`. What set and reset write, the next run takes as meant: the destination need not look behind. */
export async function stateCommand(context: Context): Promise<number> {
  const [verb] = context.words;
  if (verb === undefined) throw new UsageError('say what: state list, show, set or reset.', 'state');
  const run = Object.hasOwn(verbs, verb) ? verbs[verb] : undefined;
  if (!run) throw new UsageError(`there is no 'state ${verb}'.`, 'state', { wanted: verb, known: Object.keys(verbs) });
  const extra = context.words[{ list: 1, show: 2, set: 3, reset: 2 }[verb as 'list' | 'show' | 'set' | 'reset']];
  if (extra !== undefined) throw new UsageError(`'${extra}' is one word too many.`, 'state');
  await run(context);
  return ExitCode.ok;
}

async function list(context: Context): Promise<void> {
  const { out } = context.process;
  const names = await StateStore.syncs(context.stateDirectory);
  const rows = await Promise.all(
    names.map(async (sync) => {
      const state = await storeOf(context, sync).load().catch(() => 'damaged' as const);
      if (state === 'damaged') return { sync, saved_at: null, states: 0, damaged: true };
      return { sync, saved_at: state?.saved_at ?? null, states: state?.states.length ?? 0 };
    }),
  );
  if (context.json) return out(`${JSON.stringify({ type: 'syncs', syncs: rows })}\n`);
  if (rows.length === 0) return out(`no sync has a state in ${context.stateDirectory}\n`);
  out(`${table([['sync', 'saved', 'positions'], ...rows.map((row) => [row.sync, row.saved_at ?? ('damaged' in row ? 'damaged' : 'never'), String(row.states)])], [2])}\n`);
}

async function show(context: Context): Promise<void> {
  const { store, sync } = await existing(context);
  const { out } = context.process;
  const [state, overrides] = [await store.load(), await store.overrides()];
  const states = chosen(state?.states ?? [], context);
  const lag = await lagOf(context, sync, states);
  if (context.json) {
    // The bodies go in as they are: their bytes are the source's own.
    const head = {
      type: 'state', sync, state_id: state?.state_id ?? 0, saved_at: state?.saved_at ?? null, source: state?.source ?? '', pending_overrides: overrides !== undefined,
      ...(lag?.bytes !== undefined && { lag_bytes: lag.bytes }),
    };
    return out(`${JSON.stringify(head).slice(0, -1)},"states":[${states.join(',')}]}\n`);
  }
  out(`${sync}: ${state ? `saved ${state.saved_at}, checkpoint ${state.state_id}` : 'no state saved yet'}\n`);
  for (const body of states) out(positionsOf(body, context));
  if (lag) out(`lag: ${lag.bytes === undefined ? `unknown: ${lag.error}` : `${bytes(lag.bytes)} of log`}\n`);
  if (overrides) {
    out(`waiting for the next run, written ${overrides.written_at} by 'state set' or 'state reset':\n`);
    if (overrides.replace && overrides.states.length === 0) out('  all streams start over\n');
    for (const key of overrides.reset) out(`  ${key} starts over\n`);
    for (const body of chosen(overrides.states, context)) out(positionsOf(body, context));
  }
}

async function set(context: Context): Promise<void> {
  const { flags } = context;
  const [, name, from] = context.words;
  const names = flags.texts('stream');
  if (name === undefined || from === undefined) throw new UsageError('say which sync, and the file with its state: state set NAME FILE.', 'state');
  if (names.length > 1) throw new UsageError('state set takes one --stream.', 'state');
  const path = resolve(context.process.directory, from);
  const text = await readFile(path, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    throw configError(`${path} cannot be read: ${cause.code ?? 'unreadable'}`, { code: 'bad_state', cause });
  });
  const stream = names[0] === undefined ? undefined : parseStreamName(names[0]);
  let states = statesIn(text, path, stream);
  const sync = syncNamed(context);
  const store = storeOf(context, sync);
  if (stream) {
    const wanted = streamKey(stream);
    const entry = states.map((body) => entryOf(body, wanted)).find((text) => text !== undefined);
    if (entry === undefined) throw configError(`${path} holds no state of ${wanted}`, { code: 'bad_state' });
    states = await besideOthers(store, wanted, entry);
  }
  if (states.length === 0) throw configError(`${path} holds no state. To start over: runner state reset ${sync}`, { code: 'bad_state' });
  await store.set(states);
  say(context, { type: 'state_set', sync, states: states.length }, `${sync}: the next run starts from ${from}`);
}

async function reset(context: Context): Promise<void> {
  const { store, sync } = await existing(context, true);
  const names = context.flags.texts('stream');
  if (names.length === 0) await store.reset();
  else {
    const known = descriptorsOf([...((await store.load())?.states ?? []), ...((await store.overrides())?.states ?? [])]);
    const streams = names.flatMap((name) => {
      const matched = known.filter((stream) => parsePattern(name).matches(stream));
      if (matched.length > 0) return matched;
      throw configError(`${sync} has no state of '${name}'.${didYouMean(name, known.map(streamKey)) || ` It has ${known.map(streamKey).join(', ') || 'none'}.`}`, { code: 'unknown_stream' });
    });
    await store.reset(streams);
  }
  say(context, { type: 'state_reset', sync, streams: names }, `${sync}: the next run copies ${names.length === 0 ? 'all streams' : names.join(', ')} anew`);
}

/** The states that hold now, what is pending included, with this entry (`{"stream_descriptor":…,"stream_state":…}`) instead of its stream's. */
async function besideOthers(store: StateStore, key: string, entry: string): Promise<string[]> {
  const overrides = await store.overrides();
  const stored = overrides?.replace ? [] : ((await store.load())?.states ?? []);
  const kept = (overrides?.reset ?? []).reduce<readonly string[]>((states, reset) => dropStream(states, reset), stored);
  const states = (overrides?.states ?? []).reduce<string[]>(mergeStates, [...kept]);
  const [other] = states.filter((state) => summarizeState(state).kind !== 'STREAM');
  if (other === undefined) return mergeStates(states, `{"type":"STREAM","stream":${entry}}`);
  if (summarizeState(other).kind === 'GLOBAL') return [withEntry(other, key, entry)];
  throw configError('this sync has one state for all streams: set the whole of it, without --stream', { code: 'bad_state' });
}

const patternsOf = (context: Context): StreamPattern[] => context.flags.texts('stream').map(parsePattern);

function chosen(states: readonly string[], context: Context): string[] {
  const patterns = patternsOf(context);
  if (patterns.length === 0) return [...states];
  return states.filter((body) => descriptorsOf([body]).some((stream) => patterns.some((pattern) => pattern.matches(stream))));
}

/** The streams that states are about, those inside a GLOBAL one too. */
function descriptorsOf(states: readonly string[]): StreamDescriptor[] {
  const all = states.flatMap((body) => {
    const { stream, global } = StateBody.parse(JSON.parse(body));
    return [...(stream ? [stream.stream_descriptor] : []), ...(global?.stream_states ?? []).map((one) => one.stream_descriptor)];
  });
  return [...new Map(all.map((stream) => [streamKey(stream), stream])).values()];
}

/** What a person reads of a state: a line a stream, and one for what all share. */
function positionsOf(body: string, context: Context): string {
  const { stream, global, data } = StateBody.parse(JSON.parse(body));
  const line = (name: string, position: unknown): string => {
    const text = JSON.stringify(position ?? null);
    return `  ${name}: ${text.length > 300 ? `${text.slice(0, 300)}… (--json shows it whole)` : text}\n`;
  };
  if (stream) return line(streamKey(stream.stream_descriptor), stream.stream_state);
  if (!global) return line('all streams', data);
  const patterns = patternsOf(context);
  const entries = global.stream_states.filter((one) => patterns.length === 0 || patterns.some((pattern) => pattern.matches(one.stream_descriptor)));
  return line('all streams', global.shared_state) + entries.map((one) => line(streamKey(one.stream_descriptor), one.stream_state)).join('');
}

function syncNamed(context: Context): string {
  const name = context.words[1];
  if (name === undefined) throw new UsageError(`which sync? 'runner state list' names them.`, 'state');
  return requireSyncName(name);
}

const storeOf = (context: Context, sync: string): StateStore => new StateStore(join(context.stateDirectory, sync), sync);

async function existing(context: Context, orConfigured = false): Promise<{ store: StateStore; sync: string }> {
  const sync = syncNamed(context);
  const known = await StateStore.syncs(context.stateDirectory);
  // A first run may have failed before anything was saved, with a destination that is ahead.
  if (known.includes(sync) || (orConfigured && context.file()?.syncNames.includes(sync))) return { store: storeOf(context, sync), sync };
  throw configError(`no sync '${sync}' has a state in ${context.stateDirectory}.${didYouMean(sync, known) || (known.length > 0 ? ` There are ${known.join(', ')}.` : '')}`, { code: 'unknown_sync' });
}

function say(context: Context, json: object, text: string): void {
  context.process.out(context.json ? `${JSON.stringify(json)}\n` : `${text}\n`);
}
