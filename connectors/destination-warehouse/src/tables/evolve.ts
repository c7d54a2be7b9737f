/** What becomes of a stream's table: of what is recorded of it, and of what the stream looks like now. Pure. */
import type { StreamSchema } from '@tapline/columnar';
import { streamKey } from '@tapline/protocol';
import type { Dialect, TableName } from '../dialects/dialect.js';
import { creationOf, dropsKey, type TableChange } from './changes.js';
import { evolveColumns, type SchemaPolicy } from './evolve-columns.js';
import { requireKeptHistory, requireRoleColumns, requireRoomForHistory } from './conflicts.js';
import { ownColumns, marker } from './own-columns.js';
import { rolesOf } from './roles.js';
import type { TableShape, WriteMode } from './shape.js';

export type { SchemaPolicy } from './evolve-columns.js';

export interface PlanOptions {
  readonly dialect: Dialect;
  /** Of this stream, by `tablesOf`; or of its open generation, by `openTableName`. Where it is not that of `recorded`, the table is to be made. */
  readonly table: TableName;
  readonly policy: SchemaPolicy;
  /** `history=scd2`. */
  readonly history: boolean;
  readonly deletes: 'hard' | 'soft';
  /** A new generation, which will take the place of the table: it takes the new types, and keeps the columns. Only `evolve` does; and not with history, which goes on. */
  readonly fresh?: boolean;
  /** The table of an open generation: one that merges has the column `_tapline_unchanged`. */
  readonly open?: boolean;
  /** Some file has a column `_tapline_extra`. Default: where the plan is not typed. */
  readonly extra?: boolean;
  /** Names of columns that the table has and that are not ours: somebody added them. */
  readonly foreign?: readonly string[];
}

export interface TablePlan {
  readonly shape: TableShape;
  /** For `applyChanges`, in order; empty = the table is as it should be. */
  readonly changes: readonly TableChange[];
  /** For the user, each to be told once. */
  readonly warnings: readonly string[];
  /** How the rows of the table are told apart until now: they have to be folded anew, by `shape.key`. */
  readonly rekeyed: { readonly write: WriteMode; readonly key: readonly string[] } | undefined;
}

/**
 * `recorded`: the shape of the very table (`options.table`), or, for a table that is to be made, of the one whose names it takes over;
 * undefined = nothing was ever written. Throws a `config_error` for what the policy forbids (it says all that changed), and for a key or
 * cursor that cannot be.
 */
export function planTable(recorded: TableShape | undefined, schema: StreamSchema, options: PlanOptions): TablePlan {
  const { dialect, table } = options;
  const { configured: { stream }, plan } = schema;
  const roles = rolesOf(schema, options);
  if (recorded) requireKeptHistory(recorded, roles.write);
  const fresh = options.fresh === true && options.policy === 'evolve' && roles.write !== 'history';
  const creates = !recorded || recorded.table.schema !== table.schema || recorded.table.table !== table.table;
  const evolved = evolveColumns(recorded, {
    stream: streamKey(stream), plan, dialect, roles, policy: options.policy, fresh, foreign: options.foreign ?? [],
    extra: options.extra ?? !plan.typed,
  });
  const columns = [...evolved.columns];
  const names = requireRoleColumns(evolved, { stream, roles, recorded, plan, policy: options.policy, fresh });
  const own = ownColumns({ write: roles.write, extra: evolved.extra, open: options.open === true });
  if (recorded && recorded.write !== 'history') requireRoomForHistory(recorded, own, options.foreign ?? []);
  const isOwn = (name: string): boolean => own.some((column) => column.name === name);
  const had = (recorded?.columns ?? []).filter((column) => column.field === undefined && column.origin === undefined);
  const kept = had.filter(({ name }) => !isOwn(name) && !(creates && name === marker.name));
  const shape: TableShape = {
    stream: { name: stream.name, ...(stream.namespace == null ? {} : { namespace: stream.namespace }) },
    table,
    columns: [...columns, ...kept, ...own],
    write: roles.write,
    key: names.key,
    primaryKey: roles.write === 'merge' && (creates || recorded.primaryKey || foldedOtherwise(recorded, roles.write, names.key)),
    cursor: names.cursor,
    deletes: roles.deletes,
  };
  if (creates) return { shape, changes: [creationOf(shape)], warnings: evolved.warnings, rekeyed: undefined };
  const added = own.filter(({ name }) => !had.some((column) => column.name === name)).map((column): TableChange => ({ kind: 'add', column }));
  const rekeyed = foldedOtherwise(recorded, roles.write, names.key) ? { write: recorded.write, key: recorded.key } : undefined;
  return { shape, changes: [...evolved.changes, ...added, ...dropsKey(recorded, roles.write)], warnings: evolved.warnings, rekeyed };
}

/** The rows are to be told apart by something else than until now. */
export const foldedOtherwise = (recorded: TableShape, write: WriteMode, key: readonly string[]): boolean =>
  write !== 'append' && (recorded.write !== write || JSON.stringify([...recorded.key].sort()) !== JSON.stringify([...key].sort()));
