import { ExitCode, exitCodeOf, toConnectorError } from '@tapline/protocol';
import { callVerb } from '../engine/call-verb.js';
import type { ConnectorRef } from '../types.js';
import { UsageError } from './arguments.js';
import type { Context } from './context.js';

interface CheckResult {
  readonly status: 'SUCCEEDED' | 'FAILED';
  readonly connector: string;
  readonly error?: { readonly kind: string; readonly message: string };
}

/** Checks the ends that were given, both even if the first fails. The exit code is that of the first failure. */
export async function checkCommand(context: Context): Promise<number> {
  const sync = context.chosenSync();
  const ends = [await context.end('source', sync), await context.end('destination', sync)] as const;
  if (!ends[0] && !ends[1]) throw new UsageError('say what to check: --source, --dest, or a sync of tapline.yaml.', 'check');
  const directory = context.syncDirectory(sync, ...ends);
  let exitCode: number = ExitCode.ok;
  const results: Record<string, CheckResult> = {};
  for (const end of ends) {
    if (!end) continue;
    const [result, code] = await check(end.ref, context, directory);
    exitCode = exitCode === ExitCode.ok ? code : exitCode;
    results[end.ref.role] = result;
    if (!context.json) context.process.out(`${end.ref.role} ${context.redact(end.ref.label)}: ${result.error ? `failed\n  ${result.error.kind}: ${result.error.message}` : 'ok'}\n`);
  }
  if (context.json) context.process.out(`${JSON.stringify({ type: 'check', ...results })}\n`);
  return exitCode;
}

async function check(ref: ConnectorRef, context: Context, directory: string | undefined): Promise<[CheckResult, number]> {
  const connector = context.redact(ref.label);
  try {
    const { status, message } = await callVerb(ref, 'check', context.verbOptions(directory));
    if (status === 'SUCCEEDED') return [{ status, connector }, ExitCode.ok];
    const said = context.redact(message ?? 'the connector gave no reason');
    return [{ status, connector, error: { kind: 'config_error', message: said } }, ExitCode.config];
  } catch (thrown) {
    if (context.process.signals.first.aborted) throw thrown;
    const error = toConnectorError(thrown);
    return [{ status: 'FAILED', connector, error: { kind: error.kind, message: context.redact(error.message) } }, exitCodeOf(error)];
  }
}
