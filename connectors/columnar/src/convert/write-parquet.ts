/** Rows of a SELECT to Parquet files. */
import { mkdir, rm, stat } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { copySql, type Compression } from './copy-sql.js';
import { MemoryError, type Engine } from './engine.js';
import { partitionKeys, type Partition } from './row-sql.js';
import { lakeColumns } from '../plain-parquet/lake-columns.js';
import { Memory } from '../plain-parquet/memory.js';
import { largestFile, writePlainParquet } from '../plain-parquet/write-plain-parquet.js';
import { loadZstd, type Compress } from '../plain-parquet/zstd.js';
import type { ColumnPlan } from './column-plan.js';
import type { PlainRows } from './plain-rows.js';

export interface ParquetWriterOptions {
  readonly engine: Engine;
  /** Where the files are made. */
  readonly directory: string;
  readonly compression: Compression;
  /** Files are read once, whole, and deleted; whatever `compression` says. */
  readonly readOnce?: boolean | undefined;
  /** Raw bytes of rows that one row group holds, about: readers and writers keep a row group in memory. */
  readonly rowGroupBytes: number;
}

export interface WriteInput {
  readonly select: string;
  readonly partition: Partition | undefined;
  /** About, of the input. */
  readonly rowBytes: number;
  /** What one row may take, in bytes of the input. */
  readonly longestRow: number;
}

export interface WritePlainInput {
  readonly plan: ColumnPlan;
  readonly plain: PlainRows;
  /** Batch files, in order. */
  readonly files: readonly { readonly path: string; readonly bytes: number }[];
}

export interface WrittenFile {
  readonly path: string;
  readonly rows: number;
  readonly bytes: number;
  /** Hive folders, '' = none. */
  readonly partition: string;
}

export class ParquetWriter {
  readonly #options: ParquetWriterOptions;
  #files = 0;
  #zstd: Promise<Compress | undefined> | undefined;
  readonly #memory = new Memory();

  constructor(options: ParquetWriterOptions) {
    this.#options = options;
  }

  /** One file, or with a partition one for each folder. Rejects as the engine does; then nothing is left. */
  async write({ select, partition, rowBytes, longestRow }: WriteInput): Promise<WrittenFile[]> {
    const { engine, directory, compression, readOnce = false, rowGroupBytes } = this.#options;
    await mkdir(directory, { recursive: true });
    const output = join(directory, `${++this.#files}${partition ? '' : '.parquet'}`);
    const sql = copySql({ select, output, partition, compression, readOnce, rowsPerGroup: rowsPerGroup(rowGroupBytes, rowBytes) });
    try {
      const written = await engine.run(sql, longestRow).catch(async (error: unknown) => {
        if (!(error instanceof MemoryError)) throw error;
        await rm(output, { recursive: true, force: true });
        return await engine.runAlone(sql);
      });
      return await Promise.all(written.map((row) => describe(output, row, partition)));
    } catch (error) {
      await rm(output, { recursive: true, force: true });
      throw error;
    }
  }

  /** Without the engine. Undefined where it is needed, or the files are not what they seem; then nothing is left. */
  async writePlain({ plan, plain, files }: WritePlainInput): Promise<WrittenFile | undefined> {
    const { engine, directory, compression, readOnce = false, rowGroupBytes } = this.#options;
    if (compression !== 'zstd' || readOnce || files.some((file) => file.bytes > largestFile)) return undefined;
    // Where the library has no binary, the engine does it.
    const compress = await (this.#zstd ??= loadZstd().catch(() => undefined));
    if (!compress) return undefined;
    await mkdir(directory, { recursive: true });
    const path = join(directory, `${++this.#files}.parquet`);
    const request = { columns: lakeColumns(plan, plain), plain, paths: files.map((file) => file.path), output: path, rowGroupBytes, compress, memory: this.#memory };
    const size = await engine.inTurn(() => writePlainParquet(request));
    return size === undefined ? undefined : { path, rows: plain.files.reduce((sum, file) => sum + file.rows, 0), bytes: size, partition: '' };
  }
}

/** Whole vectors of 2,048 rows: the engine looks at its groups no oftener. */
const rowsPerGroup = (groupBytes: number, rowBytes: number): number =>
  Math.min(Math.max(Math.floor(groupBytes / rowBytes / 2048), 1), 60) * 2048;

async function describe(output: string, row: Readonly<Record<string, unknown>>, partition: Partition | undefined): Promise<WrittenFile> {
  const path = partition ? String(row['filename']) : output;
  const folders = partition ? relative(output, path).split(sep).slice(0, -1).join('/') : '';
  return {
    path,
    rows: Number(row['count'] ?? row['Count']),
    bytes: (await stat(path)).size,
    partition: folders.replace(`${partitionKeys.date}=`, 'date=').replace(`${partitionKeys.hour}=`, 'hour='),
  };
}

export const rowsOf = (files: readonly WrittenFile[]): number => files.reduce((sum, file) => sum + file.rows, 0);
export const removeAll = (files: readonly WrittenFile[]): Promise<unknown> => Promise.all(files.map((file) => rm(file.path, { force: true })));
