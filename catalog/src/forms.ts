/**
 * The forms of a logical type.
 *
 * | type | wire (JSON lines) | DuckDB, Parquet | PostgreSQL |
 * |---|---|---|---|
 * | boolean | true, false | BOOLEAN | boolean |
 * | int16, int32 | number | SMALLINT, INTEGER | smallint, integer |
 * | int64 | number; beyond 2^53 a string of digits | BIGINT | bigint |
 * | float32, float64 | number; "NaN", "Infinity", "-Infinity" | FLOAT, DOUBLE | real, double precision |
 * | decimal(p,s) | string of digits | DECIMAL(p,s) | numeric(p,s) |
 * | decimal | string of digits | VARCHAR | numeric |
 * | text, interval | string | VARCHAR | text, interval |
 * | bytes | string, base64 | BLOB | bytea |
 * | date | "2026-11-20", "0044-03-15 BC", "infinity" | DATE | date |
 * | time | "23:59:59.999999" | TIME | time |
 * | timestamp | "2026-11-20T07:00:00.123456" | TIMESTAMP | timestamp |
 * | timestamptz | the same with an offset, "+00:00" | TIMESTAMPTZ | timestamptz |
 * | uuid | string | VARCHAR | uuid |
 * | json, array<T> | string that holds JSON text (embedded: the JSON itself) | VARCHAR | jsonb |
 */
import type { AirbyteStream, JsonSchema } from '@tapline/protocol';
import { formatLogicalType, parseLogicalType, type LogicalType } from './types.js';

/** A column of a stream. */
export interface Column {
  readonly name: string;
  readonly type: LogicalType;
}

/** The JSON schema of a column: plain Airbyte for anyone, `tapline_type` for us. */
export function toJsonSchema(type: LogicalType, nullable = true): JsonSchema {
  const { types, ...rest } = jsonSchemaForm(type);
  const all = nullable ? ['null', ...types] : types;
  return { type: all.length === 1 ? all[0] : all, ...rest, tapline_type: formatLogicalType(type) };
}

function jsonSchemaForm(type: LogicalType): { types: string[]; [key: string]: unknown } {
  switch (type.kind) {
    case 'boolean': return { types: ['boolean'] };
    case 'int': return type.bits === 64 ? { types: ['integer', 'string'], airbyte_type: 'integer' } : { types: ['integer'], airbyte_type: 'integer' };
    case 'float': return { types: ['number', 'string'] };
    case 'bytes': return { types: ['string'], contentEncoding: 'base64' };
    case 'date': return { types: ['string'], format: 'date' };
    case 'time': return { types: ['string'], format: 'time', airbyte_type: 'time_without_timezone' };
    case 'timestamp': return { types: ['string'], format: 'date-time', airbyte_type: 'timestamp_without_timezone' };
    case 'timestamptz': return { types: ['string'], format: 'date-time', airbyte_type: 'timestamp_with_timezone' };
    case 'json': return type.embedded ? { types: ['object', 'array', 'string', 'number', 'boolean'] } : { types: ['string'], contentMediaType: 'application/json' };
    case 'array': return { types: ['string'], contentMediaType: 'application/json' };
    default: return { types: ['string'] };
  }
}

/** The logical type of a property of anybody's JSON schema. What it cannot tell becomes embedded JSON. */
export function fromJsonSchema(schema: JsonSchema): LogicalType {
  if (typeof schema['tapline_type'] === 'string') {
    const type = parseLogicalType(schema['tapline_type']);
    if (type) return type;
  }
  const declared = schema['type'];
  const types = (Array.isArray(declared) ? declared : [declared]).filter((type) => type !== 'null');
  if (types.length !== 1) return { kind: 'json', embedded: true };
  const airbyteType = schema['airbyte_type'];
  switch (types[0]) {
    case 'boolean': return { kind: 'boolean' };
    case 'integer': return { kind: 'int', bits: 64 };
    case 'number': return airbyteType === 'integer' ? { kind: 'int', bits: 64 } : { kind: 'float', bits: 64 };
    case 'string':
      switch (schema['format']) {
        case 'date': return { kind: 'date' };
        case 'date-time': return { kind: airbyteType === 'timestamp_without_timezone' ? 'timestamp' : 'timestamptz' };
        case 'time': return airbyteType === 'time_without_timezone' ? { kind: 'time' } : { kind: 'text' };
        default: return { kind: 'text' };
      }
    default: return { kind: 'json', embedded: true };
  }
}

/** The columns of a stream, in the order of its schema's `properties`. */
export function columnsOf(stream: Pick<AirbyteStream, 'json_schema'>): Column[] {
  const properties = stream.json_schema['properties'];
  if (typeof properties !== 'object' || properties === null) return [];
  return Object.entries(properties).map(([name, schema]) => ({
    name,
    type: fromJsonSchema(typeof schema === 'object' && schema !== null ? (schema as JsonSchema) : {}),
  }));
}

/** The DuckDB type a value of this type lands as; Parquet takes its own from that. */
export function duckdbType(type: LogicalType): string {
  switch (type.kind) {
    case 'boolean': return 'BOOLEAN';
    case 'int': return { 16: 'SMALLINT', 32: 'INTEGER', 64: 'BIGINT' }[type.bits];
    case 'float': return { 32: 'FLOAT', 64: 'DOUBLE' }[type.bits];
    case 'decimal': return `DECIMAL(${type.precision},${type.scale})`;
    case 'bytes': return 'BLOB';
    case 'date': return 'DATE';
    case 'time': return 'TIME';
    case 'timestamp': return 'TIMESTAMP';
    case 'timestamptz': return 'TIMESTAMPTZ';
    default: return 'VARCHAR';
  }
}

/** The PostgreSQL type a value of this type lands as. */
export function postgresType(type: LogicalType): string {
  switch (type.kind) {
    case 'int': return { 16: 'smallint', 32: 'integer', 64: 'bigint' }[type.bits];
    case 'float': return { 32: 'real', 64: 'double precision' }[type.bits];
    case 'decimal': return `numeric(${type.precision},${type.scale})`;
    case 'bigdecimal': return 'numeric';
    case 'bytes': return 'bytea';
    case 'json':
    case 'array': return 'jsonb';
    default: return type.kind;
  }
}
