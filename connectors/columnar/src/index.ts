export * from './sink.js';
export { LakeSink, type LakeSinkOptions } from './commit/lake-sink.js';
export type { HeadOutcome, NewHead, ObjectStore, StoredHead } from './commit/object-store.js';
export { streamFolder, sync8, syncFolder } from './commit/names.js';
export { inParallel } from './commit/in-parallel.js';
export { parseHead } from './commit/head.js';
