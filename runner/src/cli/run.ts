/** Runs one command, and turns whatever it threw into a message and an exit code. */
import { didYouMean } from '@tapline/catalog';
import { ExitCode, exitCodeOf, toConnectorError } from '@tapline/protocol';
import { listenForSignals, stopReason } from '../engine/stop-signals.js';
import { UsageError, type Invocation } from './arguments.js';
import { Context } from './context.js';
import { failedSummary } from './failed-summary.js';

const loaders: Readonly<Record<string, () => Promise<(context: Context) => Promise<number>>>> = {
  sync: async () => (await import('./sync-command.js')).syncCommand,
  verify: async () => (await import('./verify-command.js')).verifyCommand,
  check: async () => (await import('./check-command.js')).checkCommand,
  discover: async () => (await import('./discover-command.js')).discoverCommand,
  spec: async () => (await import('./spec-command.js')).specCommand,
  state: async () => (await import('./state-command.js')).stateCommand,
  slot: async () => (await import('./slot-command.js')).slotCommand,
  init: async () => (await import('./init-command.js')).initCommand,
};

export async function run(invocation: Invocation): Promise<number> {
  using signals = listenForSignals();
  const context = await Context.of(invocation, {
    environment: process.env,
    directory: process.cwd(),
    signals,
    columns: () => (process.stderr.isTTY ? (process.stderr.columns ?? 80) : undefined),
    out: (text) => void process.stdout.write(text),
    err: (text) => void process.stderr.write(text),
  });
  try {
    return await (await loaders[invocation.command]!())(context);
  } catch (thrown) {
    if (thrown instanceof UsageError) throw thrown;
    if (signals.first.aborted) {
      context.process.err('interrupted\n');
      if (context.json && invocation.command === 'sync') context.process.out(`${JSON.stringify({ ...failedSummary(context.syncName), status: 'interrupted' })}\n`);
      return stopReason(signals) === 'SIGTERM' ? ExitCode.terminated : ExitCode.interrupted;
    }
    const error = toConnectorError(thrown);
    const message = context.redact(error.message);
    tellFailure(context, invocation, error.kind, message);
    if (context.flags.on('verbose') && error.kind === 'system_error' && error.stack) context.process.err(`${context.redact(error.stack)}\n`);
    return exitCodeOf(error);
  }
}

function tellFailure(context: Context, { command }: Invocation, kind: string, message: string): void {
  context.process.err(`${kind}: ${message}\n`);
  if (!context.json) return;
  const error = { kind, message };
  context.process.out(`${JSON.stringify(command === 'sync' ? failedSummary(context.syncName, error) : { type: 'error', error })}\n`);
}

/** A usage error in full: what is wrong, what was perhaps meant, where to read. */
export function usageText(error: UsageError): string {
  const hint = error.unknown ? didYouMean(error.unknown.wanted, error.unknown.known) : '';
  return `usage: ${error.message}${hint}\nSee: runner ${error.command === undefined ? '--help' : `${error.command} --help`}\n`;
}
