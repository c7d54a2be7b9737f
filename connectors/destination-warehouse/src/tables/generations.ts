/** The table of a generation, as it opens and as it ends. Pure. */
import { isWidening } from '@tapline/catalog';
import { streamKey, systemError } from '@tapline/protocol';
import type { TableName } from '../dialects/dialect.js';
import { creationOf, dropsKey } from './changes.js';
import { foldedOtherwise, type TablePlan } from './evolve.js';
import { marker } from './own-columns.js';
import type { TableColumn, TableShape } from './shape.js';
import { holds, sameType } from './sources.js';

/** The shape of an open generation's table once it is the stream's own: without the marker, under its name. */
export const closedShape = (open: TableShape, table: TableName): TableShape => ({ ...open, table, columns: open.columns.filter(({ name }) => name !== marker.name) });

/**
 * The rows of a generation that replaces nothing (or that goes on with a history) are added to the stream's table: what has to change in
 * that, so that it has every column of the generation's under the same name. `recorded`: the stream's table; undefined = there is none.
 */
export function planAddition(recorded: TableShape | undefined, open: TableShape, table: TableName): Omit<TablePlan, 'warnings'> {
  const closed = closedShape(open, table);
  if (!recorded) return { shape: closed, changes: [creationOf(closed)], rekeyed: undefined };
  const changes = [...dropsKey(recorded, open.write)];
  const rest = new Map(closed.columns.map((column) => [column.name, column]));
  const columns = recorded.columns.map((before): TableColumn => {
    const now = rest.get(before.name);
    rest.delete(before.name);
    if (!now) return { ...before, origin: before.origin ?? before.field, field: undefined };
    if (sameType(before.type, now.type) || holds(before.type, now.type)) return { ...now, type: before.type };
    if (!isWidening(before.type, now.type)) {
      throw systemError(`stream ${streamKey(open.stream)}: the column "${before.name}" has two types, in its table and in that of its generation`, { stream: open.stream });
    }
    changes.push({ kind: 'widen', column: before.name, from: before.type, to: now.type });
    return now;
  });
  for (const column of rest.values()) {
    changes.push({ kind: 'add', column });
    columns.push(column);
  }
  const rekeyed = foldedOtherwise(recorded, closed.write, closed.key) ? { write: recorded.write, key: recorded.key } : undefined;
  return { shape: { ...closed, columns, primaryKey: closed.primaryKey && (recorded.primaryKey || rekeyed !== undefined) }, changes, rekeyed };
}
