/**
 * Full refresh: one COPY in one REPEATABLE READ snapshot. A table whose key has an order that can be reproduced is read in that order,
 * so that any row is a place to go on from; every other table is read as it lies, and an interrupted read begins again. A large table is
 * read by several sessions, if there are several: in ranges of such a key, or of its pages.
 */
import type { StreamDescriptor } from '@tapline/protocol';
import { status, streamState, type SourceItem } from '@tapline/sdk';
import { byKey, byPages } from './divisions.js';
import { KeyProgress } from './key-progress.js';
import { keyRanges, rowsOf, withoutSort, type KeyRange } from './key-ranges.js';
import { inSnapshot, type Reading } from './reading.js';
import type { Relation } from './relations.js';
import { rowReader } from './rows.js';
import { snapshotStateOf, type SnapshotState } from './state.js';
import { hasReproducibleOrder } from './types.js';

/** The key in whose order a table can be read, or empty. */
export function resumableKey(relation: Relation): readonly string[] {
  const column = (key: string) => relation.columns.find(({ name }) => name === key)!;
  return relation.key.every((key) => hasReproducibleOrder(column(key).type, column(key).collationIsC)) ? relation.key : [];
}

export async function* readSnapshot(reading: Reading): AsyncGenerator<SourceItem, void, undefined> {
  const { stream, relation, connection } = reading;
  const key = resumableKey(relation);
  const state = snapshotStateOf(reading.state, stream, key);
  if (state?.complete) return;
  yield status(stream, 'RUNNING');
  yield* inSnapshot(connection, () => copy(reading, key, state));
}

async function* copy(reading: Reading, key: readonly string[], state: SnapshotState | undefined): AsyncGenerator<SourceItem, void, undefined> {
  const { stream, connection, together, signal } = reading;
  const progress = new KeyProgress(reading, key, await rangesOf(reading, key, state));
  if (together) {
    const division = key.length === 0 ? await byPages(reading, together.rangeBytes) : progress.ranges.length > 1 ? await byKey(reading, key, progress) : undefined;
    if (division) {
      await together.divide(division, connection);
      if (!signal.aborted) yield complete(stream);
      return;
    }
  }
  yield* copyAlone(reading, key, progress);
}

/** What is left to be read. */
async function rangesOf({ connection, relation, together }: Reading, key: readonly string[], state: SnapshotState | undefined): Promise<readonly KeyRange[]> {
  if (state?.v === 2) return state.ranges;
  const after = state?.after;
  return together && key.length > 0 ? keyRanges(connection, relation, { key, after, bytes: together.rangeBytes }) : [{ after }];
}

/** By this session, one range after another. */
async function* copyAlone(reading: Reading, key: readonly string[], progress: KeyProgress): AsyncGenerator<SourceItem, void, undefined> {
  const { stream, relation, connection, signal } = reading;
  const read = await rowReader(reading);
  if (key.length > 0) await withoutSort(connection);
  let emittedAt = Date.now();
  for (const [at, range] of progress.ranges.entries()) {
    for await (const rows of read({ ...rowsOf(relation, key, range), emittedAt: () => emittedAt })) {
      yield rows.item;
      const state = key.length > 0 ? (progress.passed(at, rows) ?? (signal.aborted ? progress.stopped() : undefined)) : undefined;
      if (state) {
        yield state;
        emittedAt = Date.now();
      }
      if (signal.aborted) return;
    }
    progress.finished(at);
  }
  yield complete(stream);
}

const complete = (stream: StreamDescriptor): SourceItem => streamState(stream, { v: 1, mode: 'snapshot', complete: true } satisfies SnapshotState);
