import type { HeadOutcome, NewHead, ObjectStore, StoredHead } from '@tapline/columnar';
import { copyMs, type S3Connection } from './s3-client.js';
import { isUncertain, nameOf, s3Error, statusOf } from './s3-errors.js';
import { probeConditionalWrites } from './s3-fencing.js';
import { uploadFile } from './s3-upload.js';

export interface S3StoreOptions {
  readonly connection: S3Connection;
  /** Without a slash at either end. */
  readonly prefix: string;
  readonly fencing: 'conditional' | 'none';
}

/** An {@link ObjectStore} in a bucket of S3, or of anything that answers like it. The SDK repeats what fails for a moment. */
export class S3Store implements ObjectStore {
  readonly location: string;
  readonly #connection: S3Connection;
  readonly #root: string;
  readonly #fencing: S3StoreOptions['fencing'];

  constructor({ connection, prefix, fencing }: S3StoreOptions) {
    this.#connection = connection;
    this.#root = prefix === '' ? '' : `${prefix}/`;
    this.#fencing = fencing;
    this.location = `s3://${connection.place.bucket}${prefix === '' ? '' : `/${prefix}`}`;
  }

  async readHead(folder: string): Promise<StoredHead | undefined> {
    return this.#get(headOf(folder), async (text, etag) => ({ text, version: etag }));
  }

  async replaceHead(folder: string, next: NewHead, version: string | undefined): Promise<HeadOutcome> {
    const { client, s3 } = this.#connection;
    if (this.#fencing === 'none' && (await this.readHead(folder))?.version !== version) return { replaced: false };
    const condition = this.#fencing === 'none' ? {} : version === undefined ? { IfNoneMatch: '*' } : { IfMatch: version };
    try {
      const { ETag } = await client.send(new s3.PutObjectCommand({ ...this.#object(headOf(folder)), Body: next.text, ContentType: json, ...condition }));
      return ETag === undefined ? { replaced: false } : { replaced: true, version: ETag };
    } catch (error) {
      const status = statusOf(error);
      const known = s3Error(error, this.#connection.place, 's3:PutObject', headOf(folder));
      // 404: a condition on a head that somebody deleted.
      if (status === 412 || status === 409 || (status === 404 && nameOf(error) !== 'NoSuchBucket') || isUncertain(error)) return { replaced: false, cause: known };
      throw known;
    }
  }

  async probeFencing(): Promise<void> {
    if (this.#fencing === 'conditional') await this.#try('s3:PutObject', undefined, () => probeConditionalWrites(this.#connection, `${this.#root}_tapline/`));
  }

  putFile(name: string, path: string, bytes: number): Promise<void> {
    return this.#try('s3:PutObject', name, () => uploadFile(this.#connection, this.#root + name, path, bytes));
  }

  putText(name: string, text: string): Promise<void> {
    const { client, s3 } = this.#connection;
    return this.#try('s3:PutObject', name, async () => {
      await client.send(new s3.PutObjectCommand({ ...this.#object(name), Body: text, ContentType: json }));
    });
  }

  getText(name: string): Promise<string | undefined> {
    return this.#get(name, async (text) => text);
  }

  async move(from: string, to: string): Promise<{ readonly done: Promise<void> } | 'absent'> {
    const { client, s3, place } = this.#connection;
    const source = `${place.bucket}/${this.#root}${from}`.split('/').map(encodeURIComponent).join('/');
    return this.#try('s3:PutObject', to, async () => {
      try {
        await client.send(new s3.CopyObjectCommand({ ...this.#object(to), CopySource: source }), { requestTimeout: copyMs });
      } catch (error) {
        if (statusOf(error) === 404 && nameOf(error) !== 'NoSuchBucket') return 'absent';
        throw error;
      }
      return { done: this.delete(from) };
    });
  }

  exists(name: string): Promise<boolean> {
    const { client, s3 } = this.#connection;
    return this.#try('s3:GetObject', name, async () => {
      try {
        await client.send(new s3.HeadObjectCommand(this.#object(name)));
        return true;
      } catch (error) {
        if (statusOf(error) === 404) return false;
        throw error;
      }
    });
  }

  delete(name: string): Promise<void> {
    const { client, s3 } = this.#connection;
    return this.#try('s3:DeleteObject', name, async () => {
      await client.send(new s3.DeleteObjectCommand(this.#object(name))).catch((error: unknown) => {
        if (statusOf(error) !== 404 || nameOf(error) === 'NoSuchBucket') throw error;
      });
    });
  }

  async *list(prefix: string): AsyncGenerator<string> {
    for await (const { Contents } of this.#pages(prefix)) {
      for (const { Key } of Contents ?? []) if (Key !== undefined) yield Key.slice(this.#root.length);
    }
  }

  async listFolders(prefix: string): Promise<string[]> {
    const folders: string[] = [];
    for await (const { CommonPrefixes } of this.#pages(prefix, '/')) {
      for (const { Prefix } of CommonPrefixes ?? []) if (Prefix !== undefined) folders.push(Prefix.slice(this.#root.length + prefix.length, -1));
    }
    return folders;
  }

  /** For tidiness only: a store or a role that cannot list uploads leaves them to a lifecycle rule. */
  async abortUploads(prefix: string, mayGo: (name: string) => boolean): Promise<void> {
    const { client, s3, place } = this.#connection;
    try {
      const { Uploads } = await client.send(new s3.ListMultipartUploadsCommand({ Bucket: place.bucket, Prefix: this.#root + prefix }));
      for (const { Key, UploadId } of Uploads ?? []) {
        if (Key === undefined || !mayGo(Key.slice(this.#root.length))) continue;
        await client.send(new s3.AbortMultipartUploadCommand({ Bucket: place.bucket, Key, UploadId }));
      }
    } catch {
      // See above.
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#connection.client.destroy();
  }

  #object = (name: string): { Bucket: string; Key: string } => ({ Bucket: this.#connection.place.bucket, Key: this.#root + name });

  async #get<T>(name: string, use: (text: string, etag: string) => Promise<T>): Promise<T | undefined> {
    const { client, s3 } = this.#connection;
    return this.#try('s3:GetObject', name, async () => {
      try {
        const { Body, ETag } = await client.send(new s3.GetObjectCommand(this.#object(name)));
        return await use((await Body?.transformToString()) ?? '', ETag ?? '');
      } catch (error) {
        if (statusOf(error) === 404 && nameOf(error) !== 'NoSuchBucket') return undefined;
        throw error;
      }
    });
  }

  async *#pages(prefix: string, delimiter?: string) {
    const { client, s3, place } = this.#connection;
    const request = { Bucket: place.bucket, Prefix: this.#root + prefix, ...(delimiter === undefined ? {} : { Delimiter: delimiter }) };
    try {
      yield* s3.paginateListObjectsV2({ client }, request);
    } catch (error) {
      throw s3Error(error, place, 's3:ListBucket');
    }
  }

  async #try<T>(action: string, name: string | undefined, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw s3Error(error, this.#connection.place, action, name);
    }
  }
}

const headOf = (folder: string): string => `${folder}head.json`;
const json = 'application/json';
