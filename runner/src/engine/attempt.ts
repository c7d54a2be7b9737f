/**
 * One attempt at a sync: discover, open the destination, agree on where to start, pipe, end. What each step may rely on is
 * in its order: the destination says what it holds before the source starts; a state is saved before it is acknowledged; a
 * stream is COMPLETE only once its source has said so and all its records are on their way.
 */
import {
  failpoint, protocolError, stateLine, streamKey, toConnectorError, type CatalogBody, type Checkpoint, type ConfiguredStream,
  type ConnectorError, type Session,
} from '@tapline/protocol';
import type { Overrides } from '../store/overrides.js';
import type { StoredState } from '../store/stored-state.js';
import { callVerb } from './call-verb.js';
import { completedStreams, incompleteError } from './completion.js';
import { catalogHash, withGenerations } from './configured-catalog.js';
import { DestinationSide } from './destination-side.js';
import { diedError, earlyExitError, isCleanStop } from './ending.js';
import type { StreamPlan } from './plan-streams.js';
import { Processes } from './processes.js';
import { renew, type AttemptOutcome, type RunContext } from './run-context.js';
import { Saver } from './save.js';
import { extensionsOf, type Extensions } from './session-file.js';
import { SourceChanges } from './source-changes.js';
import { sourceRouter } from './source-router.js';
import { SourceSide } from './source-side.js';
import { intentOf, likelyCheckpoint, loadStored, noteApplied, startingPoint, type StartingPoint, type StartQuestion } from './starting-point.js';
import { StateLedger } from './state-ledger.js';
import { StreamTable, type StreamTally } from './stream-table.js';

export const attempt = (context: RunContext): Promise<AttemptOutcome> => new Attempt(context).run();

/** What the pipe needs to know beside where it starts. */
interface Piping {
  /** As saved before it begins. */
  readonly intent: StoredState;
  readonly overrides: Overrides | undefined;
  readonly identity: string;
  /** The highest generation of a stream that anybody knows. */
  readonly known: (key: string) => number;
}

class Attempt {
  readonly #c: RunContext;
  readonly #extensions: Extensions;
  readonly #processes: Processes;
  #batch: Session['batch'];
  #destination: DestinationSide | undefined;
  #source: SourceSide | undefined;
  #table!: StreamTable;
  #ledger!: StateLedger;
  #saver!: Saver;
  /** Of the streams that are read, by key. The source may add to them, and begin generations. */
  readonly #plans = new Map<string, StreamPlan>();
  /** What ended the attempt before its time; the first one counts. */
  #failure: ConnectorError | undefined;
  readonly #sourceErrors: ConnectorError[] = [];
  #interrupted = false;
  /** The source was told to stop: by the user, or since there is no use in going on. */
  #stopping = false;
  /** The destination takes no more input. */
  #lost = false;
  /** COMPLETE was sent: from here on the run ends by itself. */
  #finishing = false;
  #progressed = false;

  constructor(context: RunContext) {
    this.#c = context;
    this.#processes = new Processes(context);
    this.#extensions = extensionsOf(context.source.spec, context.destination.spec, context.batches?.format);
  }

  async run(): Promise<AttemptOutcome> {
    const { signals } = this.#c;
    const onFirst = (): void => this.#stop();
    const onSecond = (): void => this.#kill();
    signals.first.addEventListener('abort', onFirst);
    signals.second.addEventListener('abort', onSecond);
    try {
      if (signals.first.aborted) this.#interrupted = true;
      else await this.#sync();
    } catch (error) {
      if (signals.first.aborted) this.#interrupted = true;
      else this.#failure ??= toConnectorError(error);
    } finally {
      await this.#dispose();
      signals.first.removeEventListener('abort', onFirst);
      signals.second.removeEventListener('abort', onSecond);
    }
    const errors = [...(this.#failure ? [this.#failure] : []), ...this.#sourceErrors];
    return { errors, interrupted: this.#interrupted, progressed: this.#progressed };
  }

  /** Whoever still runs gets its end in good order, and the grace period for it. */
  async #dispose(): Promise<void> {
    this.#stopSource();
    // It may be staying for acks that nobody will send.
    this.#source?.acks?.end();
    if (this.#destination && !this.#destination.inputEnded) {
      void this.#destination.end();
      this.#destination.killAfterGrace();
    }
    await Promise.all([this.#source?.done, this.#destination?.done]);
    await Promise.all([this.#source?.child.dispose(), this.#destination?.child.dispose(), this.#processes.dispose()]);
    await this.#saver?.settled();
  }

  async #sync(): Promise<void> {
    const { plan, progress, signals } = this.#c;
    this.#batch = await this.#c.batches?.fresh();
    const discovering = this.#discover();
    // What each needs before its task is known it loads while another works.
    this.#prepare('destination');
    const discovered = await discovering;
    const configured = plan.configure(discovered);
    progress.declare(configured.streams);
    const identity = discovered.tapline?.identity ?? '';
    const stored = await loadStored(this.#c);
    const overrides = await this.#c.store.overrides();
    const streams = configured.streams.filter(({ stream }) => !progress.done.has(streamKey(stream)));
    if (streams.length === 0) return;

    // Without checkpoints of its own, what we saved is all there is; with them, it has the word.
    const question: StartQuestion = { streams, stored, overrides, identity };
    let start = startingPoint(this.#c, question, this.#keepsCheckpoint ? likelyCheckpoint(stored) : undefined);
    await this.#startDestination(streams, start.streams, identity);
    this.#prepare('source');
    let epoch = 0;
    let held: Checkpoint | null = null;
    if (this.#keepsCheckpoint) {
      const { checkpoint, ...opened } = await this.#destination!.opened(this.#c.timing.openMs);
      epoch = opened.epoch;
      held = checkpoint;
      start = startingPoint(this.#c, question, checkpoint);
      // Of the attempt before this one: what it did not live to hear.
      progress.stored(progress.ledger?.storedUpTo(checkpoint?.state_id ?? 0) ?? []);
      progress.ledger = undefined;
      this.#progressed = stored !== undefined && start.states.some((state) => !stored.states.includes(state));
    }
    signals.first.throwIfAborted();

    const intent = intentOf(start, question, { runId: this.#c.runId, epoch, catalogHash: catalogHash(configured) });
    const applied = await noteApplied(this.#c, overrides, start.streams);
    await this.#c.store.save(intent);
    for (const { key, generation } of start.streams) progress.generations.set(key, generation.id);
    const known = (key: string): number => Math.max(stored?.generations[key]?.id ?? 0, held?.generations[key] ?? 0);
    await this.#pipe(streams, start, { intent, overrides: applied, identity, known });
  }

  get #keepsCheckpoint(): boolean {
    return this.#extensions.destination.includes('checkpoint');
  }

  #prepare(role: 'source' | 'destination'): void {
    this.#processes.prepare(role, { extensions: this.#extensions[role], batch: this.#batch });
  }

  async #discover(): Promise<CatalogBody> {
    const { source, signals, timing, reporter, plan, record } = this.#c;
    return callVerb(source.original, 'discover', {
      reporter, timing, signal: signals.first, directory: plan.directory,
      onStart: (identity) => record.child('source', identity),
      onConfig: (config) => (source.ref = { ...source.ref, config }),
    });
  }

  async #startDestination(streams: readonly ConfiguredStream[], plans: readonly StreamPlan[], identity: string): Promise<void> {
    const { destination, timing, reporter } = this.#c;
    const { ref, redact, junk } = destination;
    const child = await this.#processes.start('destination', {
      extensions: this.#extensions.destination, batch: this.#batch,
      task: { identity, catalog: withGenerations(streams, plans, Math.floor(Date.now() / 1000)) },
    });
    this.#destination = new DestinationSide(child, {
      timing,
      messages: { ref, redact, reporter, junk },
      onConfig: (config) => renew(destination, this.#c, config),
      onState: (body) => this.#answered(body),
      onFailure: (error) => this.#fail(error),
    });
    void this.#destination.done.then(() => {
      if (!this.#destination!.inputEnded) this.#stopSource();
    });
  }

  async #pipe(
    streams: readonly ConfiguredStream[],
    start: StartingPoint,
    { intent, overrides, identity, known }: Piping,
  ): Promise<void> {
    const { progress, reporter, timing, store } = this.#c;
    const undone = start.streams.filter((stream) => !stream.done);
    for (const stream of undone) this.#plans.set(stream.key, stream);
    for (const { key, done } of start.streams) if (done) progress.completedBefore(key);
    this.#table = new StreamTable(streams.filter(({ stream }) => undone.some(({ key }) => key === streamKey(stream))));
    progress.attempt(this.#table, new Set(undone.filter(({ fresh }) => fresh).map(({ key }) => key)));
    this.#ledger = progress.ledger = new StateLedger(this.#table, start.stateId);
    this.#saver = new Saver({
      store, start: intent, overrides,
      onSaved: (states, changed) => {
        this.#progressed ||= changed;
        progress.stored(states);
        failpoint('runner.before_ack');
        this.#source?.acks?.saved(states);
        failpoint('runner.after_ack');
      },
      onFailure: (error) => this.#fail(error),
    });
    const ticking = setInterval(() => progress.report(reporter), timing.progressMs);
    try {
      if (this.#extensions.destination.includes('generation')) await this.#begin(undone);
      const changes = new SourceChanges(this.#c, { table: this.#table, ledger: this.#ledger, streams, plans: this.#plans, known });
      if (undone.length > 0) await this.#read(streams, { ...start, streams: undone }, { identity, changes });
      await this.#finish();
    } finally {
      clearInterval(ticking);
      progress.report(reporter);
    }
  }

  async #begin(streams: readonly StreamPlan[]): Promise<void> {
    for (const { descriptor, generation, begin } of streams) {
      if (!begin) continue;
      const { name, namespace } = descriptor;
      const body = {
        type: 'GENERATION', stream_descriptor: namespace ? { name, namespace } : { name },
        generation_id: generation.id, minimum_generation_id: generation.minimum, phase: 'begin',
      };
      await this.#give(`${JSON.stringify({ type: 'TAPLINE', tapline: body })}\n`);
    }
  }

  async #read(streams: readonly ConfiguredStream[], start: StartingPoint, { identity, changes }: { readonly identity: string; readonly changes: SourceChanges }): Promise<void> {
    const { plan, signals } = this.#c;
    if (this.#failure) return;
    const read = streams.filter(({ stream }) => this.#table.byKey(streamKey(stream)));
    signals.first.throwIfAborted();
    const child = await this.#processes.start('source', {
      extensions: this.#extensions.source, batch: this.#batch,
      task: { identity, states: start.states, catalog: withGenerations(read, start.streams, Math.floor(Date.now() / 1000)) },
    });
    this.#source = new SourceSide(child, {
      router: sourceRouter(this.#c, {
        table: this.#table, ledger: this.#ledger, extensions: this.#extensions, changes, batch: this.#batch,
        onEnd: (stopped) => this.#source!.end(stopped),
        onError: (error) => {
          // What a source says while it is being stopped is about being stopped; after its END it is about the last acks.
          if (!this.#stopping || this.#source!.saidEnd) this.#sourceErrors.push(error);
        },
      }),
      // One that waits until the destination has deleted files says nothing, and is not to blame for it.
      silenceMs: this.#batch ? undefined : plan.silenceMs,
      lend: (bytes) => this.#destination!.lend(bytes),
      onWriteFailure: () => {
        this.#lost = true;
        this.#stopSource();
      },
      // Half a line is what is left of one that was stopped.
      onFailure: (error) => void (this.#stopping || this.#fail(error)),
    });
    if (this.#failure || this.#destination!.child.exit || signals.first.aborted) this.#stopSource();
    await this.#source.ended;
  }

  #answered(body: string): void {
    if (this.#failure?.code === 'count_mismatch') return;
    const { ref, junk } = this.#c.destination;
    const states = this.#ledger?.answered(body) ?? [];
    if (states.length > 0) this.#saver.take(states);
    else junk.once('answer', `${ref.label} sent a state back that is not waited for; it is ignored`);
  }

  /** The source has ended, or was ended: the destination gets its end, saves come in, the source its acks. */
  async #finish(): Promise<void> {
    const destination = this.#destination!;
    const source = this.#source;
    // Without END its exit says whether it is done.
    if (source && !source.saidEnd) await source.done;
    failpoint('runner.after_end');
    const lost = this.#lost || (destination.child.exit !== undefined && !destination.inputEnded);
    const ending = { ended: source?.finished ?? false, exit: source?.child.exit, errors: this.#sourceErrors };
    const complete = source && !this.#failure && !this.#interrupted && !lost ? completedStreams(this.#table.streams, ending) : [];
    this.#finishing = complete.length > 0;
    await this.#sayComplete(complete);
    if (this.#finishing) failpoint('runner.after_complete');
    // It takes nothing any more: it is about to end, or has to be ended.
    if (lost) destination.killAfterGrace();
    await destination.end();
    const exit = await destination.done;
    await this.#saver.settled();

    if (!this.#interrupted || exit.code !== 0) this.#failure ??= lost ? destination.failure(exit) ?? earlyExitError(destination.child) : destination.failure(exit);
    const unanswered = this.#ledger.outstanding;
    if (unanswered > 0 && exit.code === 0 && !this.#failure && destination.errors.length === 0) {
      this.#fail(protocolError(
        `the destination ${destination.child.ref.label} exited with 0, but did not send back ${unanswered} of the states that it was given: ` +
          'what it stored is unknown, and the next run reads it again',
      ));
    }
    const stored = !this.#failure ? complete : [];
    if (source) await this.#dismiss(source);
    for (const tally of stored) this.#committed(tally);
    this.#judge(new Set(stored.map(({ key }) => key)));
    await this.#saveGenerations(stored);
  }

  /** The source's stdin closes: it confirms what was acknowledged, and goes. */
  async #dismiss(source: SourceSide): Promise<void> {
    source.acks?.end();
    const limit = setTimeout(() => source.child.terminate(), this.#c.timing.confirmMs);
    const exit = await source.done.finally(() => clearTimeout(limit));
    if (this.#failure || this.#sourceErrors.length > 0) return;
    if (this.#interrupted ? isCleanStop(exit) || exit.signal === 'SIGKILL' : exit.code === 0) return;
    this.#failure = diedError(source.child, exit, this.#c.source.redact);
  }

  async #sayComplete(complete: readonly StreamTally[]): Promise<void> {
    const keepsCheckpoint = this.#keepsCheckpoint;
    for (const tally of complete) {
      // A destination that stores at a state, and answers it, must have one after the last record.
      if (!keepsCheckpoint && !tally.hadState && !tally.resumable && (this.#ledger.mode ?? 'STREAM') === 'STREAM') {
        await this.#give(stateLine(this.#ledger.inject(tally).tagged));
      }
    }
    for (const { descriptor } of complete) {
      const status = { stream_descriptor: descriptor, status: 'COMPLETE' };
      await this.#give(`${JSON.stringify({ type: 'TRACE', trace: { type: 'STREAM_STATUS', emitted_at: Date.now(), stream_status: status } })}\n`);
    }
  }

  #committed(tally: StreamTally): void {
    const { progress, reporter } = this.#c;
    const uncovered = tally.records - tally.recordsAtState;
    progress.completed(tally);
    if (this.#plans.get(tally.key)!.generation.signature.startsWith('full_refresh')) progress.done.add(tally.key);
    else if (uncovered > 0) {
      reporter.message('warn', `${uncovered} records of ${tally.key} came after its last state: no checkpoint covers them, and the next run may read them again`);
    }
  }

  /** Gives every stream its status; a stream that was left without a reason is a failure of its own. */
  #judge(stored: ReadonlySet<string>): void {
    const left = this.#table.streams.filter(({ key }) => !stored.has(key));
    // A run without an end that stopped well has done all that could be done of a stream which is not in the middle of a copy.
    const exit = this.#source?.child.exit;
    const wellStopped = this.#c.plan.continuous && this.#interrupted && !this.#failure && exit !== undefined && isCleanStop(exit);
    for (const tally of left) {
      const touched = tally.records > 0 || tally.status !== undefined;
      const done = wellStopped && this.#plans.get(tally.key)!.generation.complete;
      this.#c.progress.set(tally.key, tally.error ? 'failed' : done ? 'succeeded' : touched ? 'incomplete' : 'skipped');
    }
    if (left.length > 0 && !this.#failure && !this.#interrupted && this.#sourceErrors.length === 0) {
      this.#failure = incompleteError(this.#c.source.ref.label, left);
    }
  }

  async #saveGenerations(stored: readonly StreamTally[]): Promise<void> {
    if (stored.length === 0) return;
    const done = [...this.#plans.values()].filter(({ key }) => stored.some((tally) => tally.key === key));
    const generations = Object.fromEntries(done.map(({ key, generation }) => [key, { ...generation, complete: true }]));
    await this.#saver.complete(generations, stored.length === this.#table.streams.length && !this.#failure);
  }

  /** Writes to the destination; that it is gone shows at its end. */
  async #give(line: string): Promise<void> {
    await this.#destination!.write(line).catch(() => undefined);
  }

  #fail(error: ConnectorError): void {
    this.#failure ??= error;
    this.#stopSource();
  }

  #stopSource(): void {
    this.#stopping = true;
    this.#source?.child.terminate();
  }

  #stop(): void {
    if (this.#finishing || this.#source?.saidEnd) return;
    this.#interrupted = true;
    this.#stopSource();
    // Not yet started: there is nothing to wait for.
    if (!this.#source) this.#destination?.child.terminate();
  }

  #kill(): void {
    this.#interrupted = true;
    this.#source?.child.kill();
    this.#destination?.child.kill();
  }
}
