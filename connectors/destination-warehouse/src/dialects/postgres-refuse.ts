/**
 * What PostgreSQL does not hold though its column has the right type. Conditions on values in the embedded engine, so that one such value
 * becomes null, and is told of, where a COPY would fail as a whole. The cheap test that nearly every value passes comes first: CASE
 * stops at it, where AND and OR do not.
 */
import type { LogicalType } from '@tapline/catalog';

/** PostgreSQL 17 and later hold infinite intervals, 15 and later those of more than 2,147,483,647 hours. */
const infiniteFrom = 17;
const longFrom = 15;

/** See `ColumnarOptions.refuse`; of a server of that major version. */
export const refusePostgres = (version: number) => (type: LogicalType, value: string): string | undefined => {
  switch (type.kind) {
    case 'text':
      return hasNul(value);
    case 'date':
      return `${value} > DATE '5874897-12-31'`;
    case 'uuid':
      return `NOT regexp_full_match(${value}, '[0-9a-fA-F]{4}(-?[0-9a-fA-F]{4}){7}|[{][0-9a-fA-F]{4}(-?[0-9a-fA-F]{4}){7}[}]')`;
    case 'bigdecimal':
      return `CASE WHEN strlen(${value}) < 1000 AND regexp_full_match(${value}, '-?[0-9]+([.][0-9]+)?') THEN false ELSE ${badNumber(value)} END`;
    case 'interval':
      return badInterval(value, version);
    case 'json':
    case 'array':
      return badJson(value);
    default:
      return undefined;
  }
};

const hasNul = (v: string): string => `contains(${v}, chr(0))`;

const number = (v: string, pattern: string): string => `coalesce(try_cast(regexp_extract(${v}, '${pattern}', 1) AS HUGEINT), 0)`;

/** Up to 131,072 digits before the point, and 16,383 behind it: https://www.postgresql.org/docs/current/datatype-numeric.html */
function badNumber(v: string): string {
  const exponent = number(v, '[eE]([+-]?[0-9]{1,20})$');
  const whole = `length(regexp_extract(${v}, '^[+-]?0*([0-9]*)', 1))`;
  const fraction = `length(regexp_extract(${v}, '[.]([0-9]*)', 1))`;
  return `CASE WHEN regexp_full_match(${v}, 'NaN|[+-]?Infinity', 'i') THEN false `
    + `WHEN NOT regexp_full_match(${v}, '[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]{1,20})?') THEN true `
    + `ELSE ${whole} + ${exponent} > 131072 OR ${fraction} - ${exponent} > 16383 END`;
}

/** As PostgreSQL writes them, and as ISO 8601 does. */
function badInterval(v: string, version: number): string {
  const upTo = (digits: number): string =>
    `(-?[0-9]{1,${digits}} years?( |$))?(-?[0-9]{1,${digits}} mons?( |$))?(-?[0-9]{1,${digits}} days?( |$))?([+-]?[0-9]{2,${digits}}:[0-5][0-9](:[0-5][0-9]([.][0-9]{1,6})?)?)?`;
  const matches = (digits: number): string => `${v} <> '' AND regexp_full_match(${v}, '${upTo(digits)}')`;
  const iso = `P(-?[0-9]{1,8}Y)?(-?[0-9]{1,8}M)?(-?[0-9]{1,8}W)?(-?[0-9]{1,9}D)?(T(-?[0-9]{1,9}H)?(-?[0-9]{1,9}M)?(-?[0-9]{1,9}([.][0-9]+)?S)?)?`;
  const months = `${number(v, '(-?[0-9]+) year')} * 12 + ${number(v, '(-?[0-9]+) mon')}`;
  const days = number(v, '(-?[0-9]+) day');
  const hours = number(v, '([0-9]+):');
  // The longest that there is: 2562047788:00:54.775807.
  const tooLong = version >= longFrom
    ? `${hours} > 2562047788 OR ${hours} = 2562047788 AND regexp_extract(${v}, '[0-9]+:(.*)$', 1) > '00:54.775807'`
    : `${hours} > 2147483647`;
  const bounds = `NOT (${months} BETWEEN -2147483648 AND 2147483647) OR NOT (${days} BETWEEN -2147483648 AND 2147483647) OR ${tooLong}`;
  const infinite = version >= infiniteFrom ? `WHEN regexp_full_match(${v}, '[+-]?infinity', 'i') THEN false ` : '';
  return `CASE WHEN ${matches(7)} THEN false ${infinite}WHEN ${matches(10)} THEN ${bounds} ELSE NOT regexp_full_match(${v}, '${iso}') OR right(${v}, 1) IN ('P', 'T', '') END`;
}

/** More than this, and the server's stack may not be deep enough: 10,000 levels still are, at max_stack_depth = 2MB. */
const deepest = 6000;
/** A jsonb has 28 bits for a length. */
const longest = 250_000_000;

/** The engine's own reader takes NaN, Infinity and commas at the end, and sees nothing wrong in a NUL, or in any number. */
function badJson(v: string): string {
  const odd = ['NaN', 'nan', 'nfinity', 'e+', ',]', ',}'].map((token) => `contains(${v}, '${token}')`).join(' OR ');
  // Strings out first: what stands in them is no number, and no bracket.
  const bare = `regexp_replace(${v}, '"([^"\\\\]|\\\\.)*"', '""', 'g')`;
  const numbers = `regexp_extract_all(${bare}, '-?[0-9]+([.][0-9]+)?([eE][+-]?[0-9]+)?')`;
  const brackets = `regexp_replace(${bare}, '[^\\[\\]{}]', '', 'g')`;
  // Depth now in the low 32 bits, and the greatest so far above them.
  const steps = `list_transform(string_split(${brackets}, ''), lambda c: CASE WHEN c IN ('[', '{') THEN 1 ELSE -1 END::BIGINT)`;
  const depth = `list_reduce(${steps}, lambda a, s: CASE WHEN (a & 4294967295) + s > (a >> 32) THEN (((a & 4294967295) + s) << 32) + (a & 4294967295) + s ELSE a + s END, 0::BIGINT) >> 32`;
  return `CASE WHEN ${v} IS NULL THEN false WHEN NOT json_valid(${v}) THEN true `
    + `WHEN contains(${v}, '\\u0000') AND regexp_matches(${v}, '(^|[^\\\\])(\\\\\\\\)*\\\\u0000') THEN true `
    + `WHEN strlen(${v}) <= ${2 * deepest} AND NOT (${odd}) THEN false `
    + `WHEN strlen(${v}) > ${longest} THEN true `
    + `WHEN regexp_matches(${bare}, '(?i)nan|inf|,\\s*[\\]}]') THEN true `
    + `WHEN list_count(list_filter(${numbers}, lambda x: ${badNumber('x')})) > 0 THEN true `
    + `WHEN length(${brackets}) > ${2 * deepest} THEN ${depth} > ${deepest} ELSE false END`;
}
