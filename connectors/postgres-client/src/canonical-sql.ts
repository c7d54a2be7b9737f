/** The text of a value, a key and a row that goes into a digest, as PostgreSQL's SQL. Law: protocol/SPEC.md, "Digests". */
import { duckdbType, type LogicalType } from '@tapline/catalog';
import { nulledText, nullText, type Holds } from '@tapline/protocol';
import { literal } from './sql.js';

/** A value of a row. All of them SQL. */
export interface CanonicalValue {
  /** Its text; not looked at where the value is null, or nulled. */
  readonly text: string;
  readonly isNull: string;
  /** Of a source: the destination cannot hold it. Of a destination: it stands for a value that could not be held. Undefined: never. */
  readonly nulled: string | undefined;
  /** For people, as it travels in a record. */
  readonly shown: string;
  /** Its text may hold anything, so its length goes before it. */
  readonly delimited: boolean;
}

export interface CanonicalColumn {
  /** SQL of its value. */
  readonly value: string;
  readonly type: LogicalType;
  /** Its type in the database is text or varchar: a cast of char(n) would cut its blanks. */
  readonly isText: boolean;
  /** Its type in the database is json, which keeps what jsonb refuses. */
  readonly isJson?: boolean;
}

const bigint = (send: string): string => `('x' || pg_catalog.encode(pg_catalog.${send}, 'hex'))::pg_catalog.bit(64)::pg_catalog.int8`;
const integer = (send: string): string => `('x' || pg_catalog.encode(pg_catalog.${send}, 'hex'))::pg_catalog.bit(32)::pg_catalog.int4`;

/** Of a source's column, before a destination that can hold so much. What is sent in binary is a number since 2000-01-01, whose extremes are the infinities. */
export function canonicalValue(column: CanonicalColumn, holds: Holds | undefined): CanonicalValue {
  const { value: c, type, isText, isJson = false } = column;
  const value = (text: string, nulled?: string): CanonicalValue => ({
    // A row of nulls IS NULL, and is none.
    text, nulled, isNull: `${c} IS NOT DISTINCT FROM NULL`, shown: shown(column), delimited: duckdbType(type) === 'VARCHAR',
  });
  const beyond = (number: string, [low, high]: readonly [number | string, number | string]): string => `${number} NOT BETWEEN ${low} AND ${high}`;
  const asJsonb = (text: string): string => (holds?.jsonb ? `${text}::pg_catalog.jsonb::pg_catalog.text` : text);
  switch (type.kind) {
    case 'boolean':
    case 'int':
    case 'bigdecimal':
    case 'uuid':
      return value(`${c}::pg_catalog.text`);
    case 'json':
      return value(asJsonb(`${c}::pg_catalog.text`), holds?.jsonb && isJson ? refusedByJsonb(`${c}::pg_catalog.text`) : undefined);
    case 'array':
      return value(asJsonb(`pg_catalog.to_json(${c})::pg_catalog.text`));
    case 'decimal':
      return value(`${c}::pg_catalog.text`, holds && !holds.decimal_nan ? `${c} = 'NaN'` : undefined);
    case 'float': {
      const bits = type.bits === 32 ? integer(`float4send(${c})`) : bigint(`float8send(${c})`);
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
      const micros = bigint(`${type.kind}_send(${c})`);
      return value(`${micros}::pg_catalog.text`, holds && beyond(micros, holds.timestamp));
    }
    default:
      // concat() knows only output functions; a cast to text cuts the blanks of char(n).
      return value(isText ? `${c}::pg_catalog.text` : `pg_catalog.concat(${c})`);
  }
}

/** A column that does not travel: null. */
export const absentValue: CanonicalValue = { text: 'NULL', isNull: 'true', nulled: undefined, shown: 'NULL::pg_catalog.text', delimited: false };

/** JSON with \u0000, or with half of a surrogate pair. Escaped backslashes go first, then whole pairs: what is left begins an escape. */
const refusedByJsonb = (text: string): string =>
  String.raw`(pg_catalog.strpos(${text}, '\u') > 0 AND pg_catalog.regexp_replace(pg_catalog.replace(${text}, '\\', ' '), '\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}', '', 'g') ~ '\\u(0000|[dD][89a-fA-F])')`;

function part({ text, isNull, nulled, delimited }: CanonicalValue): string {
  const whole = delimited ? `pg_catalog.concat('=', pg_catalog.length(${text}), ':', ${text}, ';')` : `'=' || ${text} || ';'`;
  return `CASE WHEN ${isNull} THEN '-;'${nulled === undefined ? '' : ` WHEN ${nulled} THEN '!;'`} ELSE ${whole} END`;
}

const sha256 = (text: string): string => `pg_catalog.sha256(pg_catalog.convert_to(${text}, 'UTF8'))`;
const hex = (bytes: string, digits: number): string => `pg_catalog.left(pg_catalog.encode(${bytes}, 'hex'), ${digits})`;
const textOf = (values: readonly CanonicalValue[]): string => (values.length === 0 ? `''` : values.map(part).join(' || '));

/** 16 hexadecimal digits. */
export const rowHash = (values: readonly CanonicalValue[]): string => hex(sha256(textOf(values)), 16);
/** 32 hexadecimal digits. */
export const keyHash = (key: readonly CanonicalValue[]): string => hex(sha256(textOf(key)), 32);
/** A hash as a number, for a sum modulo 2^64. */
export const asNumber = (digits: string): string => `('x' || ${digits})::pg_catalog.bit(64)::pg_catalog.int8`;

/** The highest `bits` (at most 24) of the key's hash. */
export function rangeOf(key: readonly CanonicalValue[], bits: number): string {
  if (bits === 0) return '0';
  return `('x' || pg_catalog.encode(pg_catalog.substring(${sha256(textOf(key))}, 1, 3), 'hex'))::pg_catalog.bit(24)::pg_catalog.int4 >> ${24 - bits}`;
}

/** 8 characters a column. */
export function columnHashes(values: readonly CanonicalValue[]): string {
  if (values.length === 0) return `''`;
  return values.map(({ text, isNull, nulled }) => {
    const other = nulled === undefined ? '' : ` WHEN ${nulled} THEN ${literal(nulledText)}`;
    return `CASE WHEN ${isNull} THEN ${literal(nullText)}${other} ELSE ${hex(sha256(text), 8)} END`;
  }).join(' || ');
}

/** The key's values for people: as they travel in a record. */
export const keyValues = (key: readonly CanonicalValue[]): string =>
  `pg_catalog.json_build_array(${key.map((value) => `CASE WHEN ${value.isNull} THEN NULL ELSE ${value.shown} END`).join(', ')})`;

function shown({ value, type }: CanonicalColumn): string {
  switch (type.kind) {
    case 'boolean':
      return `${value}::pg_catalog.text`;
    case 'timestamp':
    case 'timestamptz':
      return `pg_catalog.to_json(${value}) #>> '{}'`;
    case 'bytes':
      return `pg_catalog.translate(pg_catalog.encode(${value}, 'base64'), E'\\n', '')`;
    default:
      return `pg_catalog.concat(${value})`;
  }
}
