/** The three kinds of the Airbyte protocol (`failure_type`). What each means for a retry: {@link ExitCode}. */
export type ErrorKind = 'config_error' | 'transient_error' | 'system_error';

export interface ConnectorErrorOptions {
  /** A stable, lower-case identifier, such as `pg_auth_failed`. Tests and policy match on it, never on the message. */
  readonly code?: string;
  readonly cause?: unknown;
  /** The stream that failed, when only one did. */
  readonly stream?: { readonly name: string; readonly namespace?: string | null | undefined };
  /** For people who debug: never shown to a user by default. Holds no row values and no secrets. */
  readonly internalMessage?: string;
}

/**
 * The one error type. `message` is for the user: what happened, in which stream or field, and what to do.
 * It holds no row values and no secrets.
 */
export class ConnectorError extends Error {
  readonly kind: ErrorKind;
  readonly code: string;
  readonly stream: ConnectorErrorOptions['stream'];
  readonly internalMessage: string | undefined;

  constructor(kind: ErrorKind, message: string, options: ConnectorErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'ConnectorError';
    this.kind = kind;
    this.code = options.code ?? kind;
    this.stream = options.stream;
    this.internalMessage = options.internalMessage;
  }
}

/** The user must act; never retried. */
export const configError = (message: string, options?: ConnectorErrorOptions): ConnectorError =>
  new ConnectorError('config_error', message, options);

/** May pass by itself; retried with backoff. */
export const transientError = (message: string, options?: ConnectorErrorOptions): ConnectorError =>
  new ConnectorError('transient_error', message, options);

/** A bug, or something nobody thought of; retried once at most. */
export const systemError = (message: string, options?: ConnectorErrorOptions): ConnectorError =>
  new ConnectorError('system_error', message, options);

/** The peer did not keep to the protocol. The runner ends with {@link ExitCode.protocol}. */
export const protocolError = (message: string, options?: ConnectorErrorOptions): ConnectorError =>
  new ConnectorError('system_error', message, { code: 'protocol', ...options });

/** Any thrown value as a {@link ConnectorError}: an unknown one is a `system_error` that keeps its cause. */
export function toConnectorError(error: unknown): ConnectorError {
  if (error instanceof ConnectorError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new ConnectorError('system_error', message, { cause: error, code: 'unexpected' });
}
