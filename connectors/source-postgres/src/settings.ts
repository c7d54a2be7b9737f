/** What every session of ours pins, whatever the role, the database or the server has set: a value must have one form. */
import type { Config } from './config.js';
import { literal } from './sql.js';

/** The output functions of the server go by these: a COPY and the replication stream must write the same text. */
const forms: Readonly<Record<string, string>> = {
  TimeZone: 'UTC',
  DateStyle: 'ISO, MDY',
  IntervalStyle: 'postgres',
  extra_float_digits: '1',
  bytea_output: 'hex',
  xmloption: 'content',
  lc_monetary: 'C',
  search_path: '',
  standard_conforming_strings: 'on',
  default_transaction_read_only: 'on',
};

/** One statement for a session that reads. */
export const querySettings = (config: Config): string => setAll({
  ...forms,
  statement_timeout: ms(config.statement_timeout),
  lock_timeout: ms(config.lock_timeout),
  idle_in_transaction_session_timeout: ms(config.idle_timeout),
  // Compiling a plan that is used once costs more than it saves.
  jit: 'off',
});

/** One statement for a replication session: it lives as long as the stream, and its warnings matter. */
export const replicationSettings = (): string => setAll({
  ...forms,
  statement_timeout: '0',
  lock_timeout: '0',
  idle_in_transaction_session_timeout: '0',
  client_min_messages: 'warning',
});

/** Limits that some versions have, of sessions and transactions as such: ours say how long they last. */
const withoutLimit = ['idle_session_timeout', 'transaction_timeout'];

const ms = (seconds: number): string => String(Math.round(seconds * 1000));

function setAll(settings: Readonly<Record<string, string>>): string {
  const known = Object.entries(settings).map(([name, value]) => `pg_catalog.set_config(${literal(name)}, ${literal(value)}, false)`);
  const others = withoutLimit.map((name) => `(SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings WHERE name = ${literal(name)})`);
  return `SELECT ${[...known, ...others].join(', ')}`;
}
