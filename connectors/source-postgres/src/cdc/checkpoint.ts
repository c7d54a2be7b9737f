/** What the next STATE says: the position, and how far each stream is. It is true of exactly what was put into the mailbox so far. */
import { streamKey, type StreamDescriptor } from '@tapline/protocol';
import { globalState, type SourceItem } from '@tapline/sdk';
import { formatLsn, type Lsn } from './lsn.js';
import type { SharedState } from './state.js';
import type { Table } from './table.js';

/** Two STATEs are at least so far apart, however small the transactions are. */
const leastApartMs = 20;
/** A STATE of many tables is large: it may take this many bytes of the pipe in a second. */
const bytesPerSecond = 1 << 20;

export class Checkpoint {
  readonly tables = new Map<string, Table>();
  readonly #source: Pick<SharedState, 'system_id' | 'timeline' | 'slot' | 'publication'>;
  readonly #others = new Map<string, { readonly stream: StreamDescriptor; readonly state: unknown }>();
  #position: Lsn;
  #changed = true;
  #told = 0;
  #apartMs = leastApartMs;

  constructor(source: Pick<SharedState, 'system_id' | 'timeline' | 'slot' | 'publication'>, position: Lsn) {
    this.#source = source;
    this.#position = position;
  }

  /** The end of the last transaction that is out, or a position before which there is nothing more. */
  get position(): Lsn {
    return this.#position;
  }

  reach(lsn: Lsn): void {
    if (lsn <= this.#position) return;
    this.#position = lsn;
    this.#changed = true;
  }

  /** Something beside the position is to be told. */
  touch(): void {
    this.#changed = true;
  }

  /** The state of a stream that is read in another way than by its changes. */
  setOther(stream: StreamDescriptor, state: unknown): void {
    this.#others.set(streamKey(stream), { stream, state });
    this.#changed = true;
  }

  /** A STATE that says something new may be sent now. `intervalMs`: no more often than that. */
  due(intervalMs: number): boolean {
    return this.#changed && performance.now() - this.#told >= Math.max(intervalMs, this.#apartMs);
  }

  get changed(): boolean {
    return this.#changed;
  }

  /** The STATE. To be put into the mailbox at once. */
  take(): SourceItem {
    const streams = [...this.#others.values(), ...[...this.tables.values()].map((table) => ({ stream: table.stream, state: table.state }))];
    const { system_id, timeline, slot, publication } = this.#source;
    const shared: SharedState = { v: 1, mode: 'cdc', system_id, timeline, slot, publication, lsn: formatLsn(this.#position) };
    this.#changed = false;
    this.#told = performance.now();
    // A table's state has some 300 bytes, and 20 a column.
    const bytes = [...this.tables.values()].reduce((sum, table) => sum + 300 + 20 * table.schema.size, 0);
    this.#apartMs = Math.max(leastApartMs, (bytes / bytesPerSecond) * 1000);
    return globalState(shared, streams);
  }
}
