/** One spool of raw RECORD lines to Parquet: natively where the lines allow it, else through the walker. */
import { mkdir, rm, stat } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { collectGarbage, streamKey, systemError, type LogLevel, type StreamDescriptor } from '@tapline/protocol';
import type { ColumnPlan } from './column-plan.js';
import { copySql, partitionKeys, type Compression, type CopyRequest, type LargeCell, type Partition, type RowStamp } from './copy-sql.js';
import { ContentError, MemoryError, type Engine } from './engine.js';
import type { Refuse } from './refuse-sql.js';
import type { Reader } from './value-sql.js';
import { walkFile } from './walk-file.js';

export interface ConvertOptions {
  readonly engine: Engine;
  /** Where the Parquet files are made. */
  readonly directory: string;
  readonly compression: Compression;
  /** {@link CopyRequest.readOnce}; whatever `compression` says. */
  readonly readOnce?: boolean | undefined;
  /** Raw bytes of lines that one row group holds, about: readers and writers keep a row group in memory. */
  readonly rowGroupBytes: number;
  readonly refuse?: Refuse | undefined;
  readonly log: (level: LogLevel, message: string) => void;
}

export interface ConvertRequest {
  readonly stream: StreamDescriptor;
  readonly plan: ColumnPlan;
  readonly partition: Partition | undefined;
  readonly stamp: RowStamp;
  readonly input: SpooledLines;
  /** A column `_tapline_unchanged` is written. */
  readonly unchanged: boolean;
}

export interface SpooledLines {
  readonly path: string;
  readonly lines: number;
  readonly bytes: number;
  readonly longestLine: number;
  /** Number of the first line among the stream's records of this run, from 1. */
  readonly firstLine: number;
}

export interface ConvertedFile {
  readonly path: string;
  readonly rows: number;
  readonly bytes: number;
  /** Hive folders, '' = none. */
  readonly partition: string;
  /** It has a column `_tapline_extra`. */
  readonly extra: boolean;
}

interface CopyInput {
  readonly reader: Reader;
  readonly lines: SpooledLines;
  readonly extra: boolean;
  readonly large: readonly LargeCell[];
}

/** Of a line from here on, values from {@link largeValue} on are kept out of the JSON. */
const longLine = 8 << 20;
const largeValue = 1 << 20;

export class Converter {
  readonly #options: ConvertOptions;
  readonly #warned = new Set<string>();
  /** Times in a row that a stream's raw lines were refused; a stream that always is goes to the walker at once. */
  readonly #refused = new Map<string, number>();
  #files = 0;

  constructor(options: ConvertOptions) {
    this.#options = options;
  }

  /** Resolves with no file if no record was left. The caller deletes the files, and the input. */
  async convert(request: ConvertRequest): Promise<ConvertedFile[]> {
    const { plan, input } = request;
    const key = streamKey(request.stream);
    // Very long values go through files of their own, which only the walker makes.
    if (plan.typed && input.longestLine < longLine && (this.#refused.get(key) ?? 0) < 3) {
      try {
        const files = await this.#copy(request, { reader: 'raw', lines: input, extra: false, large: [] });
        if (rowsOf(files) === input.lines) {
          this.#refused.delete(key);
          return files;
        }
        await removeAll(files);
      } catch (error) {
        if (!(error instanceof ContentError)) throw error;
      }
      this.#refused.set(key, (this.#refused.get(key) ?? 0) + 1);
    }
    return await this.#walked(request, key);
  }

  async #walked(request: ConvertRequest, key: string): Promise<ConvertedFile[]> {
    const { plan, input, stream } = request;
    const output = `${input.path}.walked`;
    const large: LargeCell[] = [];
    try {
      if (input.longestLine >= longLine) collectGarbage();
      const walked = await walkFile({ input: input.path, output, plan, stream, streamName: key, firstLine: input.firstLine, unchanged: request.unchanged, largeFrom: input.longestLine < longLine ? Infinity : largeValue });
      large.push(...walked.large);
      if (walked.rows + walked.dropped !== input.lines) {
        throw systemError(`stream ${key}: ${input.lines} records were spooled, but ${walked.rows + walked.dropped} were read back`, { stream });
      }
      if (walked.dropped > 0) this.#warnOnce(`no_data ${key}`, `stream ${key}: records without data are left out`);
      for (const field of walked.undeclared) {
        this.#warnOnce(`extra ${key} ${field}`, `stream ${key}: the schema does not declare the field "${field}"; its values go to _tapline_extra`);
      }
      if (walked.rows === 0) return [];
      const lines = { ...input, path: output, longestLine: walked.longestLine };
      const files = await this.#copy(request, { reader: 'walked', lines, extra: !plan.typed || walked.undeclared.size > 0, large });
      if (rowsOf(files) !== walked.rows) {
        throw systemError(`stream ${key}: ${walked.rows} records were given to the engine, but ${rowsOf(files)} came out`, { stream });
      }
      return files;
    } catch (error) {
      if (error instanceof ContentError) throw systemError(`stream ${key}: the engine refused the records (${error.message})`, { stream, code: 'engine' });
      throw error;
    } finally {
      await Promise.all([output, ...large.map(({ path }) => path)].map((path) => rm(path, { force: true })));
    }
  }

  async #copy(request: ConvertRequest, { reader, lines: input, extra, large }: CopyInput): Promise<ConvertedFile[]> {
    const { plan, partition, stamp, unchanged } = request;
    await mkdir(this.#options.directory, { recursive: true });
    const output = join(this.#options.directory, `${++this.#files}${partition ? '' : '.parquet'}`);
    const copy: CopyRequest = {
      input: input.path, output, plan, reader, extra, unchanged, partition, stamp, large,
      refuse: this.#options.refuse,
      longestLine: input.longestLine,
      compression: this.#options.compression,
      readOnce: this.#options.readOnce ?? false,
      rowsPerGroup: rowsPerGroup(this.#options.rowGroupBytes, input.bytes / input.lines),
    };
    const sql = copySql(copy);
    try {
      const written = await this.#options.engine.run(sql, large.length > 0 ? request.input.longestLine : input.longestLine).catch(async (error: unknown) => {
        if (!(error instanceof MemoryError)) throw error;
        await rm(output, { recursive: true, force: true });
        return await this.#options.engine.runAlone(sql);
      });
      return await Promise.all(written.map(async (row) => describe(output, row, { partition, extra })));
    } catch (error) {
      await rm(output, { recursive: true, force: true });
      throw error;
    }
  }

  #warnOnce(topic: string, message: string): void {
    if (this.#warned.has(topic)) return;
    this.#warned.add(topic);
    this.#options.log('WARN', message);
  }
}

/** Whole vectors of 2,048 rows: the engine looks at its groups no oftener. */
const rowsPerGroup = (groupBytes: number, lineBytes: number): number =>
  Math.min(Math.max(Math.floor(groupBytes / lineBytes / 2048), 1), 60) * 2048;

async function describe(output: string, row: Readonly<Record<string, unknown>>, { partition, extra }: Pick<CopyRequest, 'partition' | 'extra'>): Promise<ConvertedFile> {
  const path = partition ? String(row['filename']) : output;
  const folders = partition ? relative(output, path).split(sep).slice(0, -1).join('/') : '';
  return {
    path,
    rows: Number(row['count'] ?? row['Count']),
    bytes: (await stat(path)).size,
    partition: folders.replace(`${partitionKeys.date}=`, 'date=').replace(`${partitionKeys.hour}=`, 'hour='),
    extra,
  };
}

const rowsOf = (files: readonly ConvertedFile[]): number => files.reduce((sum, file) => sum + file.rows, 0);
const removeAll = (files: readonly ConvertedFile[]): Promise<unknown> => Promise.all(files.map((file) => rm(file.path, { force: true })));
