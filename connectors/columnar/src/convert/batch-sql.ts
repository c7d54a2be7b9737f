/** Batch files as the engine reads them: by position, natively where the file has the type that the column has, else by the rules of lines. */
import { duckdbType, type LogicalType } from '@tapline/catalog';
import { isNative, type BatchGroup } from './batch-forms.js';
import { orderColumn, unchangedColumn, type ColumnPlan } from './column-plan.js';
import type { RowReader } from './row-sql.js';
import { mayFail, sqlString, valueSql } from './value-sql.js';

/** Wire texts of what a native column could not hold: `{"<index of the column>": "<text>"}`. */
export const valuesColumn = '_tapline_values';
const own = new Set([orderColumn, unchangedColumn, valuesColumn]);

export interface BatchRequest {
  /** Field of each column of the files. */
  readonly columns: readonly string[];
  readonly groups: readonly BatchGroup[];
  readonly plan: ColumnPlan;
  readonly extra: boolean;
  readonly unchanged: boolean;
  /** Values that land and are refused then are asked for, too. */
  readonly refuses: boolean;
  /** Number of the first row. */
  readonly firstRow: number;
}

/** Fields that nobody declared, and nobody left out: their values go to `_tapline_extra`. */
export function undeclaredFields(columns: readonly string[], { columns: declared, leftOut }: ColumnPlan): string[] {
  const known = new Set([...own, ...declared.map(({ field }) => field), ...leftOut]);
  return columns.filter((field) => !known.has(field));
}

export function batchReader(request: BatchRequest): RowReader {
  const { groups, plan, columns, refuses } = request;
  const hasValues = columns.includes(valuesColumn);
  const lossy = plan.columns.map(({ field, type }) => {
    const index = columns.lastIndexOf(field);
    return index !== -1 && mayFail(type, 'walked') && groups.some(({ types }) => !isNative(type, types[index]) || hasValues || lowest[type.kind] !== undefined);
  });
  const asked = lossy.map((may) => may || refuses);
  return {
    select: groups.map((group) => groupSql(request, group, asked)).join(' UNION ALL '),
    lossy,
    came: (i) => `a${i}`,
    changes: false,
  };
}

function groupSql({ plan, columns, extra, unchanged, firstRow }: BatchRequest, { files, types, offset }: BatchGroup, asked: readonly boolean[]): string {
  const at = (field: string): string | undefined => (columns.includes(field) ? `c${columns.lastIndexOf(field)}` : undefined);
  const values = at(valuesColumn);
  const list = plan.columns.flatMap(({ field, type }, i) => {
    const index = columns.lastIndexOf(field);
    const { value, came } = index === -1 ? { value: `NULL::${duckdbType(type)}`, came: 'false' } : columnSql(type, index, types[index], values);
    return [`${value} AS v${i}`, ...(asked[i] ? [`${came} AS a${i}`] : [])];
  });
  let before = firstRow + offset;
  const starts = files.map(({ rows }) => (before += rows) - rows);
  list.push(`file_row_number + ${byFile(starts)} AS n`, `${byFile(files.map(({ emittedAt }) => Math.round(emittedAt)))} AS e`);
  if (plan.ownOrder) list.push(`${at(orderColumn) ?? 'NULL::VARCHAR'} AS own_order`);
  if (extra) list.push(`${extraSql(columns, plan, types)} AS x`);
  if (unchanged) list.push(`${unchangedSql(plan, at(unchangedColumn))} AS un`);
  const aliases = columns.map((_, i) => `c${i}`).join(', ');
  return `SELECT ${list.join(', ')} FROM read_parquet([${files.map(({ path }) => sqlString(path)).join(', ')}]) AS t(${aliases})`;
}

/** A constant where all files have the same number. */
function byFile(numbers: readonly number[]): string {
  return numbers.every((number) => number === numbers[0]) ? `${numbers[0]}::BIGINT` : `([${numbers.map((number) => `${number}::BIGINT`).join(', ')}])[file_index::BIGINT + 1]`;
}

/** A value out of the column `c<index>`, null where it cannot be held; and whether one came. */
function columnSql(type: LogicalType, index: number, form: string | undefined, values: string | undefined): { readonly value: string; readonly came: string } {
  const column = `c${index}`;
  if (!isNative(type, form)) {
    const text = plainSql(type, textSql(column, form));
    return { value: valueSql(type, text, 'walked'), came: `${column} IS NOT NULL` };
  }
  const least = lowest[type.kind];
  const native = least === undefined ? column : `CASE WHEN ${least(column)} THEN ${column} END`;
  if (values === undefined || !mayFail(type, 'walked')) return { value: native, came: `${column} IS NOT NULL` };
  const text = `json_extract_string(${values}, '$."${index}"')`;
  return {
    value: `CASE WHEN ${values} IS NULL OR ${column} IS NOT NULL THEN ${native} ELSE ${valueSql(type, plainSql(type, text), 'walked')} END`,
    came: `(${column} IS NOT NULL OR (${values} IS NOT NULL AND ${text} IS NOT NULL))`,
  };
}

/** What the native form of the file holds, and lines do not bring either. */
const lowest: Readonly<Partial<Record<LogicalType['kind'], (column: string) => string>>> = {
  date: (column) => `isfinite(${column}) AND ${column} >= DATE '0001-01-01'`,
  time: (column) => `${column} < TIME '24:00:00'`,
  timestamp: (column) => `isfinite(${column}) AND ${column} >= TIMESTAMP '0001-01-01'`,
  timestamptz: (column) => `isfinite(${column}) AND ${column} >= TIMESTAMPTZ '0001-01-01 00:00:00+00'`,
};

/** The text that a line would hold. */
function textSql(column: string, form: string | undefined): string {
  switch (form) {
    case 'VARCHAR': return column;
    case 'BLOB': return `to_base64(${column})`;
    case undefined: return `to_json(${column})::VARCHAR`;
    case 'TIMESTAMP': return `replace(${column}::VARCHAR, ' ', 'T')`;
    case 'TIMESTAMP WITH TIME ZONE': return `replace(${column}::VARCHAR, ' ', 'T') || ':00'`;
    default: return `${column}::VARCHAR`;
  }
}

/** A number in plain digits, exact, as the walker writes it: a cast would round what the exponent hides. */
function plainSql(type: LogicalType, text: string): string {
  if (type.kind !== 'int' && type.kind !== 'decimal') return text;
  const part = (group: number): string => `regexp_extract(${text}, '${exponent}', ${group})`;
  const digits = `${part(2)} || ${part(3)}`;
  const point = `(length(${part(2)}) + ${part(4)}::INTEGER)`;
  const shifted = `CASE WHEN ${point} < -60 OR ${point} > 100 THEN ${text} WHEN ${point} <= 0 THEN '0.' || repeat('0', -${point}) || ${digits} `
    + `WHEN ${point} >= length(${digits}) THEN rpad(${digits}, ${point}::INTEGER, '0') ELSE (${digits})[:${point}] || '.' || (${digits})[${point} + 1:] END`;
  return `CASE WHEN contains(lower(${text}), 'e') AND regexp_full_match(${text}, '${exponent}') THEN ${part(1)} || ${shifted} ELSE ${text} END`;
}
const exponent = '(-?)([0-9]+)(?:[.]([0-9]*))?[eE]([+-]?[0-9]{1,4})';

/** Fields that nobody declared, as JSON; numbers and truth as such, anything else as text. */
function extraSql(columns: readonly string[], plan: ColumnPlan, types: readonly (string | undefined)[]): string {
  const undeclared = undeclaredFields(columns, plan);
  if (undeclared.length === 0) return 'NULL::VARCHAR';
  const members = undeclared.map((field, i) => {
    const index = columns.lastIndexOf(field);
    const [column, form] = [`c${index}`, types[index]];
    const value = form === undefined || bare.has(form) ? `to_json(${column})` : `to_json(${textSql(column, form)})`;
    return `${sqlString(`${i === 0 ? '{' : ','}${JSON.stringify(field.replace(/\p{Surrogate}/gu, '\ufffd'))}:`)} || coalesce(${value}::VARCHAR, 'null')`;
  });
  return `${members.join(' || ')} || '}'`;
}
const bare: ReadonlySet<string> = new Set(['BOOLEAN', 'TINYINT', 'SMALLINT', 'INTEGER', 'BIGINT', 'UTINYINT', 'USMALLINT', 'UINTEGER', 'UBIGINT', 'FLOAT', 'DOUBLE']);

/** Names of columns for those of fields. */
function unchangedSql({ columns, typed }: ColumnPlan, column: string | undefined): string {
  if (column === undefined) return 'NULL::VARCHAR[]';
  const fields = `from_json(${column}, '["VARCHAR"]')`;
  if (typed) return fields;
  const names = columns.map(({ field, name }) => `WHEN ${sqlString(field)} THEN ${sqlString(name)}`);
  return names.length === 0 ? 'NULL::VARCHAR[]' : `list_filter(list_transform(${fields}, lambda f: CASE f ${names.join(' ')} END), lambda name: name IS NOT NULL)`;
}
