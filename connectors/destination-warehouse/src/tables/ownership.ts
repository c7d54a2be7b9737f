/** What may be written to: nothing that somebody else made, or writes. */
import { configError, streamKey, type StreamDescriptor } from '@tapline/protocol';
import type { Dialect, TableName } from '../dialects/dialect.js';
import type { ExistingRelation } from './existing.js';
import { NameSet } from './names.js';
import type { TableShape } from './shape.js';

export const tableLabel = ({ schema, table }: TableName): string => streamKey({ namespace: schema, name: table });

export interface FoundForNew {
  readonly relation: ExistingRelation | undefined;
  /** The sync that has it in its records. */
  readonly writer: string | undefined;
  /** Another stream of this sync, whose table it is. */
  readonly other: StreamDescriptor | undefined;
  readonly location: string;
}

/** For a table that is to be made. */
export function requireFree(stream: StreamDescriptor, table: TableName, { relation, writer, other, location }: FoundForNew): void {
  if (!relation) return;
  const ways = 'write to another place by schema_name or table_name';
  if (other) {
    throw configError(`stream ${streamKey(stream)}: the table ${tableLabel(table)} in ${location} holds the rows of ${streamKey(other)}, which this sync wrote: rename or drop it, or ${ways}`, { code: 'one_table', stream });
  }
  if (writer !== undefined) {
    throw configError(`stream ${streamKey(stream)}: the table ${tableLabel(table)} in ${location} is written by the sync '${writer}': ${ways}`, { code: 'table_of_another_sync', stream });
  }
  const what = relation.kind === 'table' ? 'a table' : `a ${relation.kind}`;
  throw configError(
    `stream ${streamKey(stream)}: there is ${what} ${tableLabel(table)} in ${location} that this sync did not make: rename or drop it, or ${ways}`,
    { code: 'table_not_ours', stream },
  );
}

export interface FoundForOurs {
  readonly relation: ExistingRelation | undefined;
  readonly dialect: Dialect;
  readonly location: string;
  /** Another table takes its place: what became of its columns does not matter. */
  readonly replaced: boolean;
}

/** For a table that is recorded. Returns the columns that somebody added to it. */
export function requireOurs(stream: StreamDescriptor, shape: TableShape, { relation, dialect, location, replaced }: FoundForOurs): readonly string[] {
  if (replaced && (!relation || relation.kind === 'table')) return [];
  const name = streamKey(stream);
  const label = tableLabel(shape.table);
  if (!relation) {
    throw configError(`stream ${name}: its table ${label} is gone from ${location}: restore it, or run with --full-refresh, which makes it anew`, { code: 'table_gone', stream });
  }
  if (relation.kind !== 'table') {
    throw configError(`stream ${name}: ${label} in ${location} was its table, and is a ${relation.kind} now: rename or drop that, and run with --full-refresh`, { code: 'table_not_ours', stream });
  }
  const found = new NameSet(dialect, relation.columns.map((column) => column.name));
  const gone = shape.columns.filter((column) => !found.has(column.name)).map((column) => `"${column.name}"`);
  if (gone.length > 0) {
    throw configError(`stream ${name}: its table ${label} in ${location} has the column ${gone.join(', ')} no more: add it again, or ${shape.write === 'history' ? 'drop the table and ' : ''}run with --full-refresh, which makes the table anew`, { code: 'table_altered', stream });
  }
  const known = new NameSet(dialect, shape.columns.map((column) => column.name));
  return relation.columns.map((column) => column.name).filter((column) => !known.has(column));
}

/** The patterns name another table than the one that holds the stream's rows. */
export function movedTable({ stream, table, write }: TableShape, now: TableName): Error {
  const way = write === 'history' ? 'set them back: its history stays in one table' : 'set them back, or run with --full-refresh, which writes all of them to the new place and leaves the old table alone';
  return configError(`stream ${streamKey(stream)}: schema_name and table_name put it into ${tableLabel(now)}, but its rows are in ${tableLabel(table)}: ${way}`, { code: 'table_moved', stream });
}
