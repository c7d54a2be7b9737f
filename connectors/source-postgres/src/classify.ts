/** From what the driver, the socket or the server said to what a user can do about it. By codes only, never by the text of a message. */
import { configError, ConnectorError, systemError, toConnectorError, transientError } from '@tapline/protocol';
import { qualified } from './sql.js';

/** What a session is for. */
export type Purpose = 'query' | 'replication';

/** What the attempt was about; no secrets in it. */
export interface Attempt {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  readonly sslmode: string;
  /** A session of the replication protocol is admitted, and fails, by rules of its own. */
  readonly purpose?: Purpose;
  /** The connection stands: an error without a code did not come from its end. */
  readonly alive?: boolean;
  /** The table that was read. */
  readonly relation?: { readonly schema: string; readonly name: string };
}

/** Always a {@link ConnectorError}; one of ours stays as it is. */
export function classify(error: unknown, attempt: Attempt): ConnectorError {
  if (error instanceof ConnectorError) return error;
  const code = codeOf(error);
  const stream = attempt.relation && { name: attempt.relation.name, namespace: attempt.relation.schema };
  const options = { cause: error, ...(stream && { stream }) };
  if (code === undefined) {
    // The driver gives no code where the connection ended under it, and takes a bare Error then: any other class is a bug of ours.
    if (attempt.alive || (error instanceof Error && Object.getPrototypeOf(error) !== Error.prototype)) return toConnectorError(error);
    return transientError(`${server(attempt)} closed the connection${attempt.relation ? ` while ${table(attempt)} was read` : ''}`, { ...options, code: 'pg_connection_lost' });
  }
  const known = /^[0-9A-Z]{5}$/.test(code) && !nodeCodes.has(code) ? bySqlState(code, attempt) : byDriverCode(code, attempt);
  const make = { config_error: configError, transient_error: transientError, system_error: systemError }[known.kind];
  const said = /^[0-9A-Z]{5}$/.test(code) ? ` (SQLSTATE ${code})` : ` (${code})`;
  return make(`${known.message}${said}`, { ...options, code: known.code });
}

/** Does it end the run, or only the stream at which it happened? */
export function endsRun(error: ConnectorError): boolean {
  return connectionCodes.has(error.code);
}

interface Known {
  readonly kind: 'config_error' | 'transient_error' | 'system_error';
  readonly code: string;
  readonly message: string;
}
const config = (code: string, message: string): Known => ({ kind: 'config_error', code, message });
const transient = (code: string, message: string): Known => ({ kind: 'transient_error', code, message });
const system = (code: string, message: string): Known => ({ kind: 'system_error', code, message });

const connectionCodes = new Set([
  'pg_connection_lost', 'pg_unreachable', 'pg_unknown_host', 'pg_refused', 'pg_timeout', 'pg_tls', 'pg_tls_untrusted', 'pg_tls_not_offered', 'pg_auth_failed',
  'pg_not_admitted', 'pg_no_database', 'pg_shutdown', 'pg_starting', 'pg_too_many_connections', 'pg_no_password', 'pg_no_user', 'pg_database_access', 'pg_resources',
  'pg_silent', 'pg_pooler', 'pg_no_replication', 'pg_slot_in_use', 'pg_slot_missing', 'pg_slot_lost', 'pg_publication_missing',
]);

/** https://www.postgresql.org/docs/current/errcodes-appendix.html */
function bySqlState(state: string, attempt: Attempt): Known {
  const { user, database, relation } = attempt;
  switch (state) {
    case '28P01':
      return config('pg_auth_failed', `the password of user '${user}' was refused by ${server(attempt)}: correct password (or PGPASSWORD), and check the user's name`);
    case '28000':
      return config('pg_not_admitted', `${server(attempt)} does not admit user '${user}' to database '${database}' from here with sslmode=${attempt.sslmode}: check that the role exists and may log in, and that pg_hba.conf has a line for it`);
    case '3D000':
      return config('pg_no_database', `there is no database '${database}' on ${server(attempt)}: correct database`);
    case '42501':
      if (attempt.purpose === 'replication') return config('pg_no_replication', `user '${user}' may not replicate: ALTER ROLE ${quoted(user)} REPLICATION; (Amazon RDS: GRANT rds_replication TO ${quoted(user)};)`);
      return relation
        ? config('pg_no_privilege', `user '${user}' may not read ${table(attempt)}: GRANT USAGE ON SCHEMA ${quoted(relation.schema)} TO ${quoted(user)}; GRANT SELECT ON ${name(relation)} TO ${quoted(user)};`)
        : config('pg_database_access', `user '${user}' may not connect to database '${database}': GRANT CONNECT ON DATABASE ${quoted(database)} TO ${quoted(user)};`);
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
    case '53300':
      if (attempt.purpose === 'replication') return transient('pg_too_many_connections', `${server(attempt)} has no walsender or no connection left for user '${user}': raise max_wal_senders, or end sessions that are not needed`);
      return transient('pg_too_many_connections', `${server(attempt)} has no connection left for user '${user}'`);
    case '08P01':
      if (attempt.purpose === 'replication') return config('pg_pooler', `${server(attempt)} speaks no replication protocol: it looks like a connection pooler (PgBouncer or the like). With replication=cdc give host and port of PostgreSQL itself`);
      return transient('pg_connection_lost', `the connection to ${server(attempt)} broke`);
    case '57P01':
    case '57P02':
      return transient('pg_shutdown', `${server(attempt)} is shutting down, or ended our session`);
    case '57P03':
      return transient('pg_starting', `${server(attempt)} does not accept connections now: it is starting or recovering`);
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
    case '08':
      return transient('pg_connection_lost', `the connection to ${server(attempt)} broke`);
    case '28':
      return config('pg_not_admitted', `${server(attempt)} does not admit user '${user}'`);
    case '53':
      return transient('pg_resources', `${server(attempt)} is out of resources (disk, memory or connections)`);
    case '57':
      return transient('pg_shutdown', `${server(attempt)} ended our session`);
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
  return system('pg_unexpected', `the server refused ${relation ? `to read ${table(attempt)}` : 'a statement'}`);
}

// Node's own codes that look like a SQLSTATE.
const nodeCodes = new Set(['EPIPE', 'EPERM', 'EBADF']);
const untrusted = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT', 'SELF_SIGNED_CERT_IN_CHAIN', 'UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'UNABLE_TO_GET_ISSUER_CERT', 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'CERT_UNTRUSTED', 'CERT_SIGNATURE_FAILURE', 'CERT_CHAIN_TOO_LONG', 'INVALID_CA', 'CERT_REJECTED',
]);

function byDriverCode(code: string, attempt: Attempt): Known {
  if (untrusted.has(code)) return config('pg_tls_untrusted', `the certificate of ${server(attempt)} is signed by nobody we trust: set sslrootcert to the server's CA, or sslmode=require to do without the check`);
  switch (code) {
    case 'ENOTFOUND':
    case 'EAI_NONAME':
      return config('pg_unknown_host', `there is no host '${attempt.host}': correct host`);
    case 'EAI_AGAIN':
      return transient('pg_unknown_host', `the name '${attempt.host}' cannot be resolved now`);
    case 'ECONNREFUSED':
      return config('pg_refused', `nothing listens on ${server(attempt)}: check host and port, that PostgreSQL runs, and listen_addresses`);
    case 'ENOENT':
      return config('pg_refused', `there is no socket of PostgreSQL in ${attempt.host} for port ${attempt.port}: check host and port`);
    case 'ETIMEDOUT':
      return transient('pg_timeout', `no connection to ${server(attempt)} within connect_timeout: check host and port, and that a firewall lets us through`);
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
    case 'EADDRNOTAVAIL':
      return transient('pg_unreachable', `${server(attempt)} cannot be reached from here: check host, and the network`);
    case 'ECONNRESET':
    case 'EPIPE':
      return transient('pg_connection_lost', `the connection to ${server(attempt)} broke`);
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
    case 'HOSTNAME_MISMATCH':
      return config('pg_tls_untrusted', `the certificate of ${server(attempt)} is for another host name: correct host, or use sslmode=verify-ca`);
    case 'CERT_HAS_EXPIRED':
    case 'CERT_NOT_YET_VALID':
      return config('pg_tls_untrusted', `the certificate of ${server(attempt)} is not valid today`);
  }
  if (code.startsWith('ERR_TLS') || code.startsWith('ERR_SSL') || code.startsWith('ERR_OSSL') || code === 'EPROTO') {
    return config('pg_tls', `TLS with ${server(attempt)} failed: check sslmode and the certificates`);
  }
  return system('pg_unexpected', `talking to ${server(attempt)} failed`);
}

/** The code of an error, or of the first inside an AggregateError (a host with several addresses). */
function codeOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null) return undefined;
  if ('code' in error && typeof error.code === 'string') return error.code;
  if (error instanceof AggregateError) return error.errors.map(codeOf).find((code) => code !== undefined);
  return undefined;
}

const quoted = (text: string): string => `"${text.replaceAll('"', '""')}"`;
const name = (relation: { schema: string; name: string }): string => qualified(relation.schema, relation.name);
const server = ({ host, port }: Attempt): string => (host.startsWith('/') ? `${host}/.s.PGSQL.${port}` : `${host}:${port}`);
const table = ({ relation }: Attempt): string => (relation ? name(relation) : 'the catalog');
