/** `read`: pulls the source's generator, and writes what it yields. */
import { setTimeout as sleep } from 'node:timers/promises';
import {
  exitCodeOf, ExitCode, failpoint, streamKey, systemError, toConnectorError, type ConnectorError, type SourceExtension, type StreamDescriptor,
} from '@tapline/protocol';
import { Acks } from './acks.js';
import type { ReadContext, SourceDefinition, SourceItem } from './definition.js';
import type { StartStates } from './input-files.js';
import { RecordLines } from './record-lines.js';
import type { Shutdown } from './shutdown.js';
import type { Stdout } from './stdout.js';
import { StreamStatuses } from './stream-statuses.js';

export interface ReadOptions<Config> {
  readonly definition: SourceDefinition<Config>;
  readonly context: ReadContext<Config>;
  readonly states: StartStates;
  readonly stdout: Stdout;
  readonly shutdown: Shutdown;
}

/** Resolves with the exit code; all failures are told on stdout by then. */
export async function runRead<Config>(options: ReadOptions<Config>): Promise<number> {
  const { definition, context } = options;
  try {
    return await readAndConfirm(options);
  } finally {
    // All that counts is done.
    await definition.close?.(context).catch((error: unknown) => context.log('WARN', `while closing: ${toConnectorError(error).message}`));
  }
}

async function readAndConfirm<Config>(options: ReadOptions<Config>): Promise<number> {
  const { definition, context, states, stdout, shutdown } = options;
  const extensions = context.session?.extensions ?? [];
  const confirm = definition.confirm && ((state: (typeof states.bodies)[number]) => definition.confirm!(state, context));

  // A confirmation that the last run could not make.
  if (confirm) for (const state of states.bodies) await confirm(state);

  const reading = new Reading(options);
  let confirmFailure: unknown;
  let stdinEnded = false;
  const { promise: failed, resolve: fail } = deferred();
  const acks = extensions.includes('ack') || extensions.includes('end')
    ? new Acks(process.stdin, {
        confirm: extensions.includes('ack') ? confirm : undefined,
        onEnd: () => {
          stdinEnded = true;
          if (!reading.ended) shutdown.request('the runner wants no more', ExitCode.ok);
        },
        onFailure: (error) => {
          confirmFailure = error;
          fail();
          shutdown.request('a confirmation failed', ExitCode.system);
        },
        onJunk: (description) => context.log('WARN', description),
      })
    : undefined;

  const worst = await reading.run();
  if (acks && extensions.includes('end') && !stdinEnded && confirmFailure === undefined) {
    await stdout.output.extension({ type: 'END', ...(shutdown.signal.aborted && { stopped: true }) });
    failpoint('source.after_end');
    // Whoever was asked to stop stays for the acks of what it sent, but not for ever: they may never come.
    await Promise.race([acks.done, failed, aborted(shutdown.signal).then(() => sleep(lastAcksMs, undefined, { ref: false }))]);
  }
  await acks?.settled();
  if (confirmFailure !== undefined) throw toConnectorError(confirmFailure);
  if (worst) return exitCodeOf(worst);
  return shutdown.signal.aborted ? shutdown.exitCode : ExitCode.ok;
}

class Reading<Config> {
  readonly #options: ReadOptions<Config>;
  readonly #statuses: StreamStatuses;
  readonly #records: RecordLines;
  /** Streams whose new schema nobody took. */
  readonly #untold = new Set<string>();
  #worst: ConnectorError | undefined;
  /** Nothing was written since the last state: here a stop costs nothing. */
  #atBoundary = true;
  ended = false;

  constructor(options: ReadOptions<Config>) {
    this.#options = options;
    this.#statuses = new StreamStatuses(options.stdout.output, options.context.catalog);
    this.#records = new RecordLines(options.stdout.writer);
  }

  /** Resolves with the worst failure of single streams. Rejects when the source as a whole failed. */
  async run(): Promise<ConnectorError | undefined> {
    const { definition, context, shutdown } = this.#options;
    let iterator: AsyncIterator<SourceItem> | undefined;
    try {
      iterator = definition.read(context)[Symbol.asyncIterator]();
      for (;;) {
        const next = await this.#next(iterator);
        if (next === 'stop' || next.done) break;
        const wait = this.#write(next.value);
        if (wait) await wait;
      }
    } catch (error) {
      await this.#records.flush();
      if (!shutdown.signal.aborted) {
        await this.#statuses.interruptRest();
        throw error;
      }
      // Asked to stop, it stopped: what its drivers say to that is no failure.
      if (toConnectorError(error).name !== 'AbortError') context.log('WARN', `while stopping: ${toConnectorError(error).message}`);
    }
    await this.#records.flush();
    this.ended = true;
    if (shutdown.signal.aborted) {
      await this.#statuses.interruptRest();
      await closeQuietly(iterator);
    } else {
      await this.#statuses.completeRest();
    }
    return this.#worst;
  }

  #next(iterator: AsyncIterator<SourceItem>): Promise<IteratorResult<SourceItem> | 'stop'> {
    const { signal } = this.#options.shutdown;
    if (!this.#atBoundary) return iterator.next();
    if (signal.aborted) return Promise.resolve('stop');
    // Not Promise.race: it would leave a reaction on a promise that lives as long as the process.
    return new Promise((resolve, reject) => {
      const stop = (): void => resolve('stop');
      signal.addEventListener('abort', stop, { once: true });
      iterator.next().then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
    });
  }

  #write(item: SourceItem): Promise<void> | undefined {
    if (item.kind === 'record') {
      this.#atBoundary = false;
      if (this.#statuses.isStarted(item.stream)) return this.#records.add(item.stream, item.data, item.changes);
      return this.#start(item.stream).then(() => this.#records.add(item.stream, item.data, item.changes));
    }
    return this.#writeOther(item);
  }

  async #writeOther(item: Exclude<SourceItem, { kind: 'record' }>): Promise<void> {
    const { output } = this.#options.stdout;
    await this.#records.flush();
    switch (item.kind) {
      case 'lines':
        if (item.stream) await this.#statuses.start(item.stream);
        this.#atBoundary = false;
        await output.lines(item.bytes);
        break;
      case 'batch':
        await this.#statuses.start(item.stream);
        this.#atBoundary = false;
        await this.#batch(item);
        break;
      case 'stream_state':
        await this.#statuses.start(item.stream);
        await this.#state({ type: 'STREAM', stream: streamState(item.stream, item.state) });
        break;
      case 'global_state':
        await this.#state({
          type: 'GLOBAL',
          global: { shared_state: item.shared, stream_states: item.streams.map(({ stream, state }) => streamState(stream, state)) },
        });
        break;
      case 'status':
        if (item.status === 'COMPLETE' || item.status === 'INCOMPLETE') await this.#statuses.end(item.stream, item.status);
        else {
          await this.#statuses.start(item.stream);
          if (item.status === 'RUNNING') await output.status(item.stream, item.status);
        }
        break;
      case 'failed':
        await output.error(item.error, item.stream);
        await this.#statuses.end(item.stream, 'INCOMPLETE');
        this.#worst = worse(this.#worst, toConnectorError(item.error));
        break;
      case 'estimate':
        await output.estimate(item.stream, item.rows, item.bytes);
        break;
      case 'schema':
        await this.#schema(item);
        break;
      case 'generation':
        if (!this.#uses('generation')) break;
        await this.#statuses.start(item.stream);
        await output.extension({
          type: 'GENERATION', stream_descriptor: bare(item.stream),
          generation_id: item.generation, minimum_generation_id: item.minimum, phase: item.phase,
        });
        break;
      case 'lag':
        if (this.#uses('lag')) await output.extension({ type: 'LAG', bytes: item.bytes, seconds: item.seconds });
        break;
    }
    await this.#records.breathe();
  }

  async #start(stream: StreamDescriptor): Promise<void> {
    await this.#records.flush();
    await this.#statuses.start(stream);
  }

  async #batch({ stream, path, bytes, rows, columns, emittedAt }: Extract<SourceItem, { kind: 'batch' }>): Promise<void> {
    const format = this.#options.context.session?.batch?.format;
    if (!format) throw systemError(`a batch of ${streamKey(stream)} cannot be sent: this run does not use batches`, { code: 'no_batches' });
    await this.#options.stdout.output.extension({
      type: 'BATCH', stream_descriptor: bare(stream), path, format, columns: [...columns], rows, bytes, emitted_at: emittedAt,
    });
    failpoint('source.after_batch_line');
  }

  async #schema({ stream, version }: Extract<SourceItem, { kind: 'schema' }>): Promise<void> {
    if (this.#uses('schema')) {
      // Before STARTED: of a new stream nobody knows anything yet.
      await this.#options.stdout.output.extension({ type: 'SCHEMA', schema_version: version, stream });
      this.#statuses.add(stream);
      return;
    }
    const key = streamKey(stream);
    if (this.#untold.has(key)) return;
    this.#untold.add(key);
    this.#options.context.log('WARN', `${key} has changed, and the destination takes no change of a schema within a run: what is new in it comes with the next run`);
  }

  #uses(extension: SourceExtension): boolean {
    return this.#options.context.session?.extensions.includes(extension) ?? false;
  }

  async #state(state: object): Promise<void> {
    await this.#options.stdout.output.message({ type: 'STATE', state });
    this.#atBoundary = true;
    failpoint('source.after_state');
  }
}

const bare = ({ name, namespace }: StreamDescriptor): StreamDescriptor => (namespace ? { name, namespace } : { name });

const streamState = (stream: StreamDescriptor, state: unknown): object => ({ stream_descriptor: bare(stream), stream_state: state });

/** What a retry cannot mend is worse. */
const rank = { transient_error: 0, system_error: 1, config_error: 2 } as const;
const worse = (one: ConnectorError | undefined, other: ConnectorError): ConnectorError =>
  one && rank[one.kind] >= rank[other.kind] ? one : other;

const closeGraceMs = 2000;

/** Below the grace period that a runner gives: going in good order is better than being killed. */
const lastAcksMs = 7000;

/** Lets the generator run its `finally`, as far as it does not hang there. */
async function closeQuietly(iterator: AsyncIterator<SourceItem> | undefined): Promise<void> {
  const closed = iterator?.return?.().catch(() => {});
  await Promise.race([closed, new Promise((resolve) => setTimeout(resolve, closeGraceMs))]);
}

function deferred(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve!: () => void;
  return { promise: new Promise<void>((done) => (resolve = done)), resolve };
}

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => (signal.aborted ? resolve() : signal.addEventListener('abort', () => resolve(), { once: true })));
