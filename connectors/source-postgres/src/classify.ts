/** What the server said about a table that is read, to what a user can do about it. By codes only, never by the text of a message. */
import { classify as classifyBy, config, connectionCodes, identifier, qualified, system, transient, type Attempt as Session, type Known } from '@tapline/postgres-client';
import type { ConnectorError } from '@tapline/protocol';

/** What the attempt was about; no secrets in it. */
export interface Attempt extends Omit<Session, 'stream' | 'meanwhile'> {
  /** The table that was read. */
  readonly relation?: { readonly schema: string; readonly name: string };
}

/** Always a {@link ConnectorError}; one of ours stays as it is. */
export function classify(error: unknown, attempt: Attempt): ConnectorError {
  const { relation, ...session } = attempt;
  const about = relation && { stream: { name: relation.name, namespace: relation.schema }, meanwhile: `${table(attempt)} was read` };
  return classifyBy(error, { ...session, ...about }, (state) => bySqlState(state, attempt));
}

/** Does it end the run, or only the stream at which it happened? */
export function endsRun(error: ConnectorError): boolean {
  return connectionCodes.has(error.code) || replicationCodes.has(error.code);
}

const replicationCodes = new Set(['pg_silent', 'pg_slot_in_use', 'pg_slot_missing', 'pg_slot_lost', 'pg_publication_missing']);

/** Classes of errors that are the connection's, whatever was read. */
const connectionClasses = new Set(['08', '28', '3D', '53', '57']);

/** https://www.postgresql.org/docs/current/errcodes-appendix.html */
function bySqlState(state: string, attempt: Attempt): Known | undefined {
  const { user, relation, purpose } = attempt;
  switch (state) {
    case '42501':
      if (!relation || purpose === 'replication') return undefined;
      return config('pg_no_privilege', `user '${user}' may not read ${table(attempt)}: GRANT USAGE ON SCHEMA ${identifier(relation.schema)} TO ${identifier(user)}; GRANT SELECT ON ${table(attempt)} TO ${identifier(user)};`);
    case '42P01':
    case '3F000':
      return config('pg_no_table', `${table(attempt)} does not exist any more: discover again, or leave it out`);
    case '42703':
      return config('pg_no_column', `${table(attempt)} has lost a column that is configured: discover again`);
    case '42P07':
    case '42809':
      return config('pg_not_readable', `${table(attempt)} is not what it was: discover again`);
    case '55000':
      return config('pg_not_readable', `${table(attempt)} cannot be read now: a materialized view needs REFRESH MATERIALIZED VIEW first`);
    case '25006':
      return config('pg_read_only', `${table(attempt)} wants to write when it is read, and we read in read-only transactions: leave it out`);
    case '55P03':
      return transient('pg_locked', `${table(attempt)} was locked by another session for longer than lock_timeout`);
    case '57014':
      return config('pg_canceled', `reading ${table(attempt)} took longer than statement_timeout, or was canceled: raise statement_timeout (0 = no limit)`);
    case '25P03':
      return config('pg_connection_lost', 'the transaction idled for longer than idle_timeout while the destination took its time: raise idle_timeout (0 = no limit)');
    case '40001':
    case '40P01':
      return transient('pg_conflict', `reading ${table(attempt)} conflicted with other work on the server (on a standby: with recovery; see hot_standby_feedback and max_standby_streaming_delay)`);
    case '22P02':
    case '22007':
    case '22008':
    case '22003':
      return config('pg_bad_value', `${table(attempt)} cannot be evaluated: a cast, or a position from the state, does not fit its columns any more`);
  }
  switch (state.slice(0, 2)) {
    case '42':
    case '0A':
    case '22':
    case '2F':
    case '38':
    case '39':
    case 'HV':
    case 'P0':
      return config('pg_not_readable', `${table(attempt)} cannot be read: its definition fails on the server`);
    case '58':
    case 'XX':
      return system('pg_internal', `the server failed inside while ${table(attempt)} was read: see its log`);
  }
  return relation && !connectionClasses.has(state.slice(0, 2)) ? system('pg_unexpected', `the server refused to read ${table(attempt)}`) : undefined;
}

const table = ({ relation }: Attempt): string => (relation ? qualified(relation.schema, relation.name) : 'the catalog');
