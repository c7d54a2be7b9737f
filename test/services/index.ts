export { startPostgres, type PostgresOptions, type PostgresServer } from './postgres.js';
export { createDatabase, databaseAt, type PostgresAccess, type TestDatabase } from './test-database.js';
export { openToAll, type PostgresVersion } from './postgres-binaries.js';
export type { Certificates } from './certificates.js';
export { createBucket, s3Client, startS3, type S3Access, type S3Server } from './s3.js';
export { freePort } from './free-port.js';
export { cacheDir, workspaceRoot } from './workspace.js';
