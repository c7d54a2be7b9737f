/** `verify`: is in the destination what is in the source? Exit 0 if all is equal, 1 if something differs. */
import { isCdc } from '@tapline/catalog';
import { ExitCode, exitCodeOf, type ConfiguredCatalog } from '@tapline/protocol';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { callVerb } from '../engine/call-verb.js';
import type { ToolOptions } from '../engine/call-tool.js';
import { bytes } from '../report/numbers.js';
import { isAlive, type ProcessIdentity } from '../store/process-identity.js';
import type { SyncPlan } from '../types.js';
import type { Context } from './context.js';
import { planSync } from './plan.js';
import { requireDigest, VerifySide } from './verify-side.js';
import { verifyTable, type TableResult } from './verify-table.js';
import { verifyJson, verifyText, type VerifyResult } from './verify-text.js';

/** A sync that runs is waited for so long to come as far as the snapshot. */
const catchUpMs = 60_000;
const pauseMs = 500;

export async function verifyCommand(context: Context): Promise<number> {
  const plan = await planSync(context, 'verify');
  requireDigest(plan.source);
  requireDigest(plan.destination);
  const catalog = plan.configure(await callVerb(plan.source, 'discover', context.verbOptions(plan.directory)));
  const result = await compare(context, plan, catalog);
  const { out } = context.process;
  const redacted: VerifyResult = { ...result, tables: result.tables.map((table) => redact(table, context)) };
  out(context.json ? `${JSON.stringify(verifyJson(redacted))}\n` : verifyText(redacted));
  if (result.tables.some((table) => !table.equal && !table.error)) return ExitCode.system;
  const failed = result.tables.find((table) => table.error);
  return failed ? exitCodeOf(failed.error!) : ExitCode.ok;
}

async function compare(context: Context, plan: SyncPlan, catalog: ConfiguredCatalog): Promise<VerifyResult> {
  const { signal, reporter, directory } = context.verbOptions(plan.directory);
  const options: ToolOptions = { signal, reporter, directory, catalog, sync: { name: plan.sync, identity: '' } };
  await using destination = await VerifySide.start(plan.destination, options);
  await using source = await VerifySide.start(plan.source, options);
  // The destination first: it says what it can hold, and whether it knows the sync at all.
  const { holds } = await destination.ask({ ask: 'open' }, 'opened');
  const replicated = catalog.streams.some(isCdc);
  const opened = await source.ask({ ask: 'open', replicated, ...(holds && { holds }) }, 'opened');
  const behind = replicated ? await catchUp({ source, destination }, plan.directory, signal) : 0;
  const tables: TableResult[] = [];
  for (const configured of catalog.streams) {
    const table = await verifyTable({ source, destination, position: opened.position }, configured);
    tables.push(table.equal ? table : { ...table, notes: [...table.notes, ...adviceOn(table)] });
  }
  const different = tables.some((table) => !table.equal);
  return {
    sync: plan.sync,
    tables,
    position: replicated ? opened.position_text : undefined,
    notes: different && behind > 0 ? [`the destination is ${bytes(behind)} of log behind the source: run the sync, then verify again`] : [],
  };
}

/** A run of this sync that is alive brings the destination as far as the snapshot. Returns by how many bytes it is behind in the end. */
async function catchUp({ source, destination }: { source: VerifySide; destination: VerifySide }, directory: string, signal: AbortSignal | undefined): Promise<number> {
  const deadline = performance.now() + catchUpMs;
  for (;;) {
    const { states } = await destination.ask({ ask: 'states' }, 'states');
    const { bytes: behind } = await source.ask({ ask: 'behind', states }, 'behind');
    if (!behind || performance.now() > deadline || !(await isRunning(directory))) return behind ?? 0;
    await sleep(pauseMs, undefined, { signal });
  }
}

async function isRunning(directory: string): Promise<boolean> {
  const text = await readFile(join(directory, 'lock'), 'utf8').catch(() => undefined);
  return text !== undefined && isAlive(JSON.parse(text) as ProcessIdentity);
}

/** What people would wonder about. */
function adviceOn({ configured, key, error }: TableResult): string[] {
  if (error || isCdc(configured)) return [];
  if (configured.sync_mode === 'full_refresh') return ['the source is compared as it is now: what changed since the last run differs'];
  if (key.length === 0) return ['without a key, rows that were read again after a change stand in the destination more than once'];
  return ['the source is compared as it is now: rows that changed since the last run differ, and a cursor never sees what was deleted'];
}

const redact = (table: TableResult, context: Context): TableResult =>
  table.error ? { ...table, error: Object.assign(table.error, { message: context.redact(table.error.message) }) } : table;
