import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ListObjectsV2Command } from '@aws-sdk/client-s3';
import { freePort } from '@tapline/test/services';
import { testBucket, type TestBucket } from '@tapline/test/shared';
import { beforeAll, describe, expect, test } from 'vitest';
import { check } from './check.js';
import { config as schema, type Config } from './config.js';
import { errorAnswer, fakeS3, type Answer } from './fixtures/fake-s3.js';

let bucket: TestBucket;
let good: Partial<Config>;
beforeAll(async () => {
  bucket = await testBucket();
  good = {
    bucket: bucket.bucket, prefix: '/raw/', endpoint: bucket.endpoint, region: bucket.region, path_style: true,
    access_key_id: bucket.accessKey, secret_access_key: bucket.secretKey,
  };
});
const tried = (change: Partial<Config>): Promise<void> => check({ config: schema.parse({ ...good, ...change }) });

describe('check of a bucket', () => {
  test('succeeds, and leaves nothing behind', async () => {
    await tried({});
    await tried({ fencing: 'none' });
    const { KeyCount } = await bucket.client.send(new ListObjectsV2Command({ Bucket: bucket.bucket }));
    expect(KeyCount).toBe(0);
  });

  test.each<[string, Partial<Config>, string, RegExp]>([
    ['no such bucket', { bucket: 'not-there' }, 'no_such_bucket', /no bucket 'not-there'/],
    ['a wrong secret', { secret_access_key: 'wrong' }, 'bad_credentials', /secret_access_key/],
    ['an unknown key', { access_key_id: 'nobody' }, 'bad_credentials', /access_key_id/],
    ['a wrong region', { region: 'eu-west-9' }, 'wrong_region', /not in region 'eu-west-9'/],
    ['an unknown host', { endpoint: 'http://no-such-host.invalid' }, 'unknown_host', /endpoint/],
  ])('%s has its own message', async (_, change, code, message) => {
    await expect(tried(change)).rejects.toMatchObject({ kind: 'config_error', code, message: expect.stringMatching(message) });
  });

  test('nobody listens: unreachable, for the moment', async () => {
    await expect(tried({ endpoint: `http://127.0.0.1:${await freePort()}` })).rejects.toMatchObject({ kind: 'transient_error', code: 'unreachable' });
  });

  test('no credentials anywhere', async () => {
    const { endpoint, region } = bucket;
    const before = { ...process.env };
    Object.assign(process.env, { AWS_EC2_METADATA_DISABLED: 'true', AWS_CONFIG_FILE: '/nowhere', AWS_SHARED_CREDENTIALS_FILE: '/nowhere' });
    for (const name of ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_PROFILE']) delete process.env[name];
    try {
      await expect(check({ config: schema.parse({ bucket: 'b', endpoint, region, path_style: true }) })).rejects.toMatchObject({ kind: 'config_error', code: 'no_credentials' });
    } finally {
      process.env = before;
    }
  });

  test('credentials come from the environment, or from a profile, as for every AWS tool', async () => {
    const { access_key_id: _, secret_access_key: __, ...place } = good;
    const before = { ...process.env };
    const directory = await mkdtemp(join(tmpdir(), 'tapline-aws-'));
    try {
      process.env = { ...before, ...bucket.env };
      await check({ config: schema.parse(place) });
      const file = join(directory, 'credentials');
      await writeFile(file, `[lake]\naws_access_key_id = ${bucket.accessKey}\naws_secret_access_key = ${bucket.secretKey}\n`);
      process.env = { ...before, AWS_SHARED_CREDENTIALS_FILE: file, AWS_CONFIG_FILE: '/nowhere', AWS_EC2_METADATA_DISABLED: 'true' };
      await check({ config: schema.parse({ ...place, profile: 'lake' }) });
      await expect(check({ config: schema.parse({ ...place, profile: 'sea' }) })).rejects.toMatchObject({ code: 'no_credentials' });
    } finally {
      process.env = before;
      await rm(directory, { recursive: true });
    }
  });

  const ok: Answer = { status: 200, headers: { etag: '"the same"' } };
  const empty: Answer = { status: 200, body: '<?xml version="1.0"?><ListBucketResult><KeyCount>0</KeyCount></ListBucketResult>' };
  const copied: Answer = { status: 200, body: '<?xml version="1.0"?><CopyObjectResult><ETag>"x"</ETag></CopyObjectResult>' };
  const answers: [string, (method: string, headers: Record<string, unknown>) => Answer, string, string][] = [
    ['a store that ignores conditions', (_, headers) => ('x-amz-copy-source' in headers ? copied : ok), 'config_error', 'no_fencing'],
    ['a store that knows no conditions', (_, headers) => ('x-amz-copy-source' in headers ? copied : 'if-none-match' in headers ? errorAnswer(501, 'NotImplemented') : ok), 'config_error', 'no_fencing'],
    ['a role that may list, not write', () => errorAnswer(403, 'AccessDenied'), 'config_error', 'access_denied'],
    ['a clock that is wrong', () => errorAnswer(403, 'RequestTimeTooSkewed'), 'config_error', 'clock_skew'],
    ['credentials that have expired', () => errorAnswer(400, 'ExpiredToken'), 'config_error', 'expired_credentials'],
    ['a bucket elsewhere', () => errorAnswer(301, 'PermanentRedirect', { 'x-amz-bucket-region': 'eu-west-1' }), 'config_error', 'wrong_region'],
    ['a store that is full', () => errorAnswer(507, 'XMinioStorageFull'), 'config_error', 'store_full'],
    ['a store that is overloaded', () => errorAnswer(503, 'SlowDown'), 'transient_error', 'store_unavailable'],
  ];
  test.each(answers)('%s is told as that', async (_, put, kind, code) => {
    await using server = await fakeS3(({ method, headers }) => (method === 'GET' ? empty : method === 'DELETE' ? { status: 204 } : put(method!, headers)));
    await expect(tried({ endpoint: server.endpoint })).rejects.toMatchObject({ kind, code });
  });

  test('a bucket in another region says in which', async () => {
    await using server = await fakeS3(() => errorAnswer(301, 'PermanentRedirect', { 'x-amz-bucket-region': 'eu-west-1' }));
    await expect(tried({ endpoint: server.endpoint })).rejects.toThrow(/in 'eu-west-1'.*region: eu-west-1/);
  });

  test.each([['a page', { status: 200, body: '<html>hello' }], ['no page', { status: 404, body: '<html>not found' }]] as const)('%s of a web server is no store', async (_, answer) => {
    await using server = await fakeS3(() => answer);
    await expect(tried({ endpoint: server.endpoint })).rejects.toMatchObject({ kind: 'config_error' });
  });
});
