/** Where the values of a table's columns stand in a staged file. */
import { extraColumn, unchangedColumn, type ColumnPlan } from '@tapline/columnar';
import { formatLogicalType, isWidening } from '@tapline/catalog';
import type { ColumnType } from '../dialects/dialect.js';
import { rowColumns } from './own-columns.js';
import type { ColumnSource, TableColumn, TableShape } from './shape.js';

export interface FileForm {
  /** It has a column `_tapline_extra`. Default: where the plan is not typed. */
  readonly extra?: boolean;
  /** It has a column `_tapline_unchanged`. */
  readonly unchanged?: boolean;
}

/**
 * One for every column of the shape, in its order. The plan may be an earlier one than the shape was made for: a value goes to the column
 * of its field that was made for its type, if there is one. Columns of the file that nobody takes are not in the table (`discard`).
 */
export function sourcesOf(shape: Pick<TableShape, 'columns'>, plan: ColumnPlan, form: FileForm = {}): ColumnSource[] {
  const taken = new Map<TableColumn, ColumnSource>();
  for (const { field, name, type } of plan.columns) {
    const column = columnFor(shape.columns.filter((one) => !taken.has(one)), field, type);
    if (column) taken.set(column, { column, from: name, type, lossy: !holds(column.type, type) });
  }
  const inFile = new Set<string>(rowColumns.map(({ name }) => name));
  if (form.extra ?? !plan.typed) inFile.add(extraColumn);
  if (form.unchanged) inFile.add(unchangedColumn);
  return shape.columns.map((column) => taken.get(column) ?? ownSource(column, inFile));
}

function ownSource(column: TableColumn, inFile: ReadonlySet<string>): ColumnSource {
  const own = column.field === undefined && column.origin === undefined && inFile.has(column.name);
  return { column, from: own ? column.name : undefined, type: own ? column.type : undefined, lossy: false };
}

/** The column that takes a field's values of this type. Of several that can, the very type first, then the one that takes them now. */
export function columnFor(columns: readonly TableColumn[], field: string, type: ColumnType): TableColumn | undefined {
  const now = columns.filter((column) => column.field === field);
  const before = columns.filter((column) => column.field !== field && column.origin === field);
  const family = [...now, ...before];
  return family.find((column) => sameType(column.type, type)) ?? family.find((column) => holds(column.type, type)) ?? now[0] ?? before[0];
}

export const sameType = (a: ColumnType, b: ColumnType): boolean => formatLogicalType(a) === formatLogicalType(b);
/** Every value of `type` is one of `column`. */
export const holds = (column: ColumnType, type: ColumnType): boolean => sameType(column, type) || isWidening(type, column);
