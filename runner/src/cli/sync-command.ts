import { runSync } from '../engine/run-sync.js';
import { jsonReporter, quietReporter, terminalReporter } from '../report/reporters.js';
import { summaryText } from '../report/summary.js';
import type { SyncSummary } from '../types.js';
import type { Context } from './context.js';
import { planSync } from './plan.js';

/** Runs a sync, and returns its exit code. */
export async function syncCommand(context: Context): Promise<number> {
  const { out, err, columns, signals } = context.process;
  const plan = await planSync(context);
  const options = { out, err, redact: context.redact, verbose: context.flags.on('verbose'), columns };
  const reporter = context.json ? jsonReporter(options) : columns() !== undefined ? terminalReporter(options) : quietReporter(options);
  reporter.message('debug', `${plan.sync}: state in ${plan.directory}`);
  try {
    const { summary, exitCode } = await runSync(plan, reporter, signals);
    reporter.close();
    const shown = redacted(summary, context);
    out(context.json ? `${JSON.stringify(shown)}\n` : summaryText(shown, plan.directory));
    return exitCode;
  } finally {
    reporter.close();
  }
}

/** Names of streams are left as they are: a script matches on them. */
const redacted = (summary: SyncSummary, { redact }: Context): SyncSummary =>
  summary.error ? { ...summary, error: { ...summary.error, message: redact(summary.error.message) } } : summary;
