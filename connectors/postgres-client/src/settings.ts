/** What every session of ours pins, whatever the role, the database or the server has set: a value must have one form. */
import { literal } from './sql.js';

/** What the input and output functions of the server go by. */
export const valueForms: Readonly<Record<string, string>> = {
  TimeZone: 'UTC',
  DateStyle: 'ISO, MDY',
  IntervalStyle: 'postgres',
  extra_float_digits: '1',
  bytea_output: 'hex',
  xmloption: 'content',
  lc_monetary: 'C',
  search_path: '',
  standard_conforming_strings: 'on',
};

/** Limits that some versions have, of sessions and transactions as such: ours say how long they last. */
const withoutLimit = ['idle_session_timeout', 'transaction_timeout'];

/** One statement that sets all of them for the session. */
export function pinSettings(settings: Readonly<Record<string, string>>): string {
  const known = Object.entries(settings).map(([name, value]) => `pg_catalog.set_config(${literal(name)}, ${literal(value)}, false)`);
  const others = withoutLimit.map((name) => `(SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings WHERE name = ${literal(name)})`);
  return `SELECT ${[...known, ...others].join(', ')}`;
}
