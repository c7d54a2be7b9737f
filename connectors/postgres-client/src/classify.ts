/** From what the driver, the socket or the server said to what a user can do about it. By codes only, never by the text of a message. */
import { configError, ConnectorError, systemError, toConnectorError, transientError, type StreamDescriptor } from '@tapline/protocol';
import { identifier } from './sql.js';

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
  /** The stream whose error it is. */
  readonly stream?: StreamDescriptor;
  /** What went on, as a clause: `"public"."orders" was read`. */
  readonly meanwhile?: string;
}

export interface Known {
  readonly kind: 'config_error' | 'transient_error' | 'system_error';
  readonly code: string;
  readonly message: string;
}
export const config = (code: string, message: string): Known => ({ kind: 'config_error', code, message });
export const transient = (code: string, message: string): Known => ({ kind: 'transient_error', code, message });
export const system = (code: string, message: string): Known => ({ kind: 'system_error', code, message });

/**
 * Always a {@link ConnectorError}; one of ours stays as it is. `bySqlState` knows what the statement was about, and is asked first;
 * what it leaves is an error of the connection, or one that nobody thought of.
 */
export function classify(error: unknown, attempt: Attempt, bySqlState: (state: string) => Known | undefined = () => undefined): ConnectorError {
  if (error instanceof ConnectorError) return error;
  const code = codeOf(error);
  const options = { cause: error, ...(attempt.stream && { stream: attempt.stream }) };
  if (code === undefined) {
    // The driver gives no code where the connection ended under it, and takes a bare Error then: any other class is a bug of ours.
    if (attempt.alive || (error instanceof Error && Object.getPrototypeOf(error) !== Error.prototype)) return toConnectorError(error);
    return transientError(`${server(attempt)} closed the connection${attempt.meanwhile ? ` while ${attempt.meanwhile}` : ''}`, { ...options, code: 'pg_connection_lost' });
  }
  const isState = /^[0-9A-Z]{5}$/.test(code);
  const known = isState && !nodeCodes.has(code) ? (bySqlState(code) ?? byConnectionState(code, attempt)) : byDriverCode(code, attempt);
  const make = { config_error: configError, transient_error: transientError, system_error: systemError }[known.kind];
  return make(`${known.message}${isState ? ` (SQLSTATE ${code})` : ` (${code})`}`, { ...options, code: known.code });
}

/** Codes of errors that are the connection's: whatever else would be asked of it would fail as well. */
export const connectionCodes: ReadonlySet<string> = new Set([
  'pg_connection_lost', 'pg_unreachable', 'pg_unknown_host', 'pg_refused', 'pg_timeout', 'pg_tls', 'pg_tls_untrusted', 'pg_tls_not_offered', 'pg_auth_failed',
  'pg_not_admitted', 'pg_no_database', 'pg_shutdown', 'pg_starting', 'pg_too_many_connections', 'pg_no_password', 'pg_no_user', 'pg_database_access', 'pg_resources',
  'pg_pooler', 'pg_no_replication',
]);

/** https://www.postgresql.org/docs/current/errcodes-appendix.html */
function byConnectionState(state: string, attempt: Attempt): Known {
  const { user, database } = attempt;
  switch (state) {
    case '28P01':
      return config('pg_auth_failed', `the password of user '${user}' was refused by ${server(attempt)}: correct password (or PGPASSWORD), and check the user's name`);
    case '28000':
      return config('pg_not_admitted', `${server(attempt)} does not admit user '${user}' to database '${database}' from here with sslmode=${attempt.sslmode}: check that the role exists and may log in, and that pg_hba.conf has a line for it`);
    case '3D000':
      return config('pg_no_database', `there is no database '${database}' on ${server(attempt)}: correct database`);
    case '42501':
      return attempt.purpose === 'replication'
        ? config('pg_no_replication', `user '${user}' may not replicate: ALTER ROLE ${identifier(user)} REPLICATION; (Amazon RDS: GRANT rds_replication TO ${identifier(user)};)`)
        : config('pg_database_access', `user '${user}' may not connect to database '${database}': GRANT CONNECT ON DATABASE ${identifier(database)} TO ${identifier(user)};`);
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
  }
  return system('pg_unexpected', 'the server refused a statement');
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
const server = ({ host, port }: Attempt): string => (host.startsWith('/') ? `${host}/.s.PGSQL.${port}` : `${host}:${port}`);
