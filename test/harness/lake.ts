/** Where a test's rows arrive: a local folder or a prefix of a bucket, looked at from outside. */
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { DeleteObjectCommand, GetObjectCommand, ListObjectsV2Command, PutObjectCommand } from '@aws-sdk/client-s3';
import type { S3Server } from '../services/s3.js';
import { bucketAt, testBucket, type TestBucket } from '../services/shared.js';
import { readParquet, type Row, type Table } from './parquet.js';

export interface Lake {
  readonly kind: 'folder' | 'S3';
  /** As `--dest` takes it. */
  readonly uri: string;
  readonly env: Readonly<Record<string, string>>;
  /** Of a folder. */
  readonly path?: string;
  /** Names of all objects below it, in byte order. */
  keys(): Promise<string[]>;
  read(key: string): Promise<Buffer>;
  write(key: string, content: Buffer): Promise<void>;
  remove(key: string): Promise<void>;
  dispose(): Promise<void>;
}

export async function folderLake(): Promise<Lake & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), 'tapline-lake-'));
  return {
    kind: 'folder',
    uri: path,
    path,
    env: {},
    async keys() {
      const entries = await readdir(path, { recursive: true, withFileTypes: true });
      return sorted(entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name).slice(path.length + 1)));
    },
    read: (key) => readFile(join(path, key)),
    async write(key, content) {
      await mkdir(dirname(join(path, key)), { recursive: true });
      await writeFile(join(path, key), content);
    },
    remove: (key) => rm(join(path, key)),
    dispose: () => rm(path, { recursive: true, force: true }),
  };
}

export const bucketLake = async (prefix = 'raw/lake'): Promise<Lake> => lakeIn(await testBucket(), prefix);

/** In a store of the test's own, that it may kill. */
export async function bucketLakeAt(server: S3Server, prefix = 'raw/lake'): Promise<Lake> {
  return lakeIn(bucketAt(server, await server.createBucket()), prefix);
}

function lakeIn({ client, bucket, env, uri }: Pick<TestBucket, 'client' | 'bucket' | 'env' | 'uri'>, prefix: string): Lake {
  const keyOf = (key: string) => ({ Bucket: bucket, Key: `${prefix}/${key}` });
  return {
    kind: 'S3',
    uri: uri(prefix),
    env,
    async keys() {
      const keys: string[] = [];
      let token: string | undefined;
      do {
        const page = await client.send(new ListObjectsV2Command({ Bucket: bucket, Prefix: `${prefix}/`, ...(token ? { ContinuationToken: token } : {}) }));
        keys.push(...(page.Contents ?? []).map((object) => (object.Key ?? '').slice(prefix.length + 1)));
        token = page.NextContinuationToken;
      } while (token);
      return sorted(keys);
    },
    async read(key) {
      const object = await client.send(new GetObjectCommand(keyOf(key)));
      return Buffer.from(await object.Body!.transformToByteArray());
    },
    async write(key, content) {
      await client.send(new PutObjectCommand({ ...keyOf(key), Body: content }));
    },
    async remove(key) {
      await client.send(new DeleteObjectCommand(keyOf(key)));
    },
    async dispose() {
      client.destroy();
    },
  };
}

export const lakeOf = (kind: Lake['kind']): Promise<Lake> => (kind === 'folder' ? folderLake() : bucketLake());

const sorted = (keys: string[]): string[] => keys.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));

/** The folder of a stream, from contract: a segment is encodeURIComponent(name). */
export const folderOf = (namespace: string, name: string): string => `${encodeURIComponent(namespace)}/${encodeURIComponent(name)}/`;

/** What a reader's glob `**` + `/*.parquet` finds, of one stream or of all. */
export async function parquetKeys(lake: Lake, folder = ''): Promise<string[]> {
  return (await lake.keys()).filter((key) => key.startsWith(folder) && key.endsWith('.parquet'));
}

/** All rows of a stream as its files hold them, files in the order of their names. */
export async function readStream(lake: Lake, namespace: string, name: string): Promise<Table> {
  let rows: Row[] = [];
  let columns: Record<string, string> = {};
  for (const key of await parquetKeys(lake, folderOf(namespace, name))) {
    const table = await readParquet(await lake.read(key));
    columns = { ...columns, ...table.columns };
    rows = rows.concat(table.rows);
  }
  return { columns, rows };
}

export const rowsOf = async (lake: Lake, namespace: string, name: string): Promise<Row[]> => (await readStream(lake, namespace, name)).rows;
