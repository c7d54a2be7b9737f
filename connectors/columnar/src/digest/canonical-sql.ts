/**
 * The text of a value, a key and a row that goes into a digest, as SQL over a lake's Parquet files. Law: protocol/SPEC.md, "Digests"; the
 * source has the same in its own SQL.
 */
import { duckdbType, formatLogicalType, type LogicalType } from '@tapline/catalog';
import { nulledText, nullText, type Holds } from '@tapline/protocol';
import type { PlannedColumn } from '../convert/column-plan.js';
import { sqlName, sqlString } from '../convert/value-sql.js';

/** What these files can hold: see value-sql. */
export const holds: Holds = {
  decimal_nan: false,
  // 0001-01-01 and the last day of PostgreSQL; the last microsecond before what DuckDB takes for infinity.
  date: [-730_119, 2_145_031_948],
  time: [0, 86_399_999_999],
  timestamp: ['-63082281600000000', '9222425352054775806'],
};

const epochMicros = '946684800000000';

/** The value's text, NULL for null. `v` is of the type that the column should have. */
function valueText(type: LogicalType, v: string): string {
  switch (type.kind) {
    case 'boolean':
    case 'int':
      return `${v}::VARCHAR`;
    case 'float':
      return `CASE WHEN isnan(${v}) THEN 'NaN' ELSE (${v}::BIT::${type.bits === 32 ? 'INTEGER' : 'BIGINT'})::VARCHAR END`;
    case 'decimal':
      // Without a digit before the point where the type has none.
      return type.precision === type.scale ? `regexp_replace(${v}::VARCHAR, '^(-?)[.]', '\\10.')` : `${v}::VARCHAR`;
    case 'bytes':
      return `sha256(${v})`;
    case 'date':
      return `(${v} - DATE '2000-01-01')::VARCHAR`;
    case 'time':
      return `epoch_us(${v})::VARCHAR`;
    case 'timestamp':
    case 'timestamptz':
      return `(epoch_us(${v}) - ${epochMicros})::VARCHAR`;
    default:
      return `${v}`;
  }
}

export interface DigestColumn {
  readonly planned: PlannedColumn;
  /** SQL of its value, of the type that the column should have. */
  readonly value: string;
}

/** `found`: the columns of the files by their lower-case names. A column that the files do not have is null. */
export function digestColumn(planned: PlannedColumn, found: ReadonlyMap<string, string>): DigestColumn {
  const { name, type } = planned;
  const target = duckdbType(type);
  // What came after a change of type stands in a column of its own.
  const later = `${name}__${formatLogicalType(type).replaceAll(/[^a-z0-9]+/g, '_').replace(/_$/, '')}`;
  const held = [later, name].filter((one) => found.has(one.toLowerCase()));
  const values = held.map((one) => (found.get(one.toLowerCase()) === target.toUpperCase() ? sqlName(one) : `try_cast(${sqlName(one)} AS ${target})`));
  return { planned, value: values.length === 0 ? `NULL::${target}` : values.length === 1 ? values[0]! : `coalesce(${values.join(', ')})` };
}

/** True where a null stands in the place of a value that could not be held. */
const wasNulled = ({ planned }: DigestColumn): string =>
  `contains(_airbyte_meta, '"field":' || to_json(${sqlString(planned.field)})::VARCHAR || ',"change":"NULLED"')`;

/** Behind each other, the texts of columns tell where one ends, whatever is in them. */
function part(column: DigestColumn): string {
  const text = valueText(column.planned.type, column.value);
  const delimited = duckdbType(column.planned.type) === 'VARCHAR' ? `'=' || length(${text}) || ':' || ${text} || ';'` : `'=' || ${text} || ';'`;
  return `coalesce(${delimited}, CASE WHEN ${wasNulled(column)} THEN '!;' ELSE '-;' END)`;
}

const textOf = (columns: readonly DigestColumn[]): string => (columns.length === 0 ? `''` : columns.map(part).join(' || '));

/** 64 bits of the row's hash. */
export const rowHash = (columns: readonly DigestColumn[]): string => first64(`sha256(${textOf(columns)})`);
/** The key's hash, in hexadecimal. */
export const keyHash = (key: readonly DigestColumn[]): string => `sha256(${textOf(key)})`;
export const first64 = (hex: string): string => `('0x' || ${hex}[1:16])::UBIGINT`;
export const second64 = (hex: string): string => `('0x' || ${hex}[17:32])::UBIGINT`;

/** 8 characters a column. */
export function columnHashes(columns: readonly DigestColumn[]): string {
  if (columns.length === 0) return `''`;
  return columns.map((column) =>
    `coalesce(sha256(${valueText(column.planned.type, column.value)})[1:8], CASE WHEN ${wasNulled(column)} THEN '${nulledText}' ELSE '${nullText}' END)`).join(' || ');
}

/** The key's values for people. */
export const keyValues = (key: readonly DigestColumn[]): string => `[${key.map(({ planned, value }) => keyValue(planned.type, value)).join(', ')}]::VARCHAR[]`;

function keyValue(type: LogicalType, v: string): string {
  switch (type.kind) {
    case 'timestamp':
      return `replace(${v}::VARCHAR, ' ', 'T')`;
    case 'timestamptz':
      return `replace((${v} AT TIME ZONE 'UTC')::VARCHAR, ' ', 'T') || '+00:00'`;
    case 'bytes':
      return `to_base64(${v})`;
    default:
      return `${v}::VARCHAR`;
  }
}
