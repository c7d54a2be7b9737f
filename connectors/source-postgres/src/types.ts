/**
 * What each type of PostgreSQL is for us, and the SQL that makes the server write it as the wire has it (catalog/forms). Everything
 * that is not named here travels as the text of the type's own output function.
 */
import type { LogicalType } from '@tapline/catalog';

/** A row of pg_type, as far as we need it. */
export interface PgType {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  readonly isDomain: boolean;
  /** Of a domain: what it stands on, and with which modifier. */
  readonly base: number;
  readonly modifier: number;
  /** Of a true array: its element, else 0. */
  readonly element: number;
  /** Built in, and neither array-like nor a row: row_to_json writes it as its output function does. */
  readonly isPlain: boolean;
  /** to_json() writes it as a string, its output function's: neither row nor true array, and without a cast to json. Absent: unknown. */
  readonly isQuoted?: boolean;
  /** Its binary form is its text: enums, citext, name. Absent: unknown. */
  readonly sendsText?: boolean;
}
export type PgTypes = ReadonlyMap<number, PgType>;

export interface ColumnType {
  readonly logical: LogicalType;
  /** The type under all domains. */
  readonly oid: number;
  /** Its name, quoted, to cast literals to. */
  readonly sqlName: string;
  readonly isPlain: boolean;
  readonly isQuoted?: boolean;
  readonly sendsText?: boolean;
  /** Of a true array. */
  readonly element?: ColumnType;
}

export const oids = {
  bool: 16, bytea: 17, int8: 20, int2: 21, int4: 23, text: 25, json: 114, float4: 700, float8: 701, bpchar: 1042, varchar: 1043, date: 1082, time: 1083,
  timestamp: 1114, timestamptz: 1184, interval: 1186, numeric: 1700, uuid: 2950, jsonb: 3802,
} as const;

const simple = new Map<number, LogicalType>([
  [oids.bool, { kind: 'boolean' }],
  [oids.bytea, { kind: 'bytes' }],
  [oids.int2, { kind: 'int', bits: 16 }],
  [oids.int4, { kind: 'int', bits: 32 }],
  [oids.int8, { kind: 'int', bits: 64 }],
  [oids.float4, { kind: 'float', bits: 32 }],
  [oids.float8, { kind: 'float', bits: 64 }],
  [oids.date, { kind: 'date' }],
  [oids.time, { kind: 'time' }],
  [oids.timestamp, { kind: 'timestamp' }],
  [oids.timestamptz, { kind: 'timestamptz' }],
  [oids.interval, { kind: 'interval' }],
  [oids.uuid, { kind: 'uuid' }],
  [oids.json, { kind: 'json', embedded: false }],
  [oids.jsonb, { kind: 'json', embedded: false }],
]);

export function columnType(oid: number, modifier: number, types: PgTypes): ColumnType {
  let type = types.get(oid);
  while (type?.isDomain) {
    oid = type.base;
    // Only one level of a domain of domains can carry a modifier.
    if (modifier === -1) modifier = type.modifier;
    type = types.get(oid);
  }
  const sqlName = type ? `"${type.schema.replaceAll('"', '""')}"."${type.name.replaceAll('"', '""')}"` : 'pg_catalog.text';
  // The modifier of an array is that of its elements.
  const element = type && type.element !== 0 ? columnType(type.element, modifier, types) : undefined;
  const logical: LogicalType = element ? { kind: 'array', of: element.logical } : logicalType(oid, modifier);
  return { logical, oid, sqlName, isPlain: type?.isPlain ?? false, isQuoted: type?.isQuoted ?? false, sendsText: type?.sendsText ?? false, ...(element && { element }) };
}

function logicalType(oid: number, modifier: number): LogicalType {
  const known = simple.get(oid);
  if (known) return known;
  return oid === oids.numeric ? numericType(modifier) : { kind: 'text' };
}

/** numeric(p,s): from PostgreSQL 15 on s may be negative, or beyond p; neither is a DECIMAL elsewhere. */
function numericType(modifier: number): LogicalType {
  if (modifier < 4) return { kind: 'bigdecimal' };
  const precision = ((modifier - 4) >> 16) & 0xffff;
  const scale = (((modifier - 4) & 0x7ff) ^ 1024) - 1024;
  return precision <= 38 && scale >= 0 && scale <= precision ? { kind: 'decimal', precision, scale } : { kind: 'bigdecimal' };
}

const safe = Number.MAX_SAFE_INTEGER;

/**
 * The SQL of a column's value inside row_to_json. `column` is a qualified reference. `wide`: the column may hold integers that a
 * double cannot; to look costs a fifth of the server's time for a narrow row, so the caller rules it out where an index can tell.
 * cdc/decode/forms.ts makes the same out of the log: what changes here changes there.
 */
export function jsonForm({ logical, isPlain }: ColumnType, column: string, wide: boolean): string {
  switch (logical.kind) {
    case 'int':
      if (logical.bits !== 64 || !wide) return column;
      return `CASE WHEN ${column} BETWEEN -${safe} AND ${safe} THEN pg_catalog.to_json(${column}) ELSE pg_catalog.to_json(${column}::pg_catalog.text) END`;
    case 'decimal':
    case 'bigdecimal':
    case 'json':
      return `${column}::pg_catalog.text`;
    case 'bytes':
      return `pg_catalog.translate(pg_catalog.encode(${column}, 'base64'), E'\\n', '')`;
    case 'array':
      return `pg_catalog.to_json(${column})::pg_catalog.text`;
    case 'text':
      // row_to_json writes a built-in type by its output function. Others may have a cast to json (hstore, geometry), or be rows.
      return isPlain ? column : asPrinted(column);
    default:
      return column;
  }
}

/** The SQL of the text that a line has for a value, whatever its type: for batches (batch/forms.ts has those that need none). */
export function textForm(type: ColumnType, column: string): string {
  const { kind } = type.logical;
  return kind === 'array' || kind === 'json' || kind === 'decimal' || kind === 'bigdecimal' ? jsonForm(type, column, false) : asPrinted(column);
}

/** By the type's output function, the only one that concat() knows. IS DISTINCT FROM NULL, because a row of nulls IS NULL. */
const asPrinted = (column: string): string => `CASE WHEN ${column} IS DISTINCT FROM NULL THEN pg_catalog.concat(${column}) END`;

const byteOrdered: ReadonlySet<number> = new Set([oids.int2, oids.int4, oids.int8, oids.uuid, oids.timestamp, oids.timestamptz, oids.date, oids.bytea]);
const isText = (oid: number): boolean => oid === oids.text || oid === oids.varchar;

/** May a read go on after a key of this type? Not by a collation that an upgrade of the operating system can change. */
export const hasReproducibleOrder = (type: ColumnType, collationIsC: boolean): boolean => byteOrdered.has(type.oid) || (isText(type.oid) && collationIsC);

/** May an incremental read follow this column? */
export const canBeCursor = (type: ColumnType, collationIsC: boolean): boolean =>
  type.oid === oids.numeric || (type.oid !== oids.bytea && hasReproducibleOrder(type, collationIsC));

/** Rows with such a value (NULL, infinite, NaN) have no place in an order that goes on: nothing would come after them. */
export function hasNoPlace({ oid }: ColumnType, column: string): string {
  if (oid === oids.date || oid === oids.timestamp || oid === oids.timestamptz) return `(${column} IS NULL OR NOT pg_catalog.isfinite(${column}))`;
  if (oid === oids.numeric) return `(${column} IS NULL OR ${column} IN ('NaN', 'Infinity', '-Infinity'))`;
  return `(${column} IS NULL)`;
}
