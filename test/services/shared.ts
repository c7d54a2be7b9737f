import { inject } from 'vitest';
import { createDatabase, type PostgresAccess, type TestDatabase } from './test-database.js';
import type { PostgresVersion } from './postgres-binaries.js';
import { createBucket, s3Client, type S3Access } from './s3.js';
import type { S3Client } from '@aws-sdk/client-s3';

/** The servers that one run of the tests shares; see global-setup.ts. */
export interface SharedServers {
  readonly postgres14: string;
  readonly postgres18: string;
  readonly s3: S3Access;
}

declare module 'vitest' {
  interface ProvidedContext {
    servers: SharedServers;
  }
}

/** A database of this test's own in the shared server of that version. */
export async function testDatabase(version: PostgresVersion = 18): Promise<TestDatabase> {
  return createDatabase(postgresAt(inject('servers')[`postgres${version}`]));
}

export interface TestBucket extends S3Access {
  readonly bucket: string;
  readonly client: S3Client;
  /** For the process of a connector: AWS_ACCESS_KEY_ID and its like. */
  readonly env: Record<string, string>;
  /** As `--dest` takes it. */
  uri(prefix?: string): string;
}

/** A bucket of this test's own in the shared store. */
export async function testBucket(): Promise<TestBucket> {
  const access = inject('servers').s3;
  return bucketAt(access, await createBucket(access));
}

export function bucketAt({ endpoint, accessKey, secretKey, region }: S3Access, bucket: string): TestBucket {
  const access = { endpoint, accessKey, secretKey, region };
  const query = new URLSearchParams({ endpoint, region, path_style: 'true' });
  return {
    ...access,
    bucket,
    client: s3Client(access),
    env: { AWS_ACCESS_KEY_ID: accessKey, AWS_SECRET_ACCESS_KEY: secretKey, AWS_REGION: region },
    uri: (prefix = '') => `s3://${bucket}/${prefix}?${query.toString()}`,
  };
}

/** The address parts of a server that the environment or the set-up named by URL. */
export function postgresAt(url: string): PostgresAccess {
  const parsed = new URL(url);
  return {
    host: parsed.hostname,
    port: Number(parsed.port || 5432),
    user: decodeURIComponent(parsed.username),
    password: decodeURIComponent(parsed.password),
  };
}
