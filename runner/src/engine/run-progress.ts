/** What a run has achieved, over all its attempts: the material of progress and summary. */
import { streamKey, type ConfiguredStream, type ConnectorError } from '@tapline/protocol';
import type { StoredGeneration } from '../store/stored-state.js';
import type { Lag, Reporter, StreamSummary, SyncSummary } from '../types.js';
import type { Covered, SentState, StateLedger } from './state-ledger.js';
import type { StreamTable, StreamTally } from './stream-table.js';

interface StreamProgress {
  readonly name: string;
  readonly namespace: string | undefined;
  /** Covered by a commit of this run. */
  records: number;
  bytes: number;
  /** Those when the attempt began. */
  recordsBefore: number;
  bytesBefore: number;
  status: StreamSummary['status'];
  /** A generation that the source began and has not completed, and what was counted when it began: it may be begun anew. */
  open: { readonly id: number; readonly records: number; readonly bytes: number } | undefined;
}

export class RunProgress {
  readonly #streams = new Map<string, StreamProgress>();
  readonly #began = Date.now();
  #table: StreamTable | undefined;
  #syncEstimate: number | undefined;
  statesSaved = 0;
  #nulledValues = 0;
  /** As the source said last. */
  lag: Lag | undefined;
  /** Full refreshes that are complete: an attempt that follows leaves them out. */
  readonly done = new Set<string>();
  /** The last attempt's. */
  ledger: StateLedger | undefined;
  /** Generations that this run began, by stream key. */
  readonly generations = new Map<string, number>();

  declare(configured: readonly ConfiguredStream[]): void {
    for (const { stream } of configured) {
      const key = streamKey(stream);
      if (this.#streams.has(key)) continue;
      const { name, namespace } = stream;
      this.#streams.set(key, { name, namespace: namespace ?? undefined, records: 0, bytes: 0, recordsBefore: 0, bytesBefore: 0, status: 'skipped', open: undefined });
    }
  }

  /** An attempt begins to read; `fresh` streams start from nothing, so that what was counted of them is read again. */
  attempt(table: StreamTable, fresh: ReadonlySet<string>): void {
    this.#table = table;
    for (const [key, stream] of this.#streams) {
      if (fresh.has(key)) {
        stream.records = stream.bytes = 0;
        stream.open = undefined;
      }
      stream.recordsBefore = stream.records;
      stream.bytesBefore = stream.bytes;
    }
  }

  /** The destination has these, and so has the state file. */
  stored(states: readonly SentState[]): void {
    for (const { covered, generations, nulledValues } of states) {
      for (const [key, generation] of generations) this.#generation(key, generation);
      this.covered(covered);
      this.#nulledValues += nulledValues;
    }
    this.statesSaved += states.filter(({ body }) => body !== undefined).length;
  }

  /** What was read of a generation that begins anew comes again: it counts once. */
  #generation(key: string, { id, complete }: StoredGeneration): void {
    const stream = this.#streams.get(key);
    if (!stream) return;
    if (stream.open && stream.open.id !== id) [stream.records, stream.bytes] = [stream.open.records, stream.open.bytes];
    if (complete) stream.open = undefined;
    else if (stream.open?.id !== id) stream.open = { id, records: stream.records, bytes: stream.bytes };
  }

  /** A stream that the attempt before this one completed, though that ended before we knew. */
  completedBefore(key: string): void {
    const tally = this.#table?.byKey(key);
    if (tally) this.completed(tally);
    this.done.add(key);
  }

  covered(covered: readonly Covered[]): void {
    for (const { key, records, bytes } of covered) {
      const stream = this.#streams.get(key);
      if (!stream) continue;
      stream.records += records;
      stream.bytes += bytes;
    }
  }

  /** The stream and all that was read of it are committed. */
  completed(tally: StreamTally): void {
    this.covered([{ key: tally.key, records: tally.records - tally.recordsAtState, bytes: tally.bytes - tally.bytesAtState }]);
    this.set(tally.key, 'succeeded');
  }

  set(key: string, status: StreamSummary['status']): void {
    const stream = this.#streams.get(key);
    if (stream) stream.status = status;
  }

  estimateSync(rows: number): void {
    this.#syncEstimate = rows;
  }

  report(reporter: Reporter): void {
    let records = 0;
    let bytes = 0;
    let estimated: number | undefined;
    let streamsDone = 0;
    for (const [key, stream] of this.#streams) {
      const tally = this.#table?.byKey(key);
      records += stream.recordsBefore + (tally?.records ?? 0);
      bytes += stream.bytesBefore + (tally?.bytes ?? 0);
      if (this.done.has(key) || stream.status === 'succeeded' || tally?.status === 'COMPLETE') streamsDone++;
      if (tally?.estimate !== undefined) estimated = (estimated ?? 0) + tally.estimate;
    }
    reporter.progress({
      records, bytes, seconds: this.#seconds(), streamsDone, streamsTotal: this.#streams.size, estimatedRecords: estimated ?? this.#syncEstimate, lag: this.lag,
    });
  }

  summary(sync: string, status: SyncSummary['status'] | undefined, error: ConnectorError | undefined): SyncSummary {
    const streams: StreamSummary[] = [...this.#streams.values()].map(({ name, namespace, status, records, bytes }) => ({
      ...(namespace ? { namespace } : {}), name, status, records, bytes,
    }));
    const succeeded = streams.filter((stream) => stream.status === 'succeeded').length;
    const total = (of: 'records' | 'bytes'): number => streams.reduce((sum, stream) => sum + stream[of], 0);
    return {
      type: 'summary',
      status: status ?? (!error ? 'succeeded' : succeeded > 0 && succeeded < streams.length ? 'partial' : 'failed'),
      sync,
      records: total('records'),
      bytes: total('bytes'),
      seconds: this.#seconds(),
      streams,
      states_saved: this.statesSaved,
      ...(this.#nulledValues > 0 ? { nulled_values: this.#nulledValues } : {}),
      ...(error ? { error: { kind: error.kind, message: error.message } } : {}),
    };
  }

  #seconds(): number {
    return Math.round((Date.now() - this.#began) / 10) / 100;
  }
}
