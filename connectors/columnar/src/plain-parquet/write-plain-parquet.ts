/**
 * Batch files to one Parquet file of the lake, without the engine: their values lie in them as the format has them, so that they are only
 * compressed, beside what each row has besides. The libraries that write Parquet encode values: here none is touched.
 */
import { open, rm, type FileHandle } from 'node:fs/promises';
import { magic, plainFormIn, readInto, writeParts } from '@tapline/sdk/batch';
import type { PlainRows } from '../convert/plain-rows.js';
import { footerOf, type RowGroup } from './footer.js';
import type { Memory } from './memory.js';
import { OpenGroup } from './open-group.js';
import type { LakeColumn } from './row-values.js';
import type { Compress } from './zstd.js';

/** Larger ones the engine reads in pieces. */
export const largestFile = 64 << 20;
/** In a row group: their constants are told apart by numbers of sixteen bits. */
const mostFiles = 1 << 16;

export interface PlainParquetRequest {
  readonly columns: readonly LakeColumn[];
  readonly plain: PlainRows;
  /** The batch files, in order. */
  readonly paths: readonly string[];
  /** Where the file is made. */
  readonly output: string;
  /** A row group ends behind the file with which it has as many. */
  readonly rowGroupBytes: number;
  readonly compress: Compress;
  /** Kept from one file to the next. */
  readonly memory: Memory;
}

/** The size of the file. Undefined where a batch file is not what it seems: then there is none, and the engine tells what is wrong. */
export async function writePlainParquet(request: PlainParquetRequest): Promise<number | undefined> {
  const file = await open(request.output, 'wx');
  try {
    const size = await writeTo(file, request);
    if (size === undefined) await rm(request.output, { force: true });
    return size;
  } catch (error) {
    await rm(request.output, { force: true });
    throw error;
  } finally {
    await file.close();
  }
}

async function writeTo(file: FileHandle, { columns, plain, paths, rowGroupBytes, compress, memory }: PlainParquetRequest): Promise<number | undefined> {
  const groups: RowGroup[] = [];
  let size = magic.length;
  let firstRow = plain.firstRow;
  let group = new OpenGroup(columns, compress);
  await writeParts(file, [magic]);
  for (const [i, path] of paths.entries()) {
    const bytes = await wholeFile(path, memory);
    const form = plainFormIn(bytes);
    if (form?.rows !== plain.files[i]!.rows) return undefined;
    if (!(await group.add({ bytes, form, plain, firstRow, memory, number: i }))) return undefined;
    memory.give(bytes);
    firstRow += form.rows;
    if (group.rawBytes < rowGroupBytes && group.files < mostFiles && i < paths.length - 1) continue;
    const { parts, ...closed } = await group.close(size);
    await writeParts(file, parts);
    size += parts.reduce((sum, part) => sum + part.length, 0);
    groups.push(closed);
    group = new OpenGroup(columns, compress);
  }
  const footer = footerOf(columns, groups);
  const end = Buffer.alloc(4);
  end.writeUInt32LE(footer.length);
  await writeParts(file, [footer, end, magic]);
  return size + footer.length + end.length + magic.length;
}

async function wholeFile(path: string, memory: Memory): Promise<Buffer> {
  const file = await open(path, 'r');
  try {
    const bytes = memory.take((await file.stat()).size);
    await readInto(file, bytes);
    return bytes;
  } finally {
    await file.close();
  }
}
