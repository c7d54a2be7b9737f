/** What a table that is there cannot follow. */
import { formatLogicalType } from '@tapline/catalog';
import { configError, streamKey, type StreamDescriptor } from '@tapline/protocol';
import type { EvolvedColumns, SchemaPolicy } from './evolve-columns.js';
import type { Roles } from './roles.js';
import type { TableShape, WriteMode } from './shape.js';

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

export interface RoleColumnsOptions {
  readonly stream: StreamDescriptor;
  readonly roles: Roles;
  readonly recorded: TableShape | undefined;
  readonly policy: SchemaPolicy;
  readonly fresh: boolean;
}

/** The columns of the key and of the cursor. Rows of before must be comparable by the key: its type may widen, and nothing else. */
export function requireRoleColumns(evolved: EvolvedColumns, { stream, roles, recorded, policy, fresh }: RoleColumnsOptions): { key: string[]; cursor: string | undefined } {
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
      if (!before || before.name === key[i]) return;
      throw configError(
        `stream ${name}: the field "${field}" of its primary key was ${formatLogicalType(before.type)} and is ${formatLogicalType(evolved.columnOf(field)!.type)} now, `
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
