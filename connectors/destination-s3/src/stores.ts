import type { Config } from './config.js';
import { LocalStore } from './local-store.js';
import { connectS3, type ConnectOptions, type S3Connection } from './s3-client.js';
import { S3Store } from './s3-store.js';

export type OpenStore = { readonly local: LocalStore } | { readonly s3: S3Store; readonly connection: S3Connection; readonly prefix: string };

/** The store that a configuration names. Nothing is asked of it yet; what is missing to reach it (credentials) is told. */
export async function storeOf(config: Config, connect: ConnectOptions): Promise<OpenStore> {
  const { bucket, path, fencing } = config;
  if (bucket === undefined) return { local: new LocalStore({ path: path!, fencing }) };
  const prefix = (config.prefix ?? '').replace(/^\/+|\/+$/g, '');
  const connection = await connectS3({ ...config, bucket }, connect);
  return { s3: new S3Store({ connection, prefix, fencing }), connection, prefix };
}
