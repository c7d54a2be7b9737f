/** The tool `digest`: see protocol/SPEC.md, "Digests". */
import { randomUUID } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { digestLake, type LocalCopy } from '@tapline/columnar';
import { systemError } from '@tapline/protocol';
import type { ToolContext } from '@tapline/sdk';
import type { Config } from '../config.js';
import { localError } from '../local-errors.js';
import type { LocalStore } from '../local-store.js';
import { nameOf, s3Error, statusOf } from '../s3-errors.js';
import { storeOf, type OpenStore } from '../stores.js';

export async function* digest({ config, catalog, session, requests }: ToolContext<Config>): AsyncGenerator<object, void, undefined> {
  if (!catalog) throw systemError('digest needs --catalog');
  const open = await storeOf(config, { attempts: 6, connectMs: 10_000 });
  const store = 'local' in open ? open.local : open.s3;
  const folder = session?.scratch ?? tmpdir();
  await mkdir(folder, { recursive: true });
  const scratch = await mkdtemp(join(folder, 'digest-'));
  try {
    const fetch = 'local' in open ? (name: string) => inPlace(open.local, name) : (name: string) => download(open, name, scratch);
    yield* digestLake({ store, sync: session?.sync ?? config.sync_name, catalog, scratch, fetch }, requests);
  } finally {
    await store[Symbol.asyncDispose]();
    await rm(scratch, { recursive: true, force: true });
  }
}

async function inPlace(store: LocalStore, name: string): Promise<LocalCopy | undefined> {
  const path = store.pathOf(name);
  const there = await stat(path).then(() => true, () => false);
  return there ? { path, async [Symbol.asyncDispose]() {} } : undefined;
}

/** One object into a file that goes when it is let go. */
async function download({ connection, prefix }: Extract<OpenStore, { readonly s3: unknown }>, name: string, folder: string): Promise<LocalCopy | undefined> {
  const { client, s3, place } = connection;
  const path = join(folder, `${randomUUID()}.parquet`);
  let body: Readable;
  try {
    const answer = await client.send(new s3.GetObjectCommand({ Bucket: place.bucket, Key: prefix === '' ? name : `${prefix}/${name}` }));
    body = answer.Body as Readable;
  } catch (error) {
    if (statusOf(error) === 404 && nameOf(error) !== 'NoSuchBucket') return undefined;
    throw s3Error(error, place, 's3:GetObject', name);
  }
  const copy: LocalCopy = { path, [Symbol.asyncDispose]: () => rm(path, { force: true }) };
  try {
    let failed: unknown;
    body.on('error', (error) => (failed = error));
    await pipeline(body, createWriteStream(path)).catch((error: unknown) => {
      throw failed === undefined ? localError(error, 'write to', path) : s3Error(error, place, 's3:GetObject', name);
    });
    return copy;
  } catch (error) {
    await copy[Symbol.asyncDispose]();
    throw error;
  }
}
