/** What every session of ours pins: a COPY and the replication stream must write the same text. */
import { pinSettings, valueForms } from '@tapline/postgres-client';
import type { Config } from './config.js';

const forms: Readonly<Record<string, string>> = { ...valueForms, default_transaction_read_only: 'on' };

/** One statement for a session that reads. */
export const querySettings = (config: Config): string => pinSettings({
  ...forms,
  statement_timeout: ms(config.statement_timeout),
  lock_timeout: ms(config.lock_timeout),
  idle_in_transaction_session_timeout: ms(config.idle_timeout),
  // Compiling a plan that is used once costs more than it saves.
  jit: 'off',
});

/** One statement for a replication session: it lives as long as the stream, and its warnings matter. */
export const replicationSettings = (): string => pinSettings({
  ...forms,
  statement_timeout: '0',
  lock_timeout: '0',
  idle_in_transaction_session_timeout: '0',
  client_min_messages: 'warning',
});

const ms = (seconds: number): string => String(Math.round(seconds * 1000));
