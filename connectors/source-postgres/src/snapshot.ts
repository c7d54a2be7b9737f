/**
 * Full refresh: one COPY in one REPEATABLE READ snapshot. A table whose key has an order that can be reproduced is read in that order,
 * so that any row is a place to go on from; every other table is read as it lies, and an interrupted read begins again.
 */
import { identifier, literal } from '@tapline/postgres-client';
import { lines, status, streamState, type SourceItem } from '@tapline/sdk';
import { copyStatement } from './copy-statement.js';
import { every, inSnapshot, linePrefix, wideColumns, type Reading } from './reading.js';
import type { Relation } from './relations.js';
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
  const wide = await wideColumns(reading);
  // The index walks in the key's order. A sort could fill the server's disk with a copy of the table.
  if (key.length > 0) await connection.query('SET LOCAL enable_sort = off');
  const sql = copyStatement({
    relation,
    columns: reading.columns,
    wide,
    where: state?.after && after(relation, key, state.after),
    orderBy: key,
    needed: key,
    fields: key.map((name) => `t.${identifier(name)}::pg_catalog.text`),
  });
  const prefix = linePrefix(stream);
  const due = every(reading.stateIntervalMs);
  let emittedAt = Date.now();
  const blocks = connection.copyOut(sql, { blockBytes: reading.blockBytes, fields: key.length, prefix: () => prefix(emittedAt) });
  for await (const { bytes, last } of blocks) {
    yield lines(bytes, stream);
    if (key.length > 0 && (reading.signal.aborted || due())) {
      yield streamState(stream, { v: 1, mode: 'snapshot', complete: false, key: [...key], after: [...last] } satisfies SnapshotState);
      emittedAt = Date.now();
    }
    if (reading.signal.aborted) return;
  }
  yield streamState(stream, { v: 1, mode: 'snapshot', complete: true } satisfies SnapshotState);
}

/** Compared as a row, which an index on the key can answer. */
function after(relation: Relation, key: readonly string[], values: readonly string[]): string {
  const columns = key.map((name) => `s.${identifier(name)}`);
  const bounds = key.map((name, i) => `${literal(values[i] ?? '')}::${relation.columns.find((column) => column.name === name)!.type.sqlName}`);
  return `(${columns.join(', ')}) > (${bounds.join(', ')})`;
}
