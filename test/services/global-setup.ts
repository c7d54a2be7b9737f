import type { TestProject } from 'vitest/node';
import { startPostgres, type PostgresServer } from './postgres.js';
import type { PostgresVersion } from './postgres-binaries.js';
import { startS3, type S3Access, type S3Server } from './s3.js';
import type {} from './shared.js';

const { env } = process;

/** Starts the servers that all tests share, once a run; a server that the environment names wins. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const started: (PostgresServer | S3Server)[] = [];
  const postgres = async (version: PostgresVersion, given: string | undefined): Promise<string> => {
    if (given) return given;
    const server = await startPostgres({ version });
    started.push(server);
    return server.url;
  };
  const s3 = async (): Promise<S3Access> => {
    const given = s3FromEnvironment();
    if (given) return given;
    const { endpoint, accessKey, secretKey, region, ...server } = await startS3();
    started.push({ endpoint, accessKey, secretKey, region, ...server } as S3Server);
    return { endpoint, accessKey, secretKey, region };
  };
  const stopAll = async () => {
    await Promise.all(started.map((server) => server.stop()));
  };
  const outcome = await Promise.allSettled([postgres(14, env['PG14_URL']), postgres(18, env['PG_URL']), s3()]);
  const failed = outcome.find((one) => one.status === 'rejected');
  const [postgres14, postgres18, store] = outcome;
  if (failed || postgres14.status === 'rejected' || postgres18.status === 'rejected' || store.status === 'rejected') {
    await stopAll();
    throw (failed as PromiseRejectedResult).reason;
  }
  project.provide('servers', { postgres14: postgres14.value, postgres18: postgres18.value, s3: store.value });
  return stopAll;
}

function s3FromEnvironment(): S3Access | undefined {
  const endpoint = env['S3_ENDPOINT'];
  if (!endpoint) return undefined;
  const accessKey = env['S3_ACCESS_KEY'] ?? env['AWS_ACCESS_KEY_ID'];
  const secretKey = env['S3_SECRET_KEY'] ?? env['AWS_SECRET_ACCESS_KEY'];
  if (!accessKey || !secretKey) throw new Error('S3_ENDPOINT is set: set S3_ACCESS_KEY and S3_SECRET_KEY (or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY) too');
  return { endpoint, accessKey, secretKey, region: env['S3_REGION'] ?? env['AWS_REGION'] ?? 'us-east-1' };
}
