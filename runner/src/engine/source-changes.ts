/**
 * What a source says of its streams while it runs: a new schema, a stream that appears, generations that it begins and
 * completes. What comes back of each message is for the destination.
 */
import { reconfigure } from '@tapline/catalog';
import {
  AirbyteStream, GenerationMessage, protocolError, SchemaMessage, streamKey, type ConfiguredStream, type StreamDescriptor,
} from '@tapline/protocol';
import { withGenerations } from './configured-catalog.js';
import { signatureOf, type StreamPlan } from './plan-streams.js';
import type { RunContext } from './run-context.js';
import type { StateLedger } from './state-ledger.js';
import type { StreamTable } from './stream-table.js';

export interface SourceChangesOptions {
  readonly table: StreamTable;
  readonly ledger: StateLedger;
  readonly streams: readonly ConfiguredStream[];
  /** By stream key. What changes is written here, too. */
  readonly plans: Map<string, StreamPlan>;
  /** The highest generation of a stream that anybody knows, selected or not; 0 = none. */
  readonly known: (key: string) => number;
}

export class SourceChanges {
  readonly #context: RunContext;
  readonly #options: SourceChangesOptions;
  readonly #configured: Map<string, ConfiguredStream>;
  /** Of streams that appeared: the source counts their generations from 1, whatever an earlier stream of the name has left. */
  readonly #shift = new Map<string, number>();

  constructor(context: RunContext, options: SourceChangesOptions) {
    this.#context = context;
    this.#options = options;
    this.#configured = new Map(options.streams.map((configured) => [streamKey(configured.stream), configured]));
  }

  /** Undefined: the stream is none of this run's. `appeared` tells that the table has one more. */
  schema(body: unknown): { readonly line: Buffer; readonly appeared: boolean } | undefined {
    const message = SchemaMessage.safeParse(body);
    const stream = AirbyteStream.safeParse(message.data?.stream);
    if (!message.success || !stream.success) throw protocolError('a SCHEMA does not have the form of the protocol');
    const key = streamKey(stream.data);
    const before = this.#configured.get(key);
    const configured = before ? reconfigure(before, stream.data) : this.#appeared(key, stream.data);
    if (!configured) return undefined;
    this.#configured.set(key, configured);
    const [forwarded] = withGenerations([configured], [...this.#options.plans.values()], Math.floor(Date.now() / 1000)).streams;
    return { line: lineOf({ type: 'SCHEMA', schema_version: message.data.schema_version, stream: forwarded }), appeared: before === undefined };
  }

  /** Undefined: the stream is none of this run's. */
  generation(body: unknown): Buffer | undefined {
    const parsed = GenerationMessage.safeParse(body);
    if (!parsed.success) throw protocolError('a GENERATION does not have the form of the protocol');
    const message = parsed.data;
    const tally = this.#options.table.find(message.stream_descriptor);
    if (!tally) return undefined;
    const shift = this.#shift.get(tally.key) ?? 0;
    const id = message.generation_id + shift;
    const minimum = message.minimum_generation_id > 0 ? message.minimum_generation_id + shift : 0;
    this.#note(tally.key, { id, minimum, complete: message.phase === 'complete' });
    return lineOf({ ...message, stream_descriptor: tally.descriptor, generation_id: id, minimum_generation_id: minimum });
  }

  /**
   * A stream is complete, and its source goes on with others: in a run without an end its generation need not wait for that.
   * Undefined: it has none that is open.
   */
  complete(descriptor: StreamDescriptor): Buffer | undefined {
    const tally = this.#options.table.find(descriptor);
    const generation = tally && this.#options.plans.get(tally.key)?.generation;
    if (!generation || generation.complete) return undefined;
    this.#note(tally.key, { ...generation, complete: true });
    return lineOf({
      type: 'GENERATION', stream_descriptor: tally.descriptor, generation_id: generation.id, minimum_generation_id: generation.minimum, phase: 'complete',
    });
  }

  #note(key: string, change: { readonly id: number; readonly minimum: number; readonly complete: boolean }): void {
    const { plans, ledger } = this.#options;
    const plan = plans.get(key)!;
    const generation = { ...plan.generation, ...change };
    plans.set(key, { ...plan, generation });
    ledger.generation(key, generation);
  }

  #appeared(key: string, stream: AirbyteStream): ConfiguredStream | undefined {
    const { plan, progress, reporter, source } = this.#context;
    const { table, plans, known } = this.#options;
    const configured = plan.appeared(stream);
    if (!configured) return undefined;
    const highest = known(key);
    this.#shift.set(key, highest);
    const generation = { id: Math.max(1, highest), minimum: 0, complete: true, signature: signatureOf(configured) };
    plans.set(key, { key, descriptor: stream, generation, begin: false, fresh: false, done: false });
    table.add(configured);
    progress.declare([configured]);
    reporter.message('debug', `${source.ref.label}: ${key} has appeared, and is configured`);
    return configured;
  }
}

const lineOf = (tapline: object): Buffer => Buffer.from(`${JSON.stringify({ type: 'TAPLINE', tapline })}\n`);
