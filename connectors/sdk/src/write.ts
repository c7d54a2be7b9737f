/** `write` for destinations that take batches of parsed records: reads stdin, flushes, sends states back. */
import type { Readable } from 'node:stream';
import {
  MessageType, protocolError, readBlocks, splitBlock, stateBodyOf, stateLine, streamKey, summarizeState, TraceBody, withDestinationStats,
  type ConfiguredStream, type Line, type RecordBody,
} from '@tapline/protocol';
import type { IncomingRecord, RecordWriter, WriteContext } from './definition.js';
import type { Output } from './output.js';
import { untilAborted } from './until-aborted.js';

/** A batch is handed over at whichever comes first. */
const batchRecords = 1000;
const batchBytes = 1_048_576;
/** Between flushes, where the session does not say. */
const defaultFlush = { ms: 60_000, bytes: 134_217_728 };

interface WaitingState {
  readonly body: string;
  readonly records: number;
}

/**
 * States go back in the order they came, each after a `flush` that covers every record before it. Flushes happen at states only,
 * so that nothing is made durable that no state covers; but for COMPLETE, which ends a stream. The end of input is not COMPLETE:
 * what follows the last state is dropped then.
 */
export class RecordIntake<Config> {
  readonly #writer: RecordWriter;
  readonly #context: WriteContext<Config>;
  readonly #output: Output;
  readonly #flush: { readonly ms: number; readonly bytes: number };
  readonly #streams: ReadonlyMap<string, ConfiguredStream>;
  readonly #completed = new Set<string>();
  readonly #warned = new Set<string>();
  /** Records since the last state of each stream; '' counts all, for GLOBAL and LEGACY states. */
  readonly #counts = new Map<string, number>([['', 0]]);
  #batch: IncomingRecord[] = [];
  #batchBytes = 0;
  /** Written since the last flush. */
  #bytes = 0;
  /** Some records after the last state have already been written. */
  #beyondState = false;
  #states: WaitingState[] = [];
  #firstStateAt = 0;

  constructor(writer: RecordWriter, context: WriteContext<Config>, output: Output) {
    this.#writer = writer;
    this.#context = context;
    this.#output = output;
    const { ms, bytes } = context.session?.flush ?? {};
    this.#flush = { ms: ms ?? defaultFlush.ms, bytes: bytes ?? defaultFlush.bytes };
    this.#streams = new Map(context.catalog.streams.map((stream) => [streamKey(stream.stream), stream]));
  }

  /** Resolves when all that can be durable is, and its states have gone back. */
  async run(input: Readable): Promise<void> {
    const blocks = readBlocks(untilAborted(input as AsyncIterable<Buffer>, this.#context.signal))[Symbol.asyncIterator]();
    let next = blocks.next();
    for (;;) {
      const block = await this.#nextBlock(next);
      if (block === 'flush') {
        await this.#commit();
        continue;
      }
      if (block.done) break;
      for (const line of splitBlock(block.value)) await this.#line(line);
      next = blocks.next();
    }
    // Dropped: the records that no state covers. If some of them are with the writer already, the states before them
    // wait for the next run, too.
    this.#batch = [];
    if (this.#states.length > 0 && !this.#beyondState) await this.#commit();
  }

  /** The next block, or 'flush' when states have waited long enough and nothing came after them. */
  async #nextBlock(next: Promise<IteratorResult<Buffer, void>>): Promise<IteratorResult<Buffer, void> | 'flush'> {
    if (this.#states.length === 0 || this.#beyondState) return next;
    next.catch(() => {});
    let timer: NodeJS.Timeout | undefined;
    const due = new Promise<'flush'>((resolve) => {
      timer = setTimeout(() => resolve('flush'), Math.max(0, this.#firstStateAt + this.#flush.ms - Date.now()));
    });
    return Promise.race([next, due]).finally(() => clearTimeout(timer));
  }

  async #line(line: Line): Promise<void> {
    const message = this.#parse(line);
    if (!message) return;
    switch (message['type']) {
      case 'RECORD': return this.#record(message['record'], line.bytes.length);
      case 'STATE': return this.#state(stateBodyOf(line.bytes));
      case 'TRACE': return this.#trace(message['trace']);
      default:
        // The rest of the protocol is for the runner.
        if (!MessageType.safeParse(message['type']).success) this.#warnOnce(`a message of an unknown type is ignored: ${String(message['type']).slice(0, 40)}`);
        return undefined;
    }
  }

  #parse({ bytes, terminated }: Line): Record<string, unknown> | undefined {
    const text = bytes.toString('utf8');
    try {
      const value: unknown = JSON.parse(text);
      if (typeof value === 'object' && value !== null && 'type' in value) return value as Record<string, unknown>;
    } catch {
      // Half a line is what a killed runner leaves behind; it was never sent whole, so nothing is lost with it.
      if (!terminated) return undefined;
      if (text.trimStart().startsWith('{')) throw protocolError(`a line of ${bytes.length} bytes on standard input is not valid JSON`);
    }
    this.#warnOnce(`a line of ${bytes.length} bytes that is no message is ignored`);
    return undefined;
  }

  async #record(body: unknown, bytes: number): Promise<void> {
    const { data, emitted_at: emittedAt, stream: name, namespace } = (body ?? {}) as Partial<RecordBody>;
    if (typeof name !== 'string') throw protocolError(`a RECORD of ${bytes} bytes names no stream`);
    const key = streamKey({ name, namespace });
    const stream = this.#streams.get(key);
    if (!stream) throw protocolError(`a RECORD is of the stream ${key}, which the catalog does not have`);
    if (typeof data !== 'object' || data === null) return this.#warnOnce(`a RECORD of the stream ${key} without data is dropped`);
    this.#count(key);
    this.#batch.push({ stream, data, emittedAt: emittedAt ?? Date.now() });
    this.#batchBytes += bytes;
    if (this.#batch.length >= batchRecords || this.#batchBytes >= batchBytes) await this.#handOver();
  }

  async #handOver(): Promise<void> {
    if (this.#batch.length === 0) return;
    if (!this.#beyondState && this.#isDue()) await this.#commit();
    const batch = this.#batch;
    this.#batch = [];
    this.#bytes += this.#batchBytes;
    this.#batchBytes = 0;
    this.#beyondState = true;
    await this.#writer.write(batch);
  }

  async #state(body: string): Promise<void> {
    const { key } = summarizeState(body);
    await this.#handOver();
    this.#beyondState = false;
    if (this.#states.length === 0) this.#firstStateAt = Date.now();
    this.#states.push({ body, records: this.#counts.get(key) ?? 0 });
    this.#counts.set(key, 0);
    if (this.#isDue()) await this.#commit();
  }

  /** States wait, and have waited long enough. */
  #isDue(): boolean {
    return this.#states.length > 0 && (this.#bytes >= this.#flush.bytes || Date.now() - this.#firstStateAt >= this.#flush.ms);
  }

  async #trace(body: unknown): Promise<void> {
    const trace = TraceBody.safeParse(body).data;
    if (trace?.stream_status?.status !== 'COMPLETE') return;
    const key = streamKey(trace.stream_status.stream_descriptor);
    const stream = this.#streams.get(key);
    if (!stream || this.#completed.has(key)) return;
    this.#completed.add(key);
    await this.#handOver();
    await this.#commit();
    await this.#writer.complete?.(stream);
  }

  async #commit(): Promise<void> {
    await this.#writer.flush();
    this.#bytes = 0;
    this.#beyondState = false;
    const states = this.#states;
    this.#states = [];
    for (const { body, records } of states) await this.#output.lines(stateLine(withDestinationStats(body, records)));
  }

  #count(key: string): void {
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1);
    this.#counts.set('', this.#counts.get('')! + 1);
  }

  #warnOnce(text: string): void {
    if (this.#warned.has(text) || this.#warned.size > 100) return;
    this.#warned.add(text);
    this.#context.log('WARN', text);
  }
}
