/** The SDK takes 0.3 s to load: only what is about a bucket loads it. */
import type { S3Client } from '@aws-sdk/client-s3';
import type { Config } from './config.js';
import { s3Error, type S3Place } from './s3-errors.js';

export type S3Module = typeof import('@aws-sdk/client-s3');

export interface S3Connection {
  readonly s3: S3Module;
  readonly client: S3Client;
  readonly place: S3Place;
}

export interface ConnectOptions {
  /** Of each request, the first one included. */
  readonly attempts: number;
  readonly connectMs: number;
  /** The longest a request may wait for its answer, but for a copy. Default: a minute. */
  readonly requestMs?: number;
}

/** Finds region and credentials the way every AWS tool does, so that what is missing is told before the first request. */
export async function connectS3(config: Config & { readonly bucket: string }, { attempts, connectMs, requestMs = 60_000 }: ConnectOptions): Promise<S3Connection> {
  // It would print a notice about its own future on every run.
  process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';
  const s3 = await import('@aws-sdk/client-s3');
  const { access_key_id: accessKeyId, secret_access_key: secretAccessKey, session_token: sessionToken, profile, endpoint, path_style, bucket } = config;
  const settings = {
    ...(profile === undefined ? {} : { profile }),
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(path_style === undefined ? {} : { forcePathStyle: path_style }),
    ...(accessKeyId !== undefined && secretAccessKey !== undefined
      ? { credentials: { accessKeyId, secretAccessKey, ...(sessionToken === undefined ? {} : { sessionToken }) } }
      : {}),
    maxAttempts: attempts,
    retryMode: 'standard',
    // The checksums that the SDK adds by default are refused by many stores other than AWS.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: { connectionTimeout: connectMs, requestTimeout: requestMs, socketTimeout: requestMs, throwOnRequestTimeout: true },
  } as const;
  let client = new s3.S3Client({ ...settings, ...(config.region === undefined ? {} : { region: config.region }) });
  let region = config.region;
  try {
    region ??= await client.config.region();
  } catch {
    // Said nowhere. A bucket elsewhere answers with the region it is in.
    region = 'us-east-1';
    client.destroy();
    client = new s3.S3Client({ ...settings, region });
  }
  const place: S3Place = { bucket, endpoint, region };
  try {
    await client.config.credentials();
  } catch (error) {
    client.destroy();
    throw s3Error(error, place, 'credentials');
  }
  return { s3, client, place };
}

/** A store may copy 512 MB byte by byte. */
export const copyMs = 600_000;
