/** What a table that is there cannot follow. */
import { formatLogicalType } from '@tapline/catalog';
import type { ColumnPlan } from '@tapline/columnar';
import { configError, streamKey, type StreamDescriptor } from '@tapline/protocol';
import type { EvolvedColumns, SchemaPolicy } from './evolve-columns.js';
import type { Roles } from './roles.js';
import { historyColumns } from './own-columns.js';
import type { TableColumn, TableShape, WriteMode } from './shape.js';
import { holds } from './sources.js';

const label = ({ table }: TableShape): string => streamKey({ namespace: table.schema, name: table.table });

/** History is never lost: a table that holds versions goes on as one. */
export function requireKeptHistory(recorded: TableShape, write: WriteMode): void {
  if (recorded.write !== 'history' || write === 'history') return;
  throw configError(
    `stream ${streamKey(recorded.stream)}: its table ${label(recorded)} holds the history of its rows, which would be lost: keep history=scd2, `
    + 'or rename or drop the table and run with --full-refresh',
    { code: 'history_kept', stream: recorded.stream },
  );
}

/** A table becomes a history: the columns of its versions must not be there with a meaning of their own. */
export function requireRoomForHistory(recorded: TableShape, own: readonly TableColumn[], foreign: readonly string[]): void {
  const wanted = own.filter((column) => historyColumns.includes(column)).map(({ name }) => name);
  const had = recorded.columns.filter(({ field, origin }) => field !== undefined || origin !== undefined).map(({ name }) => name);
  const taken = [...had, ...foreign].filter((name) => wanted.includes(name.toLowerCase()));
  if (taken.length === 0) return;
  throw configError(
    `stream ${streamKey(recorded.stream)}: its table ${label(recorded)} has the column "${taken[0]!}", which history=scd2 needs for itself: rename or drop the table and run with --full-refresh`,
    { code: 'history_column', stream: recorded.stream },
  );
}

export interface RoleColumnsOptions {
  readonly stream: StreamDescriptor;
  readonly roles: Roles;
  readonly recorded: TableShape | undefined;
  readonly plan: ColumnPlan;
  readonly policy: SchemaPolicy;
  readonly fresh: boolean;
}

/** The columns of the key and of the cursor. Rows of before must be comparable by the key: its type may widen, and nothing else. */
export function requireRoleColumns(evolved: EvolvedColumns, { stream, roles, recorded, plan, policy, fresh }: RoleColumnsOptions): { key: string[]; cursor: string | undefined } {
  const name = streamKey(stream);
  const written = (field: string, what: string): string => {
    const column = evolved.columnOf(field);
    if (column) return column.name;
    throw configError(`stream ${name}: its ${what} is the field "${field}", which is new, and is not written (schema=${policy}): take schema=evolve`, { code: 'schema_discarded', stream });
  };
  const key = roles.key.map((field) => written(field, 'primary key'));
  if (recorded && recorded.write !== 'append' && !fresh) {
    roles.key.forEach((field, i) => {
      const before = recorded.columns.find((column) => recorded.key.includes(column.name) && (column.field === field || column.origin === field));
      const { type } = plan.columns.find((planned) => planned.field === field)!;
      // A value that is cast may become null, or that of another row.
      if (!before || (before.name === key[i] && holds(evolved.columnOf(field)!.type, type))) return;
      throw configError(
        `stream ${name}: the field "${field}" of its primary key was ${formatLogicalType(before.type)} and is ${formatLogicalType(type)} now, `
        + `so that its rows cannot be told from those in ${label(recorded)}: run with --full-refresh`,
        { code: 'key_type_changed', stream },
      );
    });
  }
  if (policy === 'freeze' && recorded && !sameKey(recorded, roles.write, key)) {
    throw configError(
      `stream ${name}: its primary key or the way it is written changed, and schema=freeze keeps the table as it is: ${told(recorded.write, recorded.key)} became ${told(roles.write, key)}. Nothing was written. Take schema=evolve once`,
      { code: 'schema_frozen', stream },
    );
  }
  return { key, cursor: roles.cursor === undefined ? undefined : written(roles.cursor, 'cursor') };
}

const sameKey = (recorded: TableShape, write: WriteMode, key: readonly string[]): boolean =>
  write === 'append' || (recorded.write === write && JSON.stringify([...recorded.key].sort()) === JSON.stringify([...key].sort()));
const told = (write: WriteMode, key: readonly string[]): string => (write === 'append' ? 'append' : `${write} by ${key.map((name) => `"${name}"`).join(', ')}`);
