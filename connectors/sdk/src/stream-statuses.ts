import { streamKey, type ConfiguredCatalog, type StreamDescriptor } from '@tapline/protocol';
import type { Output } from './output.js';

type Phase = 'started' | 'ended';

/** STREAM_STATUS of every stream: STARTED before its first message, and one end. */
export class StreamStatuses {
  readonly #output: Output;
  /** Of the catalog, and those that were added. */
  readonly #streams: StreamDescriptor[];
  readonly #phases = new Map<string, Phase>();

  constructor(output: Output, catalog: ConfiguredCatalog) {
    this.#output = output;
    this.#streams = catalog.streams.map(({ stream }) => stream);
  }

  /** True once STARTED was sent. Cheap enough to ask for each record. */
  isStarted(stream: StreamDescriptor): boolean {
    return this.#phases.has(streamKey(stream));
  }

  /** A stream that appeared while the source ran. One that is known already changes nothing. */
  add(stream: StreamDescriptor): void {
    const key = streamKey(stream);
    if (!this.#streams.some((known) => streamKey(known) === key)) this.#streams.push(stream);
  }

  async start(stream: StreamDescriptor): Promise<void> {
    if (this.isStarted(stream)) return;
    this.#phases.set(streamKey(stream), 'started');
    await this.#output.status(stream, 'STARTED');
  }

  async end(stream: StreamDescriptor, value: 'COMPLETE' | 'INCOMPLETE'): Promise<void> {
    if (this.#phases.get(streamKey(stream)) === 'ended') return;
    await this.start(stream);
    this.#phases.set(streamKey(stream), 'ended');
    await this.#output.status(stream, value);
  }

  /** The data has ended: every stream that did not end by itself is complete. */
  async completeRest(): Promise<void> {
    for (const stream of this.#streams) await this.end(stream, 'COMPLETE');
  }

  /** The source stopped in the middle: what was begun did not end. */
  async interruptRest(): Promise<void> {
    for (const stream of this.#streams) if (this.isStarted(stream)) await this.end(stream, 'INCOMPLETE');
  }
}
