/** `@tapline/sdk/batch`: what a source needs that writes its records as columnar files. Apart, so that nobody else loads it. */
export * from './batch-files.js';
export * from './column.js';
export { parquetFile } from './parquet-file.js';
