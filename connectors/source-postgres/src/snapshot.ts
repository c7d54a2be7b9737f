/**
 * Full refresh: one COPY in one REPEATABLE READ snapshot. A table whose key has an order that can be reproduced is read in that order,
 * so that any row is a place to go on from; checkpoints other table is read as it lies, by several sessions if it is large and there are several,
 * and an interrupted read begins again.
 */
import { identifier, literal } from '@tapline/postgres-client';
import type { StreamDescriptor } from '@tapline/protocol';
import { status, streamState, type SourceItem } from '@tapline/sdk';
import { exportSnapshot, pageRanges } from './page-ranges.js';
import { checkpoints, inSnapshot, type Reading } from './reading.js';
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
  const { stream, relation, connection } = reading;
  if (key.length === 0 && (await copyTogether(reading))) {
    if (!reading.signal.aborted) yield complete(stream);
    return;
  }
  const read = await rowReader(reading);
  // The index walks in the key's order. A sort could fill the server's disk with a copy of the table.
  if (key.length > 0) await connection.query('SET LOCAL enable_sort = off');
  const due = checkpoints(reading.stateIntervalMs);
  let emittedAt = Date.now();
  const rows = read({
    where: state?.after && after(relation, key, state.after),
    orderBy: key,
    needed: key,
    lastOf: key,
    emittedAt: () => emittedAt,
  });
  for await (const { item, last } of rows) {
    yield item;
    if (key.length > 0 && (reading.signal.aborted || due(item))) {
      yield streamState(stream, { v: 1, mode: 'snapshot', complete: false, key: [...key], after: [...last] } satisfies SnapshotState);
      emittedAt = Date.now();
    }
    if (reading.signal.aborted) return;
  }
  yield complete(stream);
}

const complete = (stream: StreamDescriptor): SourceItem => streamState(stream, { v: 1, mode: 'snapshot', complete: true } satisfies SnapshotState);

/** By all sessions that have nothing else to do. False: the table is read as one. */
async function copyTogether(reading: Reading): Promise<boolean> {
  const { together, relation, connection, signal } = reading;
  if (!together) return false;
  const ranges = await pageRanges(connection, relation, together.rangeBytes);
  if (ranges.length === 1) return false;
  const { schema, name } = relation;
  await together.divide({
    exported: await exportSnapshot(connection),
    parts: ranges.length,
    async *read(part, session) {
      const read = await rowReader({ ...reading, connection: session });
      for await (const { item } of read({ where: ranges[part], emittedAt: Date.now })) {
        yield item;
        if (signal.aborted) return;
      }
    },
    classify: (error, session) => session.classify(error, { schema, name }),
  }, connection);
  return true;
}

/** Compared as a row, which an index on the key can answer. */
function after(relation: Relation, key: readonly string[], values: readonly string[]): string {
  const columns = key.map((name) => `s.${identifier(name)}`);
  const bounds = key.map((name, i) => `${literal(values[i] ?? '')}::${relation.columns.find((column) => column.name === name)!.type.sqlName}`);
  return `(${columns.join(', ')}) > (${bounds.join(', ')})`;
}
