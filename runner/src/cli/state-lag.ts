/** How far a saved position is behind its source: asked of the source itself, where the command line says which one that is. */
import { StateBody, toConnectorError } from '@tapline/protocol';
import { callTool, offersTool, type ToolResult } from '../engine/call-tool.js';
import type { Context } from './context.js';

/** People wait for it. */
const limitMs = 15_000;

export interface StateLag {
  readonly bytes?: number;
  /** Why it is not known. */
  readonly error?: string;
}

/** Undefined: these states have no position in a log, or nobody said where the source is. */
export async function lagOf(context: Context, sync: string, states: readonly string[]): Promise<StateLag | undefined> {
  const shared = states.map((body) => StateBody.parse(JSON.parse(body)).global?.shared_state).find((state) => state !== undefined && state !== null);
  if (shared === undefined) return undefined;
  try {
    const configured = context.file()?.syncNames.includes(sync) ? context.file()!.sync(sync) : undefined;
    const end = await context.end('source', configured);
    if (!end) return undefined;
    const source = await context.withSpec(end.ref);
    if (!offersTool(source, 'lag')) return undefined;
    const results: ToolResult[] = [];
    for await (const result of callTool(source, 'lag', { ...context.verbOptions(), args: { state: shared }, limitMs })) results.push(result);
    const behind = results[0]?.['bytes'];
    return typeof behind === 'number' ? { bytes: behind } : undefined;
  } catch (error) {
    return { error: context.redact(toConnectorError(error).message) };
  }
}
