/** Reads Parquet without our engine. Values as this reader gives them: dates as Date, 64-bit integers as bigint. */
import { readFile } from 'node:fs/promises';
import { parquetMetadataAsync, parquetReadObjects } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';

export type ParquetRow = Record<string, unknown>;

async function bufferOf(path: string): Promise<ArrayBuffer> {
  const bytes = await readFile(path);
  return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer;
}

export async function readParquet(path: string): Promise<ParquetRow[]> {
  return (await parquetReadObjects({ file: await bufferOf(path), compressors, utf8: false })) as ParquetRow[];
}

export async function readAll(paths: readonly string[]): Promise<ParquetRow[]> {
  const rows: ParquetRow[] = [];
  for (const path of paths) rows.push(...(await readParquet(path)));
  return rows;
}

/** Column names with their Parquet types. */
export async function parquetColumns(path: string): Promise<Record<string, string>> {
  const { schema } = await parquetMetadataAsync(await bufferOf(path));
  return Object.fromEntries(schema.slice(1).map((column) => [column.name, [column.type, column.converted_type].filter(Boolean).join(' ')]));
}
