/** What is left of the ranges of a key while one session or several read them, and the states that say so. */
import type { StreamDescriptor } from '@tapline/protocol';
import { streamState, type SourceItem } from '@tapline/sdk';
import type { KeyRange } from './key-ranges.js';
import { checkpoints, type Reading } from './reading.js';
import type { SomeRows } from './rows.js';
import type { SnapshotState } from './state.js';

/**
 * A state holds for all ranges at once. So what it returns is true of the rows that were told to it, and no others may be put between the
 * rows, the call that tells them, and the state.
 */
export class KeyProgress {
  /** As they are to be read. */
  readonly ranges: readonly KeyRange[];
  readonly #stream: StreamDescriptor;
  readonly #key: readonly string[];
  readonly #due: (item: SourceItem) => boolean;
  readonly #left: (KeyRange | undefined)[];
  /** Rows are out of which no state knows. */
  #behind = false;

  constructor({ stream, stateIntervalMs }: Pick<Reading, 'stream' | 'stateIntervalMs'>, key: readonly string[], ranges: readonly KeyRange[]) {
    this.ranges = ranges;
    this.#stream = stream;
    this.#key = key;
    this.#due = checkpoints(stateIntervalMs);
    this.#left = [...ranges];
  }

  /** The next rows of a range are out. Returns the state that is due behind them. */
  passed(range: number, { item, last }: Pick<SomeRows, 'item' | 'last'>): SourceItem | undefined {
    this.#left[range] = { after: last, until: this.ranges[range]!.until };
    this.#behind = true;
    return this.#due(item) ? this.#state() : undefined;
  }

  finished(range: number): void {
    this.#left[range] = undefined;
  }

  /** The state to stop with; undefined: nothing is out behind the last one. */
  stopped(): SourceItem | undefined {
    return this.#behind ? this.#state() : undefined;
  }

  #state(): SourceItem {
    this.#behind = false;
    const key = [...this.#key];
    const ranges = this.#left.flatMap((range) => (range ? [{ ...(range.after && { after: [...range.after] }), ...(range.until && { until: [...range.until] }) }] : []));
    const [first] = ranges;
    // Where all that is left is behind one key, one key says it.
    if (ranges.length === 1 && first?.after && !first.until) return streamState(this.#stream, { v: 1, mode: 'snapshot', complete: false, key, after: first.after } satisfies SnapshotState);
    return streamState(this.#stream, { v: 2, mode: 'snapshot', complete: false, key, ranges } satisfies SnapshotState);
  }
}
