/** `@tapline/sdk/batch`: columnar files: how a source writes its records, and how a destination reads them that needs no engine for it. Apart, so that nobody else loads it. */
export * from './batch-files.js';
export * from './column.js';
export { CompactWriter } from './compact-writer.js';
export * from './page.js';
export { parquetFile } from './parquet-file.js';
export { plainForm, plainFormIn, plainValues, type PlainColumn, type PlainForm, type PlainValues } from './plain-file.js';
export * from './parquet-format.js';
export { writeSchemaElement, type SchemaElement } from './schema-element.js';
