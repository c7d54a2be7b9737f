/**
 * One attempt at a sync: discover, open the destination, agree on where to start, pipe, end. What each step may rely on is
 * in its order: the destination says what it holds before the source starts; a state is saved before it is acknowledged; a
 * stream is COMPLETE only once its source has said so and all its records are on their way.
 */
import {
  failpoint, type ConnectorError, protocolError, stateBodyOf, stateLine, streamKey, toConnectorError,
  type CatalogBody, type Checkpoint, type ConfiguredStream, type SpecBody, type StreamDescriptor,
} from '@tapline/protocol';
import type { ConnectorRef, Reporter, SyncPlan } from '../types.js';
import type { Overrides } from '../store/overrides.js';
import type { StateStore } from '../store/state-store.js';
import type { StoredState } from '../store/stored-state.js';
import { callVerb } from './call-verb.js';
import { completedStreams, incompleteError } from './completion.js';
import { catalogHash, withGenerations } from './configured-catalog.js';
import { takeMessage } from './connector-messages.js';
import { DestinationSide } from './destination-side.js';
import { diedError, earlyExitError, isCleanStop } from './ending.js';
import { Junk } from './junk.js';
import { keepConfig } from './kept-config.js';
import { planStreams, type StartPlan, type StreamPlan } from './plan-streams.js';
import type { PrivateFiles } from './private-files.js';
import type { Redact } from './redact.js';
import { resumeFrom, type ResumePoint } from './resume.js';
import { Router } from './route.js';
import type { RunProgress } from './run-progress.js';
import type { RunRecord } from './run-record.js';
import { Saver } from './save.js';
import { extensionsOf, sessionOf } from './session-file.js';
import { SourceSide } from './source-side.js';
import { stateFile } from './state-file.js';
import { StateLedger } from './state-ledger.js';
import { StreamTable, type StreamTally } from './stream-table.js';
import type { StopSignals } from './stop-signals.js';
import type { Timing } from './timing.js';

/** A connector in a run: its configuration may be renewed on the way. */
export interface Connector {
  /** As planned. */
  readonly original: ConnectorRef;
  /** With the configuration in use. */
  ref: ConnectorRef;
  readonly spec: SpecBody | undefined;
  readonly redact: Redact;
  readonly junk: Junk;
}

export interface RunContext {
  readonly plan: SyncPlan;
  readonly reporter: Reporter;
  readonly signals: StopSignals;
  readonly timing: Timing;
  readonly store: StateStore;
  readonly files: PrivateFiles;
  readonly record: RunRecord;
  readonly runId: string;
  readonly source: Connector;
  readonly destination: Connector;
  readonly progress: RunProgress;
}

export interface AttemptOutcome {
  /** None = all that was asked for is done. */
  readonly errors: readonly ConnectorError[];
  /** It was asked to stop, and did, before it was done. */
  readonly interrupted: boolean;
  /** A state was saved whose bytes are new. */
  readonly progressed: boolean;
}

export async function attempt(context: RunContext): Promise<AttemptOutcome> {
  const one = new Attempt(context);
  try {
    return await one.run();
  } finally {
    await one.dispose();
  }
}

class Attempt {
  readonly #c: RunContext;
  readonly #extensions: { readonly source: readonly string[]; readonly destination: readonly string[] };
  #destination: DestinationSide | undefined;
  #source: SourceSide | undefined;
  #table!: StreamTable;
  #ledger!: StateLedger;
  #saver!: Saver;
  /** What ended the attempt before its time; the first one counts. */
  #failure: ConnectorError | undefined;
  readonly #sourceErrors: ConnectorError[] = [];
  #interrupted = false;
  /** COMPLETE was sent: from here on the run ends by itself. */
  #finishing = false;
  #progressed = false;

  constructor(context: RunContext) {
    this.#c = context;
    this.#extensions = { source: extensionsOf('source', context.source.spec), destination: extensionsOf('destination', context.destination.spec) };
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
      signals.first.removeEventListener('abort', onFirst);
      signals.second.removeEventListener('abort', onSecond);
    }
    const errors = [...(this.#failure ? [this.#failure] : []), ...this.#sourceErrors];
    return { errors, interrupted: this.#interrupted, progressed: this.#progressed };
  }

  async dispose(): Promise<void> {
    await Promise.all([this.#source?.child.dispose(), this.#destination?.child.dispose()]);
    await this.#saver?.settled();
  }

  async #sync(): Promise<void> {
    const { plan, progress, signals } = this.#c;
    const discovered = await this.#discover();
    const configured = plan.configure(discovered);
    progress.declare(configured.streams);
    const identity = discovered.tapline?.identity ?? '';
    const stored = await this.#load();
    const overrides = await this.#c.store.overrides();
    const remaining = configured.streams.filter(({ stream }) => !progress.done.has(streamKey(stream)));
    const question = { plan, stored, overrides, identity, streams: remaining };
    if (remaining.length === 0) return;

    // Without checkpoints of its own, what we saved is all there is; with them, generations are told by GENERATION.
    let start = this.#startFrom(question, this.#keepsCheckpoint ? stored && this.#provisional(stored) : undefined);
    await this.#startDestination(remaining, start.plan.streams, identity);
    let epoch = 0;
    if (this.#keepsCheckpoint) {
      const opened = await this.#destination!.opened(this.#c.timing.openMs);
      epoch = opened.epoch;
      start = this.#startFrom(question, opened.checkpoint);
      // Of the attempt before this one: what it did not live to hear.
      progress.stored(progress.ledger?.storedUpTo(opened.checkpoint?.state_id ?? 0) ?? []);
      progress.ledger = undefined;
      this.#progressed = stored !== undefined && start.plan.states.some((state) => !stored.states.includes(state));
    }
    signals.first.throwIfAborted();

    const intent = this.#intent(start, { stored, identity, epoch, hash: catalogHash(configured) });
    const applied = await this.#applyOverrides(overrides, start.plan.streams);
    await this.#c.store.save(intent);
    for (const stream of start.plan.streams) this.#c.progress.generations.set(stream.key, stream.generation.id);

    await this.#pipe(remaining, start, intent, applied, identity);
  }

  get #keepsCheckpoint(): boolean {
    return this.#extensions.destination.includes('checkpoint');
  }

  async #discover(): Promise<CatalogBody> {
    const { source, signals, timing, reporter, plan, record } = this.#c;
    return callVerb(source.original, 'discover', {
      reporter, timing, signal: signals.first, directory: plan.directory,
      onStart: (identity) => record.child('source', identity),
      onConfig: (config) => (source.ref = { ...source.ref, config }),
    });
  }

  /** A damaged file is put aside where it does not matter what was in it. */
  async #load(): Promise<StoredState | undefined> {
    const { store, plan, reporter } = this.#c;
    try {
      return await store.load();
    } catch (error) {
      if (!plan.fullRefresh && !plan.fromDestination && !(await store.overrides())?.replace) throw error;
      reporter.message('warn', `the damaged ${store.path} was put aside as ${await store.setAside()}`);
      return undefined;
    }
  }

  /** What the destination will most likely say, for the generation ids of its catalog, which do not count in a session. */
  #provisional({ state_id, source, states, generations }: StoredState): Checkpoint {
    return { state_id, source, states: [...states], generations: Object.fromEntries(Object.entries(generations).map(([key, { id }]) => [key, id])) };
  }

  #startFrom(
    { plan, stored, overrides, identity, streams }: { plan: SyncPlan; stored: StoredState | undefined; overrides: Overrides | undefined; identity: string; streams: readonly ConfiguredStream[] },
    checkpoint: Checkpoint | null | undefined,
  ): { readonly point: ResumePoint; readonly plan: StartPlan } {
    const began = this.#c.progress.generations;
    const isBegun = (key: string): boolean => {
      const generation = began.get(key);
      return generation !== undefined && (checkpoint === undefined || (checkpoint?.generations[key] ?? 0) >= generation);
    };
    const refresh = plan.fullRefresh && !streams.every(({ stream }) => isBegun(streamKey(stream)));
    const point = resumeFrom({
      sync: plan.sync, stored, checkpoint, source: identity, overrides, fullRefresh: refresh, fromDestination: plan.fromDestination && began.size === 0,
    });
    return { point, plan: planStreams({ streams, states: point.states, stored, checkpoint, overrides, refresh, began }) };
  }

  /**
   * Saved before anything begins: what starts over must do so even if this run ends before its first state, and its old
   * state must not come back.
   */
  #intent(
    { point, plan }: { readonly point: ResumePoint; readonly plan: StartPlan },
    { stored, identity, epoch, hash }: { stored: StoredState | undefined; identity: string; epoch: number; hash: string },
  ): StoredState {
    return {
      v: 1,
      state_id: point.stateId,
      run_id: this.#c.runId,
      epoch,
      source: identity,
      catalog_hash: hash,
      saved_at: new Date().toISOString(),
      states: [...plan.states],
      generations: { ...stored?.generations, ...Object.fromEntries(plan.streams.map(({ key, generation }) => [key, generation])) },
    };
  }

  /** Notes in overrides.json which generations are begun for them, so that they are not begun again and again. */
  async #applyOverrides(overrides: Overrides | undefined, streams: readonly StreamPlan[]): Promise<Overrides | undefined> {
    if (!overrides) return undefined;
    const begun = streams.filter(({ fresh, begin }) => fresh && begin).map(({ key, generation }) => [key, generation.id] as const);
    const applied = { ...overrides, applied: { ...overrides.applied, ...Object.fromEntries(begun) } };
    await this.#c.store.writeOverrides(applied);
    return applied;
  }

  async #startDestination(streams: readonly ConfiguredStream[], plans: readonly StreamPlan[], identity: string): Promise<void> {
    const { destination, plan, files, record, timing, reporter } = this.#c;
    const { ref, redact, junk } = destination;
    const extensions = this.#extensions.destination;
    const args = [
      'write',
      '--config', await files.write('destination-config', JSON.stringify(ref.config)),
      '--catalog', await files.write('destination-catalog', JSON.stringify(withGenerations(streams, plans, this.#syncId))),
    ];
    if (extensions.length > 0) {
      const session = sessionOf({ plan, runId: this.#c.runId, identity, extensions, scratch: await files.scratch('destination-scratch') });
      args.push('--session', await files.write('destination-session', JSON.stringify(session)));
    }
    this.#destination = await DestinationSide.start({
      ref, args, timing,
      messages: { ref, redact, reporter, junk },
      onStderr: (line) => reporter.message('debug', `${ref.label}: ${redact(line)}`),
      onConfig: (config) => this.#renewed(destination, config),
      onState: (body) => this.#answered(body),
      onFailure: (error) => this.#fail(error),
    });
    await record.child('destination', this.#destination.child.identity);
    void this.#destination.done.then(() => {
      if (!this.#destination!.inputEnded) this.#source?.child.terminate();
    });
  }

  get #syncId(): number {
    return Math.floor(Date.now() / 1000);
  }

  async #pipe(streams: readonly ConfiguredStream[], start: { readonly point: ResumePoint; readonly plan: StartPlan }, intent: StoredState, overrides: Overrides | undefined, identity: string): Promise<void> {
    const { progress, reporter, timing, store } = this.#c;
    const destination = this.#destination!;
    const undone = start.plan.streams.filter((stream) => !stream.done);
    for (const { key, done } of start.plan.streams) if (done) progress.completedBefore(key);
    this.#table = new StreamTable(streams.filter(({ stream }) => undone.some(({ key }) => key === streamKey(stream))));
    progress.attempt(this.#table, new Set(undone.filter(({ fresh }) => fresh).map(({ key }) => key)));
    this.#ledger = progress.ledger = new StateLedger(this.#table, start.point.stateId);
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
      if (undone.length > 0) await this.#read(streams, undone, start.plan.states, identity);
      await this.#finish(undone);
    } finally {
      clearInterval(ticking);
      progress.report(reporter);
    }
    destination.child.spare();
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

  async #read(streams: readonly ConfiguredStream[], plans: readonly StreamPlan[], states: readonly string[], identity: string): Promise<void> {
    const { source, plan, files, record, timing, reporter, signals } = this.#c;
    if (this.#failure) return;
    const { ref, redact } = source;
    const read = streams.filter(({ stream }) => this.#table.byKey(streamKey(stream)));
    const extensions = this.#extensions.source;
    const args = [
      'read',
      '--config', await files.write('source-config', JSON.stringify(ref.config)),
      '--catalog', await files.write('source-catalog', JSON.stringify(withGenerations(read, plans, this.#syncId))),
    ];
    if (states.length > 0) args.push('--state', await files.write('source-state', stateFile(states)));
    if (extensions.length > 0) {
      const session = sessionOf({ plan, runId: this.#c.runId, identity, extensions, scratch: await files.scratch('source-scratch') });
      args.push('--session', await files.write('source-session', JSON.stringify(session)));
    }
    signals.first.throwIfAborted();
    this.#source = await SourceSide.start({
      ref, args, timing,
      session: extensions.length > 0,
      router: this.#router(),
      silenceMs: plan.silenceMs,
      write: (bytes) => this.#destination!.write(bytes),
      onWriteFailure: () => this.#source!.child.terminate(),
      onStderr: (line) => reporter.message('debug', `${ref.label}: ${redact(line)}`),
      onFailure: (error) => this.#fail(error),
    });
    await record.child('source', this.#source.child.identity);
    if (this.#failure || this.#destination!.child.exit || signals.first.aborted) this.#source.child.terminate();
    await this.#source.ended;
  }

  #router(): Router {
    const { source, reporter, progress } = this.#c;
    const { ref, redact, junk } = source;
    return new Router(this.#table, {
      state: (line) => Buffer.from(stateLine(this.#ledger.send(stateBodyOf(line)).tagged)),
      junk: (line, number) => junk.line(line, number),
      unknownStream: (stream) => junk.once(
        `stream ${streamKey(stream)}`, `${ref.label} sends records of ${streamKey(stream)}, which is not among the selected streams; they are left out`,
      ),
      extension: (line, { bodyStart, bodyEnd }) => this.#extension(bodyStart === -1 ? '{}' : line.toString('utf8', bodyStart, bodyEnd)),
      message: (line, envelope) => {
        const known = takeMessage(line, envelope, {
          ref, redact, reporter, junk,
          listener: {
            error: (error) => this.#sourceError(error),
            status: (descriptor, status) => {
              const tally = this.#table.find(descriptor);
              if (tally) tally.status = status;
            },
            estimate: (descriptor, rows) => {
              const tally = descriptor && this.#table.find(descriptor);
              if (tally) tally.estimate = rows;
              else if (!descriptor) progress.estimateSync(rows);
            },
            config: (config) => this.#renewed(source, config),
          },
        });
        if (!known) junk.unknownType(envelope.type);
      },
    });
  }

  /** True = it goes on to the destination. */
  #extension(body: string): boolean {
    const { ref, junk } = this.#c.source;
    const { type } = JSON.parse(body) as { type?: string };
    if (type === 'END' && this.#extensions.source.includes('end')) {
      this.#source!.end();
      return false;
    }
    const extension = { SCHEMA: 'schema', GENERATION: 'generation' }[String(type)];
    if (extension && this.#extensions.source.includes(extension) && this.#extensions.destination.includes(extension)) return true;
    junk.once(`extension ${String(type)}`, `${ref.label} sent ${String(type)}, which this run does not use; it is ignored`);
    return false;
  }

  #sourceError(error: ConnectorError): void {
    const tally = error.stream && this.#table.find(error.stream as StreamDescriptor);
    if (tally) tally.error ??= error;
    // What a source says while it is being stopped is about being stopped.
    if (!this.#interrupted) this.#sourceErrors.push(error);
  }

  #answered(body: string): void {
    if (this.#failure?.code === 'count_mismatch') return;
    const { ref, junk } = this.#c.destination;
    const states = this.#ledger?.answered(body) ?? [];
    if (states.length > 0) this.#saver.take(states);
    else junk.once('answer', `${ref.label} sent a state back that is not waited for; it is ignored`);
  }

  /** The source has ended, or was ended: the destination gets its end, saves come in, the source its acks. */
  async #finish(plans: readonly StreamPlan[]): Promise<void> {
    const destination = this.#destination!;
    const source = this.#source;
    // Without END its exit says whether it is done.
    if (source && !source.saidEnd) await source.done;
    failpoint('runner.after_end');
    const lost = destination.child.exit !== undefined && !destination.inputEnded;
    const ending = { ended: source?.saidEnd ?? false, exit: source?.child.exit, errors: this.#sourceErrors };
    const complete = source && !this.#failure && !this.#interrupted && !lost ? completedStreams(this.#table.streams, ending) : [];
    this.#finishing = complete.length > 0;
    await this.#sayComplete(complete);
    if (this.#finishing) failpoint('runner.after_complete');
    if (lost) destination.child.terminate();
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
    for (const tally of stored) this.#committed(tally, plans);
    this.#judge(new Set(stored.map(({ key }) => key)));
    await this.#saveGenerations(plans, stored);
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

  #committed(tally: StreamTally, plans: readonly StreamPlan[]): void {
    const { progress, reporter } = this.#c;
    const uncovered = tally.records - tally.recordsAtState;
    progress.completed(tally);
    const plan = plans.find(({ key }) => key === tally.key)!;
    if (plan.generation.signature.startsWith('full_refresh')) progress.done.add(tally.key);
    else if (uncovered > 0) {
      reporter.message('warn', `${uncovered} records of ${tally.key} came after its last state: no checkpoint covers them, and the next run may read them again`);
    }
  }

  /** Gives every stream its status; a stream that was left without a reason is a failure of its own. */
  #judge(stored: ReadonlySet<string>): void {
    const left = this.#table.streams.filter(({ key }) => !stored.has(key));
    for (const tally of left) {
      const touched = tally.records > 0 || tally.status !== undefined;
      this.#c.progress.set(tally.key, tally.error ? 'failed' : touched ? 'incomplete' : 'skipped');
    }
    if (left.length > 0 && !this.#failure && !this.#interrupted && this.#sourceErrors.length === 0) {
      this.#failure = incompleteError(this.#c.source.ref.label, left);
    }
  }

  async #saveGenerations(plans: readonly StreamPlan[], stored: readonly StreamTally[]): Promise<void> {
    if (stored.length === 0) return;
    const done = plans.filter(({ key }) => stored.some((tally) => tally.key === key));
    const generations = Object.fromEntries(done.map(({ key, generation }) => [key, { ...generation, complete: true }]));
    await this.#saver.complete(generations, stored.length === this.#table.streams.length && !this.#failure);
  }

  /** Writes to the destination; that it is gone shows at its end. */
  async #give(line: string): Promise<void> {
    await this.#destination!.write(line).catch(() => undefined);
  }

  #renewed(connector: Connector, config: Readonly<Record<string, unknown>>): void {
    keepConfig(connector.original, this.#c.plan.directory, config);
    connector.ref = { ...connector.ref, config };
  }

  #fail(error: ConnectorError): void {
    this.#failure ??= error;
    this.#source?.child.terminate();
  }

  #stop(): void {
    if (this.#finishing || this.#source?.saidEnd) return;
    this.#interrupted = true;
    this.#source?.child.terminate();
    // Not yet started: there is nothing to wait for.
    if (!this.#source) this.#destination?.child.terminate();
  }

  #kill(): void {
    this.#interrupted = true;
    this.#source?.child.kill();
    this.#destination?.child.kill();
  }
}
