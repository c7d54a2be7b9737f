/** The text of a value, a key and a row that goes into a digest, as PostgreSQL's SQL. Law: protocol/SPEC.md, "Digests". */
import { duckdbType } from '@tapline/catalog';
import { identifier, literal } from '@tapline/postgres-client';
import { nulledText, nullText, type Holds } from '@tapline/protocol';
import type { RelationColumn } from '../relations.js';
import type { ColumnType } from '../types.js';

export interface Value {
  /** SQL of its text; not looked at where the value is null or cannot be held. */
  readonly text: string;
  /** SQL: the destination cannot hold it. Undefined: it always can. */
  readonly nulled: string | undefined;
  readonly column: string;
  /** Its text may hold anything, so its length goes before it. */
  readonly delimited: boolean;
  readonly type: ColumnType;
}

const bigint = (send: string): string => `('x' || pg_catalog.encode(pg_catalog.${send}, 'hex'))::pg_catalog.bit(64)::pg_catalog.int8`;
const integer = (send: string): string => `('x' || pg_catalog.encode(pg_catalog.${send}, 'hex'))::pg_catalog.bit(32)::pg_catalog.int4`;

/** Of the column of alias `s`. What is sent in binary is a number since 2000-01-01, whose extremes are the infinities. */
export function valueOf({ name, type }: Pick<RelationColumn, 'name' | 'type'>, holds: Holds | undefined): Value {
  const c = `s.${identifier(name)}`;
  const { logical } = type;
  const delimited = duckdbType(logical) === 'VARCHAR';
  const value = (text: string, nulled?: string): Value => ({ text, nulled, column: c, delimited, type });
  const beyond = (number: string, [low, high]: readonly [number | string, number | string]): string => `${number} NOT BETWEEN ${low} AND ${high}`;
  switch (logical.kind) {
    case 'boolean':
    case 'int':
    case 'bigdecimal':
    case 'json':
    case 'uuid':
      return value(`${c}::pg_catalog.text`);
    case 'decimal':
      return value(`${c}::pg_catalog.text`, holds && !holds.decimal_nan ? `${c} = 'NaN'` : undefined);
    case 'float': {
      const bits = logical.bits === 32 ? integer(`float4send(${c})`) : bigint(`float8send(${c})`);
      return value(`CASE WHEN ${c} = 'NaN' THEN 'NaN' ELSE ${bits}::pg_catalog.text END`);
    }
    case 'bytes':
      return value(`pg_catalog.encode(pg_catalog.sha256(${c}), 'hex')`);
    case 'date': {
      const days = integer(`date_send(${c})`);
      return value(`${days}::pg_catalog.text`, holds && beyond(days, holds.date));
    }
    case 'time': {
      const micros = bigint(`time_send(${c})`);
      return value(`${micros}::pg_catalog.text`, holds && beyond(micros, holds.time));
    }
    case 'timestamp':
    case 'timestamptz': {
      const micros = bigint(`${logical.kind}_send(${c})`);
      return value(`${micros}::pg_catalog.text`, holds && beyond(micros, holds.timestamp));
    }
    case 'array':
      return value(`pg_catalog.to_json(${c})::pg_catalog.text`);
    default:
      // concat() knows only output functions; a cast to text cuts the blanks of char(n).
      return value(['"pg_catalog"."text"', '"pg_catalog"."varchar"'].includes(type.sqlName) ? `${c}::pg_catalog.text` : `pg_catalog.concat(${c})`);
  }
}

/** A column that does not travel: null. */
export const absent = ({ type }: Pick<RelationColumn, 'type'>): Value => ({ text: 'NULL', nulled: undefined, column: 'NULL::pg_catalog.text', delimited: false, type });

// A row of nulls IS NULL, and is none.
const isNull = ({ column }: Value): string => `${column} IS NOT DISTINCT FROM NULL`;

function part(value: Value): string {
  const { text, nulled, delimited } = value;
  const shown = delimited ? `pg_catalog.concat('=', pg_catalog.length(${text}), ':', ${text}, ';')` : `'=' || ${text} || ';'`;
  return `CASE WHEN ${isNull(value)} THEN '-;'${nulled === undefined ? '' : ` WHEN ${nulled} THEN '!;'`} ELSE ${shown} END`;
}

const sha256 = (text: string): string => `pg_catalog.sha256(pg_catalog.convert_to(${text}, 'UTF8'))`;
const hex = (bytes: string, digits: number): string => `pg_catalog.left(pg_catalog.encode(${bytes}, 'hex'), ${digits})`;
const textOf = (values: readonly Value[]): string => (values.length === 0 ? `''` : values.map(part).join(' || '));

/** 16 hexadecimal digits. */
export const rowHash = (values: readonly Value[]): string => hex(sha256(textOf(values)), 16);
/** 32 hexadecimal digits. */
export const keyHash = (key: readonly Value[]): string => hex(sha256(textOf(key)), 32);
/** A hash as a number, for a sum modulo 2^64. */
export const asNumber = (digits: string): string => `('x' || ${digits})::pg_catalog.bit(64)::pg_catalog.int8`;

/** The highest `bits` (at most 24) of the key's hash. */
export function rangeOf(key: readonly Value[], bits: number): string {
  if (bits === 0) return '0';
  return `('x' || pg_catalog.encode(pg_catalog.substring(${sha256(textOf(key))}, 1, 3), 'hex'))::pg_catalog.bit(24)::pg_catalog.int4 >> ${24 - bits}`;
}

/** 8 characters a column. */
export function columnHashes(values: readonly Value[]): string {
  if (values.length === 0) return `''`;
  return values.map((value) => {
    const nulled = value.nulled === undefined ? '' : ` WHEN ${value.nulled} THEN ${literal(nulledText)}`;
    return `CASE WHEN ${isNull(value)} THEN ${literal(nullText)}${nulled} ELSE ${hex(sha256(value.text), 8)} END`;
  }).join(' || ');
}

/** The key's values for people: as they travel in a record. */
export const keyValues = (key: readonly Value[]): string => `pg_catalog.json_build_array(${key.map(keyValue).join(', ')})`;

function keyValue(value: Value): string {
  return `CASE WHEN ${isNull(value)} THEN NULL ELSE ${shown(value)} END`;
}

function shown({ column, type }: Value): string {
  switch (type.logical.kind) {
    case 'boolean':
      return `${column}::pg_catalog.text`;
    case 'timestamp':
    case 'timestamptz':
      return `pg_catalog.to_json(${column}) #>> '{}'`;
    case 'bytes':
      return `pg_catalog.translate(pg_catalog.encode(${column}, 'base64'), E'\\n', '')`;
    default:
      return `pg_catalog.concat(${column})`;
  }
}
