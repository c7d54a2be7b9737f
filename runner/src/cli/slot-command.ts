import { ExitCode } from '@tapline/protocol';
import { callTool, offersTool, type ToolResult } from '../engine/call-tool.js';
import { bytes, table } from '../report/numbers.js';
import { StateStore } from '../store/state-store.js';
import { sync8 } from '../sync-name.js';
import type { ConnectorRef } from '../types.js';
import { UsageError } from './arguments.js';
import type { Context } from './context.js';

const verbs: Readonly<Record<string, (context: Context) => Promise<void>>> = { list, drop };
/** A server that does not answer must not hold up who only looks. */
const limitMs = 60_000;

/** `slot list|drop`: what syncs keep on the server of a source, and what one that is no more has left there. */
export async function slotCommand(context: Context): Promise<number> {
  const [verb] = context.words;
  if (verb === undefined) throw new UsageError('say what: slot list or drop.', 'slot');
  const run = Object.hasOwn(verbs, verb) ? verbs[verb] : undefined;
  if (!run) throw new UsageError(`there is no 'slot ${verb}'.`, 'slot', { wanted: verb, known: Object.keys(verbs) });
  if (verb === 'list' && context.words[2] !== undefined) throw new UsageError(`'${context.words[2]}' is one word too many.`, 'slot');
  await run(context);
  return ExitCode.ok;
}

async function list(context: Context): Promise<void> {
  const source = await sourceOf(context, context.words[1]);
  const syncs = await StateStore.syncs(context.stateDirectory);
  const slots: ToolResult[] = [];
  for await (const slot of callTool(source, 'slots', { ...context.verbOptions(), limitMs })) slots.push({ ...slot, sync: syncOf(textOf(slot['name']), syncs) ?? null });
  if (context.json) return context.process.out(`${JSON.stringify({ type: 'slots', slots })}\n`);
  if (slots.length === 0) return context.process.out(`${context.redact(source.label)} has no slots of ours\n`);
  const size = (value: unknown): string => (typeof value === 'number' ? bytes(value) : '-');
  const rows = slots.map((slot) => [
    textOf(slot['name']), textOf(slot['sync']), slot['active'] === true ? 'yes' : 'no', textOf(slot['position']),
    slot['lost'] === undefined ? textOf(slot['wal_status']) : `lost (${textOf(slot['lost'])})`, size(slot['retained_bytes']),
  ]);
  context.process.out(`${table([['slot', 'sync', 'read now', 'confirmed', 'log', 'keeps'], ...rows], [5])}\n`);
}

async function drop(context: Context): Promise<void> {
  const [, name, sync] = context.words;
  if (name === undefined) throw new UsageError("which slot? 'runner slot list' names them.", 'slot');
  const source = await sourceOf(context, sync);
  const results: ToolResult[] = [];
  const args = { name, force: context.flags.on('force') };
  for await (const result of callTool(source, 'drop_slot', { ...context.verbOptions(), args, limitMs })) results.push(result);
  const [result] = results;
  const dropped = result?.['dropped'] === true;
  if (context.json) return context.process.out(`${JSON.stringify({ type: 'slot_dropped', slot: name, dropped, publication_dropped: result?.['publication_dropped'] === true })}\n`);
  const publication = result?.['publication_dropped'] === true ? ', and the publication of its name' : '';
  context.process.out(dropped || publication ? `${dropped ? `slot ${name} was dropped` : `there was no slot ${name}`}${publication}\n` : `there is no slot ${name}\n`);
}

/** The source that is meant, with its spec. */
async function sourceOf(context: Context, name: string | undefined): Promise<ConnectorRef> {
  const end = await context.end('source', context.syncNamed(name));
  if (!end) throw new UsageError('say on which server: --source postgres://app@localhost/shop, or a sync of tapline.yaml.', 'slot');
  const source = await context.withSpec(end.ref);
  if (!offersTool(source, 'slots')) throw new UsageError(`the source ${context.redact(source.label)} has no slots.`, 'slot');
  return source;
}

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '-');

/** Slots end in 8 hex digits of their sync's name. */
const syncOf = (slot: string, syncs: readonly string[]): string | undefined =>
  syncs.find((sync) => slot.endsWith(`_${sync8(sync)}`));
