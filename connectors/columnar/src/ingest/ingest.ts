/**
 * The write loop. Reading and spooling go on while one cut is being committed; a second cut that is due waits for it, and with
 * it the reading: so at most one cut is under way and one is filling.
 */
import {
  AirbyteStream, ConfiguredStream, TaplineBody, TraceBody, protocolError, readBlocks, stateBodyOf, streamKey, summarizeState,
  type BatchMessage, type Checkpoint, type StateSummary, type StreamDescriptor,
} from '@tapline/protocol';
import { join } from 'node:path';
import { inParallel } from '../commit/in-parallel.js';
import { Committer } from './committer.js';
import { Generations, generationOfCatalog } from './generations.js';
import { HeldBatches } from './held-batches.js';
import { Lane } from './lane.js';
import { LineRouter, type ControlLine } from './line-router.js';
import type { Limits, WriteColumnarRequest } from './options.js';
import type { Stager } from './stager.js';
import { StateLedger } from './state-ledger.js';

export interface IngestRequest {
  readonly request: WriteColumnarRequest;
  readonly opened: { readonly checkpoint: Checkpoint | null; readonly seq: number };
  readonly limits: Limits;
  readonly stager: Stager;
  readonly spoolDirectory: string;
  /** Conversions that run at a time. */
  readonly parallel: number;
}

/** Bytes that may wait in memory to be written, over all spools. */
const maxPendingBytes = 16 << 20;
/** What a commit that takes long is to have in it, so that its round trips to a server far away do not count. */
const commitBytesASecond = 64 << 20;
/** Files that are open for it at a time. */
const writesAtOnce = 16;
/** Bytes of records that may wait to be converted before reading does. */
const maxStagingBytes = 32 << 20;
/** Length of the states that may wait for a commit by time. */
const maxWaitingStates = 8 << 20;
/** Bytes read between two looks at that. */
const reliefBytes = 1 << 20;

export class Ingest {
  readonly #request: WriteColumnarRequest;
  readonly #limits: Limits;
  readonly #stager: Stager;
  readonly #committer: Committer;
  readonly #spoolDirectory: string;
  readonly #parallel: number;
  readonly #router: LineRouter;
  readonly #ledger: StateLedger;
  readonly #generations: Generations;
  readonly #lanes = new Map<string, Lane>();
  readonly #names = new Map<string, string[]>();
  /** Lanes with lines after the last STATE that covers them. */
  readonly #dirty = new Set<Lane>();
  /** Lanes with lines before it that no cut has taken yet. Of thousands of streams most are in neither. */
  readonly #sealed = new Set<Lane>();
  readonly #ignored = new Set<string>();
  readonly #warned = new Set<string>();
  /** seq of the commit that is being filled. */
  #seq: number;
  #spools = 0;
  #sinceAnyState = 0;
  /** Bytes, of either kind. */
  #linesSinceCut = 0;
  #batchesSinceCut = 0;
  /** How long the last commit took. */
  #commitMs = 0;
  #rowsSinceCut = 0;
  #lastCut = performance.now();
  #inflight: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #ended = false;
  #bytesSinceRelief = 0;
  #failure: { readonly error: unknown } | undefined;
  readonly #held: HeldBatches | undefined;

  constructor({ request, opened, limits, stager, spoolDirectory, parallel }: IngestRequest) {
    this.#request = request;
    this.#limits = limits;
    this.#stager = stager;
    this.#committer = new Committer(request.sink, request.output);
    this.#spoolDirectory = spoolDirectory;
    this.#parallel = parallel;
    this.#seq = opened.seq + 1;
    this.#ledger = new StateLedger(opened.checkpoint);
    this.#generations = new Generations(opened.checkpoint);
    const batch = request.session?.batch;
    this.#held = batch && new HeldBatches({ session: batch, newPath: () => this.#spoolPath('parquet') });
    this.#router = new LineRouter({
      keysOfName: (name) => this.#names.get(name) ?? [],
      records: (key, bytes, lines, longestLine) => this.#records(key, bytes, lines, longestLine),
      ignored: (what, bytes) => this.#ignore(what, bytes),
    });
    for (const configured of request.catalog.streams) {
      const lane = this.#addLane(configured);
      const begin = request.session ? undefined : generationOfCatalog(configured, opened.checkpoint);
      if (begin) this.#begin(lane, begin.generation, begin.minimum);
    }
  }

  async run(): Promise<void> {
    const { input, signal } = this.#request;
    const stop = (): void => void input.destroy();
    if (signal?.aborted) stop();
    signal?.addEventListener('abort', stop, { once: true });
    let broken: { readonly error: unknown } | undefined;
    try {
      for await (const block of readBlocks(input)) {
        for (const control of this.#router.route(block)) await this.#control(control);
        await this.#relieve();
        if (this.#failure) break;
      }
    } catch (error) {
      // A destroyed input reports its premature end; what destroyed it is what counts.
      if (!this.#failure && !signal?.aborted) broken = { error };
    } finally {
      this.#ended = true;
      clearTimeout(this.#timer);
      signal?.removeEventListener('abort', stop);
    }
    await this.#inflight;
    this.#throwFailure();
    if (broken === undefined && !signal?.aborted) this.#sealCompleted();
    await this.#cut();
    await this.#inflight;
    this.#throwFailure();
    if (broken) throw broken.error;
    this.#reportDiscarded();
    const untold = this.#committer.untoldNulls;
    if (untold > 0) this.#request.log('WARN', `${untold} values became null, because the destination cannot hold them: see _airbyte_meta.changes`);
  }

  #throwFailure(): void {
    if (this.#failure) throw this.#failure.error;
  }

  #addLane(configured: ConfiguredStream): Lane {
    const known = this.#generations.current(streamKey(configured.stream));
    // In a session a GENERATION tells of a new one.
    const generation = this.#request.session ? known : Math.max(known, configured.generation_id ?? 1);
    const lane = new Lane(configured, generation, this.#request.options);
    this.#lanes.set(lane.key, lane);
    const names = this.#names.get(lane.stream.name) ?? [];
    this.#names.set(lane.stream.name, [...names, lane.key]);
    this.#declared(lane);
    return lane;
  }

  #records(key: string, bytes: Buffer, lines: number, longestLine: number): void {
    const lane = this.#lanes.get(key)!;
    this.#linesSinceCut += bytes.length;
    this.#count(lane, bytes.length, lines);
    if (lane.append(bytes, lines, longestLine, this.#newLines, this.#limits)) this.#convertEarly(lane);
  }

  async #batch(message: BatchMessage): Promise<void> {
    const { stream_descriptor: stream, columns, format } = message;
    const held = this.#held;
    if (!held) throw protocolError('this destination was not started for batches, but got a BATCH', { stream });
    if (format !== 'parquet') throw protocolError(`stream ${streamKey(stream)}: a batch has the format ${format}; this destination reads parquet`, { stream });
    const lane = this.#laneOf(stream);
    const file = await held.find(message);
    this.#batchesSinceCut += file.bytes;
    this.#count(lane, file.bytes, file.rows);
    const spool = lane.appendBatch(file, columns, this.#limits);
    held.add(spool);
    if (spool.full) this.#convertEarly(lane);
    await held.relieve();
  }

  #count(lane: Lane, bytes: number, rows: number): void {
    this.#bytesSinceRelief += bytes;
    this.#rowsSinceCut += rows;
    this.#sinceAnyState += rows;
    this.#dirty.add(lane);
    lane.complete = false;
  }

  /** Full spools that no STATE will divide need not wait for their commit. They get their places in their order: one that a new schema ended has none yet. */
  #convertEarly(lane: Lane): void {
    for (const spool of lane.spools) {
      if (!spool.full) {
        if (spool.schema.plan.ownOrder) continue;
        break;
      }
      lane.place(spool, this.#seq);
      if (spool.pure) this.#watch(this.#stager.start(spool, lane, true));
    }
  }

  async #control({ type, bytes, envelope }: ControlLine): Promise<void> {
    if (type === 'STATE') return await this.#state(bytes);
    if (type === 'TRACE' || type === 'TAPLINE') {
      if (envelope.bodyStart === -1) return this.#ignore(`${type} without a body`, bytes.length);
      const body = parseBody(type, bytes.toString('utf8', envelope.bodyStart, envelope.bodyEnd));
      return type === 'TRACE' ? this.#trace(body) : await this.#tapline(body);
    }
    if (!quiet.has(type)) this.#ignore(type, bytes.length);
  }

  async #state(line: Buffer): Promise<void> {
    const body = stateBodyOf(line);
    const summary = summaryOf(body);
    // A STREAM state covers its own stream: what came of others since theirs would come once more after a crash.
    const covered = summary.kind === 'STREAM' ? [...this.#dirty].filter(({ key }) => key === summary.key) : [...this.#dirty];
    for (const lane of covered) {
      this.#seal(lane);
      lane.complete = false;
      this.#convertEarly(lane);
      this.#dirty.delete(lane);
    }
    // What begins or ends goes with the rows that came before it, never ahead of them.
    const hasTail = (key: string, generation: number): boolean => this.#lanes.get(key)!.hasTailOf(generation);
    const forgotten = this.#generations.seal((key, generation) => !hasTail(key, generation - 1), (key, generation) => !hasTail(key, generation));
    for (const key of forgotten) this.#ledger.forget(key);
    this.#ledger.receive(body, summary, (key) => this.#takeCount(key));
    if (this.#due()) await this.#cut();
    else this.#armTimer();
  }

  #trace(body: unknown): void {
    const parsed = TraceBody.safeParse(body);
    const status = parsed.success ? parsed.data.stream_status : undefined;
    if (status?.status !== 'COMPLETE') return;
    const lane = this.#lanes.get(streamKey(status.stream_descriptor));
    if (!lane) return;
    this.#complete(lane);
    // This alone makes a STATE after the last record dispensable; a generation that is complete does not (changes may follow its rows).
    lane.complete = true;
  }

  async #tapline(body: unknown): Promise<void> {
    const parsed = TaplineBody.safeParse(body);
    if (!parsed.success) {
      // Records passed over in silence would be lost.
      if ((body as { type?: unknown } | null)?.type === 'BATCH') throw protocolError('a BATCH has not the form that the protocol gives it', { internalMessage: parsed.error.message });
      return this.#ignore('TAPLINE of an unknown form', 0);
    }
    const message = parsed.data;
    if (message.type === 'BATCH') return await this.#batch(message);
    if (message.type === 'SCHEMA') this.#schema(message.stream);
    if (message.type !== 'GENERATION') return;
    const lane = this.#laneOf(message.stream_descriptor);
    if (message.phase === 'complete') this.#complete(lane, message.generation_id);
    else this.#begin(lane, message.generation_id, message.minimum_generation_id);
  }

  #schema(stream: Readonly<Record<string, unknown>>): void {
    const configured = ConfiguredStream.safeParse(stream);
    const parsed = configured.success ? undefined : AirbyteStream.safeParse(stream);
    if (parsed?.success === false) throw protocolError('a SCHEMA message holds no stream', { internalMessage: parsed.error.message });
    const plain = configured.success ? configured.data.stream : parsed!.data!;
    const lane = this.#lanes.get(streamKey(plain));
    if (lane) {
      lane.evolve(configured.success ? configured.data : { stream: plain });
      this.#declared(lane);
    } else if (configured.success) {
      this.#addLane(configured.data);
    } else {
      this.#laneOf(plain);
    }
  }

  /** The sink is told each time, the user of each thing once. */
  #declared({ schema }: Lane): void {
    this.#request.sink.configure?.(schema);
    for (const warning of schema.plan.warnings) {
      if (this.#warned.has(warning)) continue;
      this.#warned.add(warning);
      this.#request.log('WARN', warning);
    }
  }

  #begin(lane: Lane, generation: number, minimum: number): void {
    const begun = this.#generations.begin({ stream: lane.stream, generation, minimum });
    if (!begun) return;
    lane.begin(generation);
    lane.complete = false;
    if (begun.replaced !== undefined) this.#drop(lane, (older) => older === begun.replaced);
  }

  #complete(lane: Lane, generation?: number): void {
    const completed = this.#generations.complete(lane.stream, generation);
    if (completed && !this.#request.sink.keepsReplaced?.(lane.stream)) this.#drop(lane, (older) => older < completed.minimum);
  }

  #drop(lane: Lane, goes: (generation: number) => boolean): void {
    for (const spool of lane.drop(goes)) this.#watch(spool.remove());
  }

  #laneOf(stream: StreamDescriptor): Lane {
    const lane = this.#lanes.get(streamKey(stream));
    if (!lane) throw protocolError(`a message names the stream ${streamKey(stream)}, which is not in the configured catalog`, { stream });
    return lane;
  }

  /** The end of the input: a stream that is complete needs no STATE after its last record. Nothing else may be committed. */
  #sealCompleted(): void {
    const complete = (key: string): boolean => this.#lanes.get(key)?.complete === true;
    for (const key of this.#generations.seal(complete, complete)) this.#ledger.forget(key);
    for (const lane of this.#lanes.values()) if (lane.complete) this.#seal(lane);
  }

  #seal(lane: Lane): void {
    lane.seal(this.#limits);
    this.#sealed.add(lane);
  }

  #takeCount(key: string): number {
    if (key === '') {
      const count = this.#sinceAnyState;
      this.#sinceAnyState = 0;
      return count;
    }
    const lane = this.#lanes.get(key);
    const count = lane?.sinceState ?? 0;
    if (lane) lane.sinceState = 0;
    return count;
  }

  #due(): boolean {
    const { bytes, batchCut: { idle, least, most }, rows, ms } = this.#limits;
    const batches = Math.min(Math.max((commitBytesASecond * this.#commitMs) / 1000, least), most);
    const isFull = this.#linesSinceCut / bytes + this.#batchesSinceCut / batches >= 1 || (!this.#inflight && this.#batchesSinceCut >= idle);
    return isFull || this.#ledger.waitingLength >= maxWaitingStates || this.#rowsSinceCut >= rows || performance.now() - this.#lastCut >= ms;
  }

  /** A commit by time must come even if no line does. */
  #armTimer(): void {
    if (this.#ended || this.#timer !== undefined || this.#inflight || !this.#ledger.waiting) return;
    const wait = Math.max(this.#limits.ms - (performance.now() - this.#lastCut), 0);
    this.#timer = setTimeout(() => this.#watch(this.#cut()), wait);
  }

  /** Commits everything up to the last STATE. Resolves once that is under way; waits for the cut before it. */
  async #cut(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    while (this.#inflight) await this.#inflight;
    if (this.#failure) return;
    // From here to `#inflight` nothing may be awaited: it is one step for the reading side.
    const staged = [...this.#sealed].flatMap((lane) =>
      lane.takeSealed(this.#newLines).map((spool) => {
        lane.place(spool, this.#seq);
        const staging = this.#stager.start(spool, lane, false);
        this.#stager.forget(spool);
        return staging;
      }),
    );
    this.#sealed.clear();
    if (staged.length === 0 && !this.#ledger.waiting && !this.#generations.changed) return;
    const cut = {
      seq: this.#seq++, staged, echoes: this.#ledger.takePending(), states: this.#ledger.snapshot(), stateId: this.#ledger.stateId,
      ...this.#generations.takeSealed(),
    };
    this.#linesSinceCut = 0;
    this.#batchesSinceCut = 0;
    this.#rowsSinceCut = 0;
    this.#lastCut = performance.now();
    const done = this.#committer.commit(cut).finally(() => {
      this.#commitMs = performance.now() - this.#lastCut;
      this.#inflight = undefined;
      this.#armTimer();
    });
    this.#inflight = done.catch((error: unknown) => this.#fail(error));
  }

  /** Bounds what waits in memory and what lies on the disk. */
  async #relieve(): Promise<void> {
    if (this.#bytesSinceRelief >= reliefBytes) {
      this.#bytesSinceRelief = 0;
      const filling = [...new Set([...this.#dirty, ...this.#sealed])].flatMap((lane) => lane.spools.filter((spool) => spool.pendingBytes > 0));
      const pending = filling.reduce((sum, spool) => sum + spool.pendingBytes, 0);
      if (pending > maxPendingBytes) await inParallel(filling, writesAtOnce, (spool) => spool.write());
    }
    // Many small ones are no reason to wait: the cut after theirs waits for them.
    while (this.#stager.unfinished > this.#parallel && this.#stager.unfinishedBytes > maxStagingBytes && !this.#failure) await this.#stager.someFinished();
  }

  /** Work in the background: its failure ends the reading. */
  #watch(work: Promise<unknown>): void {
    work.catch((error: unknown) => this.#fail(error));
  }

  #fail(error: unknown): void {
    this.#failure ??= { error };
    this.#request.input.destroy();
  }

  #ignore(what: string, bytes: number): void {
    if (this.#ignored.has(what)) return;
    this.#ignored.add(what);
    const told = what === 'junk' ? `a line of ${bytes} bytes that is no message` : `a message of the type ${what.slice(0, 40)}`;
    this.#request.log('WARN', `ignoring ${told}, and all of its like`);
  }

  #reportDiscarded(): void {
    for (const lane of this.#lanes.values()) {
      const rows = lane.spools.reduce((sum, spool) => sum + spool.rows, 0);
      if (rows > 0) this.#request.log('INFO', `stream ${lane.key}: ${rows} records after the last STATE were not committed, because the stream did not complete`);
    }
  }

  readonly #newLines = (): string => this.#spoolPath('jsonl');

  #spoolPath(kind: 'jsonl' | 'parquet'): string {
    return join(this.#spoolDirectory, `${++this.#spools}.${kind}`);
  }
}

/**
 * As {@link summarizeState}, without a parse where none is needed: the GLOBAL state of a thousand tables is long, and comes often.
 * The runner has looked into it.
 */
function summaryOf(body: string): StateSummary {
  const head = globalHead.exec(body);
  return head ? { kind: 'GLOBAL', key: '', descriptor: undefined, id: Number(head[1]), sourceCount: undefined, destinationCount: undefined } : summarizeState(body);
}
/** Whatever order its source chose: the runner puts the id first, and says what kind it is next. */
const globalHead = /^\{(?:"sourceStats":\{"recordCount":\d+\},)?"id":(\d+),"type":"GLOBAL",/;

/** Types that a destination may meet and has nothing to do with. */
const quiet: ReadonlySet<string> = new Set(['LOG', 'SPEC', 'CONNECTION_STATUS', 'CATALOG', 'CONTROL', 'DESTINATION_CATALOG']);

function parseBody(type: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw protocolError(`a ${type} message of ${text.length} characters is not valid JSON`);
  }
}
