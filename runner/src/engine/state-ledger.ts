/** The states on their way: given to the destination, not yet back. What is kept of each are the source's own bytes. */
import { protocolError, systemError, summarizeState, tagState, type StateKind, type StateSummary } from '@tapline/protocol';
import type { StoredGeneration } from '../store/stored-state.js';
import type { StreamTable, StreamTally } from './stream-table.js';

/** Records and bytes of one stream between two states. */
export interface Covered {
  readonly key: string;
  readonly records: number;
  readonly bytes: number;
}

export interface SentState {
  readonly id: number;
  readonly kind: StateKind;
  readonly key: string;
  /** As the source wrote it; undefined for one that we made up, which is neither saved nor acknowledged. */
  readonly body: string | undefined;
  /** As the destination got it. */
  readonly tagged: string;
  /** Records since the previous state of the same descriptor, as we counted them. */
  readonly records: number;
  /** What the source says of that, if it says anything. */
  readonly sourceCount: number | undefined;
  readonly covered: readonly Covered[];
  /** Generations that the source began or completed before it, by stream key; of several of a stream the last. */
  readonly generations: ReadonlyMap<string, StoredGeneration>;
  /** Once it is answered: values that became null in what it covers, because the destination cannot hold them. */
  readonly nulledValues: number;
}

export class StateLedger {
  readonly #streams: StreamTable;
  readonly #waiting = new Map<number, SentState>();
  /** Not yet behind a state. */
  readonly #generations = new Map<string, StoredGeneration>();
  #nextId: number;
  #mode: StateKind | undefined;

  constructor(streams: StreamTable, lastId: number) {
    this.#streams = streams;
    this.#nextId = lastId + 1;
  }

  get outstanding(): number {
    return this.#waiting.size;
  }

  /** Sent, not answered, and yet stored: those up to the id that the destination turned out to hold. */
  storedUpTo(id: number): SentState[] {
    return [...this.#waiting.values()].filter((sent) => sent.id <= id);
  }

  /** Takes a state from the source; what comes back is for the destination. Throws when kinds are mixed. */
  send(body: string): SentState {
    const summary = summarizeState(body);
    if (this.#mode !== undefined && this.#mode !== summary.kind) {
      throw protocolError(`the source mixes states: one of type ${summary.kind} after one of type ${this.#mode}`);
    }
    this.#mode = summary.kind;
    return this.#enter(body, summary, this.#coveredBy(summary));
  }

  /** The source began or completed a generation: durable with the next state that covers its stream. */
  generation(key: string, generation: StoredGeneration): void {
    this.#generations.set(key, generation);
  }

  /** An empty state for a stream whose source sends none, so that a destination has something to answer. */
  inject(tally: StreamTally): SentState {
    const stream = JSON.stringify({ stream_descriptor: tally.descriptor, stream_state: {} });
    const body = `{"type":"STREAM","stream":${stream}}`;
    return this.#enter(body, summarizeState(body), this.#coverStream(tally), true);
  }

  get mode(): StateKind | undefined {
    return this.#mode;
  }

  /**
   * The sent state that a destination's answer is about, and all of the same descriptor before it; empty for an answer to
   * nothing. By `id`; destinations that drop fields they do not know answer in order. Throws when both sides count and differ.
   */
  answered(body: string): readonly SentState[] {
    const answer = summarizeState(body);
    const sent = answer.id === undefined ? this.#first(answer) : this.#waiting.get(answer.id);
    if (!sent) return [];
    const before = [...this.#waiting.values()].filter(({ id, key, kind }) => id < sent.id && kind === sent.kind && key === sent.key);
    compareCounts(answer, sent, before, this.#streams.byKey(sent.key));
    const all = [...before, { ...sent, nulledValues: answer.nulledValues ?? 0 }];
    for (const { id } of all) this.#waiting.delete(id);
    return all;
  }

  #first({ kind, key }: StateSummary): SentState | undefined {
    for (const sent of this.#waiting.values()) if (sent.kind === kind && sent.key === key) return sent;
    return undefined;
  }

  #enter(body: string, summary: StateSummary, covered: readonly Covered[], ours = false): SentState {
    const id = this.#nextId++;
    let records = 0;
    for (const one of covered) records += one.records;
    const { kind, key, sourceCount } = summary;
    const generations = new Map([...this.#generations].filter(([stream]) => kind !== 'STREAM' || stream === key));
    for (const stream of generations.keys()) this.#generations.delete(stream);
    const sent: SentState = { id, kind, key, body: ours ? undefined : body, tagged: tagState(body, id, records), records, sourceCount, covered, generations, nulledValues: 0 };
    this.#waiting.set(id, sent);
    return sent;
  }

  #coveredBy({ kind, descriptor }: StateSummary): Covered[] {
    if (kind !== 'STREAM') return this.#streams.streams.flatMap((tally) => this.#coverStream(tally));
    const tally = descriptor && this.#streams.find(descriptor);
    return tally ? this.#coverStream(tally) : [];
  }

  #coverStream(tally: StreamTally): Covered[] {
    const records = tally.records - tally.recordsAtState;
    const bytes = tally.bytes - tally.bytesAtState;
    tally.recordsAtState = tally.records;
    tally.bytesAtState = tally.bytes;
    tally.hadState = true;
    return records === 0 ? [] : [{ key: tally.key, records, bytes }];
  }
}

/** A destination that answers only the newest of several states counts for all of them. */
function compareCounts(answer: StateSummary, sent: SentState, before: readonly SentState[], tally: StreamTally | undefined): void {
  const stored = answer.destinationCount;
  if (stored === undefined) return;
  let all = sent.records;
  for (const one of before) all += one.records;
  const claimed = sent.sourceCount;
  if ((stored === sent.records || stored === all) && (claimed === undefined || claimed === sent.records)) return;
  const where = tally ? ` of stream ${tally.key}` : '';
  const says = claimed !== undefined && claimed !== sent.records ? `the source says that it sent ${claimed}, ${sent.records} were read` : `${sent.records} were sent`;
  throw systemError(
    `the counts of records${where} differ before state ${sent.id}: ${says}, and the destination says that it stored ${stored}. ` +
      'The state is not saved, so that the next run reads them again; please report it to the author of the connector',
    { code: 'count_mismatch', ...(tally ? { stream: tally.descriptor } : {}) },
  );
}
