/**
 * What a value must be to land in its column, as SQL. One expression a type serves both readers, so that a value cannot
 * depend on which of them read it. DuckDB's own casts are too kind: they round 1.5 to 2, take 1_000 for 1000, 24:00 for the
 * next day, 44 BC for 44 AD. The first branches are the cheap ones that nearly every value takes.
 */
import { duckdbType, type LogicalType } from '@tapline/catalog';

/** `raw`: lines as the source wrote them; `walked`: lines of the walker, where every value is a string or null. */
export type Reader = 'raw' | 'walked';

export const sqlString = (text: string): string => `'${text.replaceAll("'", "''")}'`;
export const sqlName = (name: string): string => `"${name.replaceAll('"', '""')}"`;

/** What the raw reader raises where only the walker can tell; never seen by a user. */
const undecided = (type: string): string => `error('undecided')::${type}`;

/** The type that the JSON reader is told. Floats are read natively: printing and parsing them again is what costs most. */
export const readType = (type: LogicalType, reader: Reader): string => (type.kind === 'float' && reader === 'raw' ? duckdbType(type) : 'VARCHAR');

/** True if a value may fail to land: then the row needs a look at its NULL. */
export const mayFail = (type: LogicalType, reader: Reader): boolean => duckdbType(type) !== 'VARCHAR' && !(type.kind === 'float' && reader === 'raw');

/** The column's value out of `v` (an SQL expression of {@link readType}), NULL where it cannot be held. */
export function valueSql(type: LogicalType, v: string, reader: Reader): string {
  const target = duckdbType(type);
  const cast = `try_cast(${v} AS ${target})`;
  switch (type.kind) {
    case 'boolean':
      return `CASE ${v} WHEN 'true' THEN true WHEN 'false' THEN false END`;
    case 'int':
      return `CASE WHEN ${cast}::VARCHAR = ${v} THEN ${cast} WHEN ${matches(v, '-?[0-9]+([.]0*)?')} THEN ${cast} END`;
    case 'float':
      // 1e400 reads as infinity; whether the source wrote that, or Infinity, can only be told from the text.
      if (reader === 'raw') return `CASE WHEN isinf(${v}) THEN ${undecided(target)} ELSE ${v} END`;
      return `CASE WHEN isinf(${cast}) AND NOT ${matches(v, '[+-]?inf(inity)?')} THEN NULL WHEN contains(${v}, '_') THEN NULL ELSE ${cast} END`;
    case 'decimal': {
      const exponent = reader === 'raw' ? `WHEN contains(lower(${v}), 'e') THEN ${undecided(target)} ` : '';
      const digits = `-?[0-9]+([.][0-9]{0,${type.scale}}0*)?`;
      return `CASE WHEN ${cast}::VARCHAR = ${v} THEN ${cast} ${exponent}WHEN ${matches(v, digits)} THEN ${cast} END`;
    }
    case 'bytes':
      return `try(from_base64(${v}))`;
    case 'date':
      return `CASE WHEN NOT isfinite(${cast}) OR ${cast} < DATE '0001-01-01' THEN NULL WHEN ${cast}::VARCHAR = ${v} THEN ${cast} `
        + `WHEN ${matches(v, '[0-9]{4,7}-[0-9]{1,2}-[0-9]{1,2}([T ]00:00(:00([.]0+)?)?(Z|[+]00:?00)?)?')} THEN ${cast} END`;
    case 'time':
      return `CASE WHEN ${matches(v, clock)} THEN ${cast} END`;
    case 'timestamp': {
      const held = `isfinite(${cast}) AND ${cast} >= TIMESTAMP '0001-01-01'`;
      return `CASE WHEN NOT (${held}) THEN NULL WHEN ${cast}::VARCHAR = replace(${v}, 'T', ' ') THEN ${cast} `
        + `WHEN ${matches(v, `${day}([T ]${clock} ?(Z|UTC|[+-]00(:?00)?)?)?`)} THEN ${cast} END`;
    }
    case 'timestamptz': {
      const held = `isfinite(${cast}) AND ${cast} >= TIMESTAMPTZ '0001-01-01 00:00:00+00'`;
      return `CASE WHEN NOT (${held}) THEN NULL WHEN suffix(${v}, '+00:00') AND contains(${v}, 'T') AND NOT contains(${v}, 'T24') THEN ${cast} `
        + `WHEN ${matches(v, `${day}([T ]${clock} ?(Z|UTC|[+-][0-9]{2}(:?[0-9]{2}(:[0-9]{2})?)?)?)?`)} THEN ${cast} END`;
    }
    default:
      return v;
  }
}

const day = '[0-9]{4,6}-[0-9]{1,2}-[0-9]{1,2}';
const clock = '([01]?[0-9]|2[0-3]):[0-9]{2}(:[0-9]{2}([.][0-9]+)?)?';

const matches = (v: string, pattern: string): string => `regexp_full_match(${v}, '${pattern}', 'i')`;
