import { streamKey, type ConfiguredStream, type ConnectorError, type StreamDescriptor, type StreamStatusValue } from '@tapline/protocol';

/** What one attempt knows of one stream. Mutable: it is counted in on the hot path. */
export interface StreamTally {
  readonly key: string;
  readonly descriptor: StreamDescriptor;
  /** False for a stream that is not in the catalog. */
  readonly selected: boolean;
  /** Records and bytes of their lines, read in this attempt. */
  records: number;
  bytes: number;
  /** The same, as they stood at the last STATE that covers this stream. */
  recordsAtState: number;
  bytesAtState: number;
  status: StreamStatusValue | undefined;
  error: ConnectorError | undefined;
  estimate: number | undefined;
  hadState: boolean;
  /** It may be read again from a state. */
  readonly resumable: boolean;
}

/** The streams of a configured catalog, found by what a source calls them. */
export class StreamTable {
  readonly #streams: StreamTally[] = [];
  readonly #byKey = new Map<string, StreamTally>();
  readonly #byName = new Map<string, StreamTally | null>();

  constructor(configured: readonly ConfiguredStream[]) {
    for (const one of configured) this.add(one);
  }

  get streams(): readonly StreamTally[] {
    return this.#streams;
  }

  /** Also of one that appears while its source runs. */
  add({ stream, sync_mode }: ConfiguredStream): StreamTally {
    const tally = tallyOf(stream, true, sync_mode === 'incremental' || stream.is_resumable === true);
    this.#streams.push(tally);
    this.#byKey.set(tally.key, tally);
    this.#byName.set(tally.descriptor.name, this.#byName.has(tally.descriptor.name) ? null : tally);
    return tally;
  }

  /** Exactly, or by the name alone where only one stream has it: some sources leave the namespace out. */
  find(descriptor: StreamDescriptor): StreamTally | undefined {
    return this.#byKey.get(streamKey(descriptor)) ?? this.onlyOneNamed(descriptor.name);
  }

  byKey(key: string): StreamTally | undefined {
    return this.#byKey.get(key);
  }

  onlyOneNamed(name: string): StreamTally | undefined {
    return this.#byName.get(name) ?? undefined;
  }
}

export function tallyOf(descriptor: StreamDescriptor, selected: boolean, resumable = false): StreamTally {
  const { name, namespace } = descriptor;
  return {
    key: streamKey(descriptor), descriptor: namespace ? { name, namespace } : { name }, selected, resumable,
    records: 0, bytes: 0, recordsAtState: 0, bytesAtState: 0,
    status: undefined, error: undefined, estimate: undefined, hadState: false,
  };
}
