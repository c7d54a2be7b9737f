/**
 * Incremental by a cursor column: one COPY in the cursor's order, in one REPEATABLE READ snapshot, which is the upper bound. A state
 * holds the newest value and the keys of the rows that have it; the next run reads what is above, and at that value what it has not read.
 * So neither does a row that was inserted later at the same value get lost, nor one come twice. What is inherent: a transaction that
 * commits late with an older value of the cursor is not seen.
 */
import { identifier, literal } from '@tapline/postgres-client';
import { configError } from '@tapline/protocol';
import { status, streamState, type SourceItem } from '@tapline/sdk';
import { Boundary, rememberedKeys, type BoundaryMark } from './boundary.js';
import { keyText } from './copy-statement.js';
import { columnOf, checkpoints, inSnapshot, label, type Reading } from './reading.js';
import type { RelationColumn } from './relations.js';
import { rowReader } from './rows.js';
import { textArray } from './sql.js';
import { cursorStateOf, sameList, type CursorState } from './state.js';
import { canBeCursor, hasNoPlace } from './types.js';

export async function* readByCursor(reading: Reading): AsyncGenerator<SourceItem, void, undefined> {
  const { stream, relation, configured, connection } = reading;
  const cursor = cursorColumn(reading);
  const key = (configured.primary_key ?? []).length > 0 ? configured.primary_key!.map(([name]) => columnOf(relation, name ?? '', stream).name) : relation.key;
  const state = cursorStateOf(reading.state, stream, cursor.name);
  yield status(stream, 'RUNNING');
  yield* inSnapshot(connection, () => copy({ reading, cursor, key, state }));
}

function cursorColumn({ configured, relation, stream }: Reading): RelationColumn {
  const path = configured.cursor_field ?? [];
  const [name] = path;
  if (name === undefined || path.length > 1) {
    throw configError(`${label(stream)} is read incrementally and needs a cursor: one column whose value rises with every change`, { code: 'pg_cursor', stream });
  }
  const column = columnOf(relation, name, stream);
  if (canBeCursor(column.type, column.collationIsC)) return column;
  throw configError(
    `${label(stream)}: '${name}' cannot be a cursor. It takes a column of integers, numeric, timestamp, timestamptz, date, uuid, or text COLLATE "C"`,
    { code: 'pg_cursor', stream },
  );
}

interface CursorRead {
  readonly reading: Reading;
  readonly cursor: RelationColumn;
  readonly key: readonly string[];
  readonly state: CursorState | undefined;
}

async function* copy({ reading, cursor, key, state }: CursorRead): AsyncGenerator<SourceItem, void, undefined> {
  const { stream, relation } = reading;
  const read = await rowReader(reading);
  let emittedAt = Date.now();
  const stateAt = (value: string | null, seen?: string[], empty = false): SourceItem => {
    emittedAt = Date.now();
    return streamState(stream, {
      v: 1, mode: 'cursor', cursor: cursor.name, value, ...(seen && { key: [...key], seen }), ...(empty && { empty }),
    } satisfies CursorState);
  };

  let placeless = 0;
  if (!state) {
    // Rows without a place in the order come once, with the first read.
    const where = hasNoPlace(cursor.type, `s.${identifier(cursor.name)}`);
    for await (const { item, rows } of read({ where, emittedAt: () => emittedAt })) {
      placeless += rows;
      yield item;
      if (reading.signal.aborted) return;
    }
    if (placeless > 0) {
      reading.log('WARN', `${label(stream)}: ${placeless} rows have no usable '${cursor.name}' (null, infinite or NaN). They were read now and are not looked at again until they get one`);
      yield stateAt(null);
    }
  }

  const begin = await beginning({ reading, cursor, key, state });
  const boundary = new Boundary(begin.before);
  const rows = read({
    where: begin.where,
    orderBy: [cursor.name],
    needed: key,
    fields: [`t.${identifier(cursor.name)}::pg_catalog.text`, ...(key.length > 0 ? [keyText(relation, key, 't')] : [])],
    observe: boundary,
    emittedAt: () => emittedAt,
  });
  const due = checkpoints(reading.stateIntervalMs);
  let last: BoundaryMark | undefined;
  for await (const { item, mark } of rows) {
    yield item;
    last = mark as BoundaryMark;
    if (reading.signal.aborted || due(item)) {
      const seen = key.length > 0 ? last.keys() : undefined;
      // Among too many rows of one value there is no exact place to stop: the next value is one.
      if (seen || key.length === 0) yield stateAt(last.value, seen);
    }
    if (reading.signal.aborted) return;
  }
  if (!last) {
    yield stateAt(state?.value ?? null, state?.seen, !state && placeless === 0);
    return;
  }
  const seen = key.length > 0 ? last.keys() : undefined;
  if (key.length > 0 && !seen) {
    reading.log('WARN', `${label(stream)}: more than ${rememberedKeys} rows share the newest '${cursor.name}', too many to remember: the next run falls back to repeating them`);
  }
  yield stateAt(last.value, seen);
}

interface Beginning {
  readonly where: string;
  readonly before?: { readonly value: string; readonly keys: readonly string[] };
}

async function beginning({ reading, cursor, key, state }: CursorRead): Promise<Beginning> {
  const { connection, stream, relation } = reading;
  const column = `s.${identifier(cursor.name)}`;
  const placed = `NOT ${hasNoPlace(cursor.type, column)}`;
  if (key.length === 0) reading.log('WARN', `${label(stream)} has no key: rows that share the newest '${cursor.name}' may come again with the next run`);
  if (!state || state.value === null) return { where: placed };
  const value = `${literal(state.value)}::${cursor.type.sqlName}`;
  const from = `${placed} AND ${column} >= ${value}`;
  if (!state.seen || !sameList(state.key ?? [], key)) {
    if (key.length > 0) reading.log('WARN', `${label(stream)}: the rows at the newest '${cursor.name}' of the last run come again: their keys were not remembered`);
    return { where: from };
  }
  // Looked up by hash, however many they are.
  await connection.query(`SET LOCAL work_mem = '64MB'`);
  const unread = state.seen.length > 0 ? ` OR ${keyText(relation, key, 's')} NOT IN (SELECT pg_catalog.unnest(${textArray(state.seen)}))` : ' OR true';
  return { where: `${from} AND (${column} > ${value}${unread})`, before: { value: state.value, keys: state.seen } };
}

