/** What every transaction of ours pins, for itself alone: nothing is left behind in a session that a pooler gives to somebody else. */
import { literal, valueForms } from '@tapline/postgres-client';
import type { PostgresConfig } from './postgres-config.js';

const ms = (seconds: number): string => String(Math.round(seconds * 1000));

const workMem = 64 * 1024 * 1024;

export interface TransactionOptions {
  readonly config: PostgresConfig;
  readonly applicationName: string;
}

/** One round trip. Answers with `pid` of the server's process, which behind a pooler is another one in each transaction. */
export function beginStatement({ config, applicationName }: TransactionOptions): string {
  const settings: Readonly<Record<string, string>> = {
    ...valueForms,
    application_name: applicationName,
    client_min_messages: 'warning',
    statement_timeout: ms(config.statement_timeout ?? 0),
    lock_timeout: ms(config.lock_timeout ?? 60),
    // While the embedded engine folds, the transaction idles; a process that was stopped for good must not hold its locks for good.
    idle_in_transaction_session_timeout: ms(3600),
    // So that the server sees within minutes that we are gone.
    tcp_keepalives_idle: '60',
    tcp_keepalives_interval: '10',
    tcp_keepalives_count: '6',
    // Compiling a plan that is used once costs more than it saves.
    jit: 'off',
  };
  const set = Object.entries(settings).map(([name, value]) => `pg_catalog.set_config(${literal(name)}, ${literal(value)}, true)`);
  // What was acknowledged must be on disk, or the source forgets what the warehouse lost.
  set.push(`CASE pg_catalog.current_setting('synchronous_commit') WHEN 'off' THEN pg_catalog.set_config('synchronous_commit', 'on', true) END`);
  // Folds sort and group whole batches; a setting that is higher was meant.
  set.push(`CASE WHEN pg_catalog.pg_size_bytes(pg_catalog.current_setting('work_mem')) < ${workMem} THEN pg_catalog.set_config('work_mem', '64MB', true) END`);
  // A long statement of a writer that is gone ends within seconds, with its locks; only servers on Linux can look.
  set.push(`CASE WHEN pg_catalog.version() LIKE '%linux%' THEN pg_catalog.set_config('client_connection_check_interval', '2000', true) END`);
  set.push(`(SELECT pg_catalog.set_config(name, '0', true) FROM pg_catalog.pg_settings WHERE name = 'transaction_timeout')`);
  return `BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SELECT pg_catalog.pg_backend_pid() AS pid, ${set.join(', ')}`;
}
