/** A whole run: lock, sweep, attempts, summary. */
import { armFailpoints, ConnectorError, ExitCode, exitCodeOf, toConnectorError, type SpecBody } from '@tapline/protocol';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ConnectorRef, Reporter, SyncPlan, SyncResult } from '../types.js';
import { acquireLock } from '../store/lock.js';
import { StateStore } from '../store/state-store.js';
import { attempt } from './attempt.js';
import { BatchFolder } from './batch-folder.js';
import { specOf } from './call-verb.js';
import { Junk } from './junk.js';
import { withKeptConfig } from './kept-config.js';
import { PrivateFiles } from './private-files.js';
import { redactorOf } from './redact.js';
import type { AttemptOutcome, Connector, RunContext } from './run-context.js';
import { sweepRamDisk } from './ram-disk.js';
import { noFailures, retryAfter, worst } from './retry.js';
import { RunProgress } from './run-progress.js';
import { RunRecord, sweep } from './run-record.js';
import { failpointSpecs } from './session-file.js';
import { type StopSignals, stopReason } from './stop-signals.js';
import { defaultTiming, type Timing } from './timing.js';
import { batchFormatOf } from './transport.js';

/**
 * Runs a sync to its end, retries included. Resolves with the summary and the exit code whatever happens to the connectors;
 * rejects only on bugs of ours. Leaves no process, no lock and no file with a secret behind.
 */
export async function runSync(plan: SyncPlan, reporter: Reporter, signals: StopSignals, timing: Timing = defaultTiming): Promise<SyncResult> {
  const progress = new RunProgress();
  armFailpoints(failpointSpecs().filter((spec) => spec.startsWith('runner.')));
  let lock;
  try {
    lock = await acquireLock(plan.directory, plan.sync);
  } catch (error) {
    return resultOf(plan, progress, { errors: [toConnectorError(error)], interrupted: false, progressed: false }, signals);
  }
  try {
    return await underLock(plan, reporter, signals, { timing, progress });
  } finally {
    await lock.release();
  }
}

async function underLock(plan: SyncPlan, reporter: Reporter, signals: StopSignals, { timing, progress }: { timing: Timing; progress: RunProgress }): Promise<SyncResult> {
  const runId = `${new Date().toISOString().replaceAll(/[-:]|\.\d+/g, '')}-${randomBytes(4).toString('hex')}`;
  const folder = join(plan.directory, 'runs');
  const swept = await sweep(folder);
  if (swept > 0) reporter.message('warn', `ended ${swept} connector process${swept === 1 ? '' : 'es'} that a run before had left behind`);
  await sweepRamDisk();
  const record = new RunRecord(folder, runId);
  await record.start();
  const files = await PrivateFiles.in(join(folder, runId));
  let result: SyncResult | undefined;
  try {
    const outcome = await attempts({ plan, reporter, signals, timing, progress, record, files, runId, store: new StateStore(plan.directory, plan.sync) });
    return (result = resultOf(plan, progress, outcome, signals));
  } finally {
    await files.remove();
    await record.end(result?.summary.status ?? 'failed', result?.exitCode ?? ExitCode.system);
  }
}

type Base = Omit<RunContext, 'source' | 'destination' | 'batches'>;

async function attempts(base: Base): Promise<AttemptOutcome> {
  let context: RunContext | undefined;
  try {
    return await attemptsIn(base, async () => (context ??= await contextOf(base)));
  } finally {
    context?.source.junk.summarize();
    context?.destination.junk.summarize();
    await context?.batches?.remove();
  }
}

/** `opened`: the context of all attempts, made by the first that comes so far. */
async function attemptsIn(base: Base, opened: () => Promise<RunContext>): Promise<AttemptOutcome> {
  const { plan, reporter, signals, timing } = base;
  let before = noFailures;
  for (;;) {
    const outcome = await (async (): Promise<AttemptOutcome> => {
      let context: RunContext;
      try {
        context = await opened();
      } catch (error) {
        return { errors: signals.first.aborted ? [] : [toConnectorError(error)], interrupted: signals.first.aborted, progressed: false };
      }
      return attempt(context);
    })();
    const error = worst(outcome.errors);
    if (!error || outcome.interrupted) return outcome;
    if (outcome.progressed) before = noFailures;
    const retries = plan.patient && base.progress.statesSaved > 0 ? Infinity : plan.retries;
    const retry = retryAfter(error, before, { retries, timing, random: Math.random() });
    if (!retry) return outcome;
    before = retry.next;
    const nth = retries === Infinity ? `attempt ${before.failures}` : `${before.failures} of ${retries}`;
    reporter.message('warn', `${error.message}; trying again in ${(retry.waitMs / 1000).toFixed(1)} s (${nth})`);
    try {
      await sleep(retry.waitMs, undefined, { signal: signals.first });
    } catch {
      return { ...outcome, interrupted: true };
    }
  }
}

async function contextOf(base: Base): Promise<RunContext> {
  const { plan, files, runId } = base;
  const ends = await connectorsOf(base);
  const format = batchFormatOf(plan.transport, { source: { label: ends.source.ref.label, spec: ends.source.spec }, destination: { label: ends.destination.ref.label, spec: ends.destination.spec } });
  return { ...base, ...ends, batches: format && (await BatchFolder.create(format, { files, id: runId })) };
}

async function connectorsOf(base: Base): Promise<Pick<RunContext, 'source' | 'destination'>> {
  const [source, destination] = await Promise.all([connectorOf(base.plan.source, base), connectorOf(base.plan.destination, base)]);
  return { source, destination };
}

async function connectorOf(original: ConnectorRef, { plan, reporter, signals, timing, record }: Base): Promise<Connector> {
  const ref = await withKeptConfig(original, plan.directory);
  let spec: SpecBody | undefined;
  try {
    spec = await specOf(original, { reporter, timing, signal: signals.first, onStart: (identity) => record.child(original.role, identity) });
  } catch (error) {
    // Some connectors have no spec; then they have no extensions either. One that failed to tell it may have them.
    if (!(error instanceof ConnectorError) || error.code !== 'protocol') throw error;
    reporter.message('warn', `${error.message}; it is run without extensions`);
  }
  const redact = redactorOf(ref.config, spec);
  return { original, ref, spec, redact, junk: new Junk(original.label, redact, reporter) };
}

function resultOf(plan: SyncPlan, progress: RunProgress, { errors, interrupted }: AttemptOutcome, signals: StopSignals): SyncResult {
  const error = worst(errors);
  if (!interrupted) return { summary: progress.summary(plan.sync, undefined, error), exitCode: error ? exitCodeOf(error) : ExitCode.ok };
  const reason = stopReason(signals);
  // A run without an end is stopped by SIGTERM: that is its success.
  if (plan.continuous && reason === 'SIGTERM' && !error && !signals.second.aborted) {
    return { summary: progress.summary(plan.sync, 'succeeded', undefined), exitCode: ExitCode.ok };
  }
  return {
    summary: progress.summary(plan.sync, 'interrupted', error),
    exitCode: reason === 'SIGTERM' ? ExitCode.terminated : ExitCode.interrupted,
  };
}
