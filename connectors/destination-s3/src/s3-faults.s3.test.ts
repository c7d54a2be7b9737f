import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CreateMultipartUploadCommand, GetObjectCommand, ListMultipartUploadsCommand } from '@aws-sdk/client-s3';
import { parseHead, syncFolder } from '@tapline/columnar';
import { testBucket, type TestBucket } from '@tapline/test/shared';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { flakyProxy, type FlakyProxy } from './fixtures/flaky-proxy.js';
import { rowsIn, storeFor, Writer, type StoreConfig, type WriterOptions } from './fixtures/writer.js';

const orders = { namespace: 'public', name: 'orders' };
const putHead = /^PUT \S+\/head\.json/;
const folder = syncFolder('shop-to-lake');

let bucket: TestBucket;
let place: StoreConfig;
beforeEach(async () => {
  bucket = await testBucket();
  place = {
    bucket: bucket.bucket, prefix: 'raw', endpoint: bucket.endpoint, region: bucket.region, path_style: true,
    access_key_id: bucket.accessKey, secret_access_key: bucket.secretKey,
  };
});

async function behindProxy(connect: WriterOptions['connect'] = {}): Promise<{ proxy: FlakyProxy; writer: Writer }> {
  const proxy = await flakyProxy(bucket.endpoint);
  const writer = await Writer.make({ place: { ...place, endpoint: proxy.endpoint }, connect });
  onTestFinished(async () => {
    await writer[Symbol.asyncDispose]();
    await proxy[Symbol.asyncDispose]();
  });
  return { proxy, writer };
}

async function headNow() {
  await using store = await storeFor(place);
  return parseHead((await store.readHead(folder))!.text, store.location);
}

async function seen(): Promise<string[]> {
  await using store = await storeFor(place);
  return await rowsIn(store);
}

describe('a lost answer', () => {
  test.each([
    ['and the repetition of the SDK, which is refused (412): it counted', { attempts: 3 }, 'lose_answer', 1],
    ['without a repetition: it counted', { attempts: 1 }, 'lose_answer', 1],
    ['several times over: it counted', { attempts: 1 }, 'lose_answer', 2],
    ['on a connection that stays open, until the time-out: it counted', { attempts: 1, requestMs: 300 }, 'hang', 1],
    ['because the request was lost: it is sent again, and counts once', { attempts: 1 }, 'lose_request', 2],
  ] as const)('to the commit, %s', async (_, connect, fault, times) => {
    const { proxy, writer } = await behindProxy(connect);
    await writer.open();
    await writer.stage(orders, ['o1']);
    proxy.break(putHead, fault, { times });
    await writer.commit({ stateId: 1 });
    expect(proxy.broken).toBeGreaterThan(0);
    await writer.sink.publish();
    await writer.write(orders, ['o2'], { stateId: 2 });
    expect(await headNow()).toMatchObject({ epoch: 1, seq: 2, state_id: 2 });
    expect(await seen()).toEqual(['o1', 'o2']);
  });

  test('to the creation of the head does not make two of it', async () => {
    const { proxy, writer } = await behindProxy();
    proxy.break(putHead, 'lose_answer');
    expect(await writer.open()).toEqual({ epoch: 1, checkpoint: null, seq: 0 });
    expect(proxy.broken).toBe(1);
    await writer.write(orders, ['o1'], { stateId: 1 });
    expect(await seen()).toEqual(['o1']);
  });

  test('to a commit that another writer has taken over meanwhile: it counted, and the next one is fenced', async () => {
    const { proxy, writer } = await behindProxy();
    await writer.open();
    await writer.stage(orders, ['o1']);
    const other = await Writer.make({ place });
    proxy.break(putHead, 'lose_answer', { meanwhile: async () => void (await other.open()) });
    await writer.commit({ stateId: 1 });
    await expect(writer.sink.publish()).rejects.toMatchObject({ kind: 'transient_error', code: 'fenced' });
    await expect(writer.commit({ stateId: 2 })).rejects.toMatchObject({ code: 'fenced' });
    await other.write(orders, ['o2'], { stateId: 2 });
    await other[Symbol.asyncDispose]();
    expect(await seen()).toEqual(['o1', 'o2']);
  });

  test('to a copy or a deletion in publish doubles nothing', async () => {
    const { proxy, writer } = await behindProxy({ attempts: 1 });
    await writer.open();
    await writer.stage(orders, ['o1']);
    await writer.commit({ stateId: 1 });
    proxy.break(/^(PUT \S+\.parquet|DELETE )/, 'lose_answer');
    await expect(writer.sink.publish()).rejects.toMatchObject({ kind: 'transient_error' });
    proxy.break(/^DELETE /, 'lose_answer');
    await expect(writer.sink.publish()).rejects.toMatchObject({ kind: 'transient_error' });
    await writer.sink.publish();
    expect(await seen()).toEqual(['o1']);
  });

  test('to every attempt ends in a transient_error, and the next writer learns that it counted', async () => {
    const { proxy, writer } = await behindProxy({ attempts: 1 });
    await writer.open();
    await writer.stage(orders, ['o1']);
    proxy.break(/head\.json/, 'lose_answer', { times: 1000 });
    await expect(writer.commit({ stateId: 1 })).rejects.toMatchObject({ kind: 'transient_error', code: 'unreachable' });
    const other = await Writer.make({ place });
    expect((await other.open()).checkpoint?.state_id).toBe(1);
    await other[Symbol.asyncDispose]();
    expect(await seen()).toEqual(['o1']);
  });
});

test('a head that somebody deleted stops the writer with what to do', async () => {
  const writer = await Writer.make({ place });
  await writer.open();
  await using store = await storeFor(place);
  await store.delete(`${folder}head.json`);
  await expect(writer.commit({ stateId: 1 })).rejects.toMatchObject({ kind: 'config_error', code: 'head_deleted' });
  await writer[Symbol.asyncDispose]();
});

test('a large file goes up in parts, whole, and repeats a part whose answer was lost', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'tapline-large-'));
  const content = randomBytes(25_000_000);
  await writeFile(join(directory, 'large'), content);
  await using proxy = await flakyProxy(bucket.endpoint);
  await using store = await storeFor({ ...place, endpoint: proxy.endpoint });
  proxy.break(/^PUT \S+partNumber=2/, 'lose_answer');
  await store.putFile('large.staged', join(directory, 'large'), content.length);
  expect(proxy.broken).toBe(1);
  proxy.break(/^POST \S+uploadId=/, 'lose_answer');
  await store.putFile('again.staged', join(directory, 'large'), content.length);
  await rm(directory, { recursive: true });
  for (const Key of ['raw/large.staged', 'raw/again.staged']) {
    const { Body } = await bucket.client.send(new GetObjectCommand({ Bucket: bucket.bucket, Key }));
    const hash = createHash('sha256').update((await Body?.transformToByteArray()) ?? '').digest('hex');
    expect(hash).toBe(createHash('sha256').update(content).digest('hex'));
  }
});

test('uploads that a dead writer never finished are ended by the next one', async () => {
  const first = await Writer.make({ place });
  await first.open();
  await first[Symbol.asyncDispose]();
  for (const Key of [`raw/${folder}staged/1/dead.staged`, 'raw/of somebody else']) {
    await bucket.client.send(new CreateMultipartUploadCommand({ Bucket: bucket.bucket, Key }));
  }
  const second = await Writer.make({ place });
  await second.open();
  await second[Symbol.asyncDispose]();
  const { Uploads } = await bucket.client.send(new ListMultipartUploadsCommand({ Bucket: bucket.bucket }));
  expect(Uploads?.map(({ Key }) => Key)).toEqual(['raw/of somebody else']);
});

test('without fencing a store works too, and still tells when another writer took over', async () => {
  const unfenced: StoreConfig = { ...place, fencing: 'none' };
  const first = await Writer.make({ place: unfenced });
  await first.open();
  await first.write(orders, ['o1'], { stateId: 1 });
  const second = await Writer.make({ place: unfenced });
  await second.open();
  await expect(first.commit({ stateId: 2 })).rejects.toMatchObject({ code: 'fenced' });
  await second.write(orders, ['o2'], { stateId: 2 });
  expect(await seen()).toEqual(['o1', 'o2']);
  for (const writer of [first, second]) await writer[Symbol.asyncDispose]();
});
