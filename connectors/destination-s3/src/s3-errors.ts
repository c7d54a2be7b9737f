/** What a failed S3 request means to the user. Told apart by error name, status and system code, never by text. */
import { ConnectorError, type ErrorKind } from '@tapline/protocol';

export interface S3Place {
  readonly bucket: string;
  readonly endpoint: string | undefined;
  readonly region: string | undefined;
}

export const statusOf = (error: unknown): number | undefined => (error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode;
export const nameOf = (error: unknown): string => (error instanceof Error ? error.name : '');

/** No answer, or one that says nothing about whether the request was carried out. */
export function isUncertain(error: unknown): boolean {
  const status = statusOf(error);
  if (status !== undefined && status >= 500 && status !== 501) return true;
  return transientNames.has(nameOf(error)) || unreachable.has(codeOf(error));
}

const transientNames = new Set([
  'SlowDown', 'ServiceUnavailable', 'InternalError', 'InternalServerError', 'RequestTimeout', 'RequestTimeoutException', 'TimeoutError', 'Throttling',
  'ThrottlingException', 'TooManyRequestsException', 'RequestLimitExceeded', 'BandwidthLimitExceeded', 'OperationAborted', 'AbortError',
]);
const unreachable = new Set(['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH', 'EAI_AGAIN', 'EADDRNOTAVAIL', 'UND_ERR_SOCKET', 'ERR_SOCKET_CLOSED']);
const untrusted = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT', 'SELF_SIGNED_CERT_IN_CHAIN', 'UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY', 'CERT_HAS_EXPIRED',
  'CERT_NOT_YET_VALID', 'ERR_TLS_CERT_ALTNAME_INVALID', 'EPROTO', 'ERR_SSL_WRONG_VERSION_NUMBER',
]);
const badCredentials = new Set([
  'InvalidAccessKeyId', 'SignatureDoesNotMatch', 'InvalidToken', 'InvalidSecurity', 'UnrecognizedClientException', 'InvalidClientTokenId', 'NotSignedUp',
  'XAdminUserNotFound', 'XMinioAdminNoSuchUser',
]);
const wrongRegion = new Set(['PermanentRedirect', 'AuthorizationHeaderMalformed', 'IllegalLocationConstraintException', 'TemporaryRedirect', 'Redirect']);
const full = new Set(['QuotaExceeded', 'XMinioAdminBucketQuotaExceeded', 'XMinioStorageFull', 'InsufficientStorage', 'EntityTooLarge']);

/** `action` names the right that the request needs: `s3:PutObject`. */
export function s3Error(error: unknown, place: S3Place, action: string, object?: string): ConnectorError {
  if (error instanceof ConnectorError) return error;
  const where = place.endpoint ?? `S3 in ${place.region ?? 'the default region'}`;
  const what = object === undefined ? `bucket '${place.bucket}'` : `'${object}' in bucket '${place.bucket}'`;
  const name = nameOf(error);
  const status = statusOf(error);
  const code = codeOf(error);
  const say = (kind: ErrorKind, errorCode: string, message: string) =>
    new ConnectorError(kind, message, { code: errorCode, cause: error, internalMessage: `${action}: ${name} ${status ?? code}: ${error instanceof Error ? error.message : ''}` });

  if (name === 'NoSuchBucket' || name === 'InvalidBucketName') {
    return say('config_error', 'no_such_bucket', `there is no bucket '${place.bucket}' at ${where}. Create it, or check its name, the region and the endpoint`);
  }
  if (badCredentials.has(name)) return say('config_error', 'bad_credentials', `${where} does not accept these credentials (${name}). Check access_key_id and secret_access_key, or the profile or role in use`);
  if (name === 'ExpiredToken' || name === 'ExpiredTokenException' || name === 'TokenRefreshRequired') {
    return say('config_error', 'expired_credentials', `the temporary credentials for ${where} have expired. Get new ones (aws sso login, or a new session_token)`);
  }
  if (name === 'CredentialsProviderError' || name === 'TokenProviderError') {
    return say('config_error', 'no_credentials', `no credentials for ${where} were found. Set access_key_id and secret_access_key, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or run where a role is attached`);
  }
  if (name === 'RequestTimeTooSkewed' || name === 'RequestExpired') return say('config_error', 'clock_skew', `the clock of this machine differs too much from that of ${where}. Set it right (NTP)`);
  const region = regionIn(error);
  if (wrongRegion.has(name) || status === 301 || status === 307) {
    return say('config_error', 'wrong_region', `bucket '${place.bucket}' is not in region '${place.region ?? ''}'${region ? ` but in '${region}'` : ''}. Set region${region ? `: ${region}` : ', or the endpoint that serves it'}`);
  }
  if (full.has(name) || status === 507) return say('config_error', 'store_full', `${where} takes no more data (${name}): raise the quota or free some space`);
  if (name === 'KeyTooLongError') return say('config_error', 'name_too_long', `the name ${what} is longer than the store allows: shorten prefix, namespace or stream`);
  if (untrusted.has(code)) {
    return say('config_error', 'tls', `no trusted connection to ${where} (${code}). Check http or https in endpoint; for a certificate of your own set NODE_EXTRA_CA_CERTS`);
  }
  if (code === 'ENOTFOUND') {
    return say('config_error', 'unknown_host', `the host of ${where} is not known${place.endpoint ? ". Check the endpoint; many stores need path_style: true (else the bucket's name becomes part of the host)" : ': check region and network'}`);
  }
  if (unreachable.has(code) || name === 'TimeoutError') return say('transient_error', 'unreachable', `${where} cannot be reached (${code || name}). Check endpoint, network and proxy`);
  if (isUncertain(error)) return say('transient_error', 'store_unavailable', `${where} could not serve a request for ${what} (${name} ${status ?? ''})`);
  if (name === 'NotImplemented' || status === 501 || status === 405) return say('config_error', 'not_supported', `${where} does not support a request that is needed (${action})`);
  if (name === 'AccessDenied' || status === 403) {
    return say('config_error', 'access_denied', `${where} denies ${action} on ${what}. Give the user or role that right (the README of destination-s3 has the whole policy)`);
  }
  if (status === 401) return say('config_error', 'bad_credentials', `${where} does not accept these credentials. Check access_key_id and secret_access_key`);
  if (error instanceof SyntaxError || (status !== undefined && status < 300)) return say('config_error', 'not_s3', `what answers at ${where} does not speak S3. Check the endpoint`);
  if (status === 404) return say('config_error', 'no_such_bucket', `${where} knows nothing of ${what}. Check endpoint, path_style and bucket`);
  return say('system_error', 's3_failed', `${where} refused ${action} on ${what}: ${name || String(status)}`);
}

const codeOf = (error: unknown): string => {
  const code = (error as { code?: unknown } | undefined)?.code;
  return typeof code === 'string' ? code : '';
};

function regionIn(error: unknown): string | undefined {
  const { Region, $response } = error as { Region?: unknown; $response?: { headers?: Record<string, string> } };
  return typeof Region === 'string' ? Region : $response?.headers?.['x-amz-bucket-region'];
}

