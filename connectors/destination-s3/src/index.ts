export { config, type Config } from './config.js';
export { destination } from './destination.js';
export { LocalStore, type LocalStoreOptions } from './local-store.js';
export { connectS3, type ConnectOptions, type S3Connection } from './s3-client.js';
export { S3Store, type S3StoreOptions } from './s3-store.js';
