import { createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { GetObjectCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import { createBucket, s3Client, startS3, type S3Access } from '../services/index.js';
import { serverCpu } from './proc.js';

/** A bucket of this run's own, in a real server beside it or the one that S3_ENDPOINT names. */
export interface BenchBucket extends AsyncDisposable {
  readonly access: S3Access;
  readonly name: string;
  /** As `--dest` takes it. */
  uri(prefix: string): string;
  /** What finds the server and may write there. */
  readonly env: Readonly<Record<string, string>>;
  /** CPU that the server has spent so far, in seconds; 0 where it is not ours. */
  cpu(): number;
  /** Brings the Parquet files below a prefix into a folder. */
  download(prefix: string, dir: string): Promise<void>;
}

export async function startBenchBucket(): Promise<BenchBucket> {
  // What is measured runs on the oldest Node that we support; the SDK need not say so between the tables.
  process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';
  const { access, cpu, stop } = await server();
  const name = await createBucket(access);
  return {
    access, name, cpu,
    uri: (prefix) => `s3://${name}/${prefix}?${new URLSearchParams({ endpoint: access.endpoint, region: access.region, path_style: 'true' }).toString()}`,
    env: { S3_ENDPOINT: access.endpoint, AWS_REGION: access.region, AWS_ACCESS_KEY_ID: access.accessKey, AWS_SECRET_ACCESS_KEY: access.secretKey },
    async download(prefix, dir) {
      await mkdir(dir, { recursive: true });
      const client = s3Client(access);
      try {
        for (let token: string | undefined, more = true; more; more = token !== undefined) {
          const page = await client.send(new ListObjectsV2Command({ Bucket: name, Prefix: `${prefix}/`, ContinuationToken: token }));
          for (const { Key = '' } of page.Contents ?? []) {
            if (!Key.endsWith('.parquet')) continue;
            const { Body } = await client.send(new GetObjectCommand({ Bucket: name, Key }));
            await pipeline(Body as Readable, createWriteStream(join(dir, basename(Key))));
          }
          token = page.NextContinuationToken;
        }
      } finally {
        client.destroy();
      }
    },
    [Symbol.asyncDispose]: stop,
  };
}

async function server(): Promise<{ access: S3Access; cpu: () => number; stop: () => Promise<void> }> {
  const { S3_ENDPOINT: endpoint, S3_ACCESS_KEY: accessKey = '', S3_SECRET_KEY: secretKey = '', S3_REGION: region = 'us-east-1' } = process.env;
  if (endpoint) return { access: { endpoint, accessKey, secretKey, region }, cpu: () => 0, stop: async () => {} };
  const started = await startS3();
  return { access: started, cpu: () => serverCpu(started.pid), stop: () => started.stop() };
}
