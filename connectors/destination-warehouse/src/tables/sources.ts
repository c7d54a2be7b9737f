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
  const families = familiesOf(shape.columns);
  const taken = new Map<TableColumn, ColumnSource>();
  for (const { field, name, type } of plan.columns) {
    const column = columnFor((families.get(field) ?? []).map((i) => shape.columns[i]!).filter((one) => !taken.has(one)), type);
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

/** Of a field's columns the one that takes values of this type: the very type first, then one that holds it, then the one that takes them now. */
const columnFor = (family: readonly TableColumn[], type: ColumnType): TableColumn | undefined =>
  family.find((column) => sameType(column.type, type)) ?? family.find((column) => holds(column.type, type)) ?? family[0];

/** Of each field, the columns that hold its values now, then those that were made for it: their indices. */
export function familiesOf(columns: readonly TableColumn[]): ReadonlyMap<string, readonly number[]> {
  const families = new Map<string, number[]>();
  const join = (field: string, index: number): void => {
    const family = families.get(field);
    if (family) family.push(index);
    else families.set(field, [index]);
  };
  columns.forEach(({ field }, i) => { if (field !== undefined) join(field, i); });
  columns.forEach(({ field, origin }, i) => { if (origin !== undefined && origin !== field) join(origin, i); });
  return families;
}

export const sameType = (a: ColumnType, b: ColumnType): boolean => formatLogicalType(a) === formatLogicalType(b);
/** Every value of `type` is one of `column`. */
export const holds = (column: ColumnType, type: ColumnType): boolean => sameType(column, type) || isWidening(type, column);
