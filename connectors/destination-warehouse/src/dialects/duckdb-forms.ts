/** DuckDB's way of comparing values: that of the embedded engine, which folds files for every warehouse. */
import type { Forms } from './dialect.js';

export const duckdbForms: Forms = {
  // Decimals without bounds are text.
  identity: (type, value) => (type.kind === 'bigdecimal' ? decimalOrder(value) : value),
  order: (type, value) => duckdbForms.identity(type, value),
  bytewise: (_type, value) => value,
  same: (a, b) => `${a} IS NOT DISTINCT FROM ${b}`,
  joined: (_type, a, b) => `${a} IS NOT DISTINCT FROM ${b}`,
  // It may be grouped by another expression than the column.
  grouped: (column) => `any_value(${column})`,
  // As the kit writes it: `"changes":[` is there, and nowhere in a name, whose quotes have backslashes.
  withChanges: (meta, list) =>
    `CASE WHEN ${list} IS NULL THEN ${meta} WHEN contains(${meta}, '"changes":[]') THEN replace(${meta}, '"changes":[]', '"changes":[' || ${list} || ']') `
    + `ELSE replace(${meta}, '"changes":[', '"changes":[' || ${list} || ',') END`,
  hasChange: (meta, entry) => `contains(${meta}, '${entry.replaceAll("'", "''")}')`,
};

/**
 * A text that is ordered and equal as the number in `v` is. Negative numbers: sign, and everything else in the complement of its
 * digits, closed by a character behind the digits, so that -1.5 comes after -1.55.
 */
function decimalOrder(v: string): string {
  const whole = `ltrim(split_part(ltrim(${v}, '-'), '.', 1), '0')`;
  const fraction = `rtrim(split_part(ltrim(${v}, '-'), '.', 2), '0')`;
  const digits = `lpad(length(${whole})::VARCHAR, 6, '0') || ${whole} || '.' || ${fraction}`;
  const zero = `${whole} = '' AND ${fraction} = ''`;
  return `CASE WHEN ${v} = 'NaN' THEN '4' WHEN ${v} = 'Infinity' THEN '3' WHEN ${v} = '-Infinity' THEN '0' WHEN ${zero} THEN '2' `
    + `WHEN starts_with(${v}, '-') THEN '1' || translate(${digits}, '0123456789', '9876543210') || '~' WHEN ${v} IS NOT NULL THEN '2' || ${digits} END`;
}
