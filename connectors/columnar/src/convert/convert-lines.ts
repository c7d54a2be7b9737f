/** Files of raw RECORD lines to Parquet: natively where the lines allow it, else through the walker. */
import { rm } from 'node:fs/promises';
import { collectGarbage, streamKey, systemError } from '@tapline/protocol';
import type { ConvertedFile, ConvertParts, ConvertRequest, SpooledLines } from './convert-request.js';
import { ContentError } from './engine.js';
import { lineReader, type LargeCell } from './line-sql.js';
import { rowSql } from './row-sql.js';
import type { Reader } from './value-sql.js';
import { walkFile } from './walk-file.js';
import { removeAll, rowsOf } from './write-parquet.js';

interface LineCopy {
  readonly reader: Reader;
  readonly lines: SpooledLines;
  readonly extra: boolean;
  readonly large: readonly LargeCell[];
}

/** Of a line from here on, values from {@link largeValue} on are kept out of the JSON. */
const longLine = 8 << 20;
const largeValue = 1 << 20;

export class LineConverter {
  readonly #options: ConvertParts;
  /** Times in a row that a stream's raw lines were refused; a stream that always is goes to the walker at once. */
  readonly #refused = new Map<string, number>();

  constructor(options: ConvertParts) {
    this.#options = options;
  }

  /** Resolves with no file if no record was left. */
  async convert(request: ConvertRequest<SpooledLines>): Promise<ConvertedFile[]> {
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

  async #walked(request: ConvertRequest<SpooledLines>, key: string): Promise<ConvertedFile[]> {
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
      if (walked.dropped > 0) this.#options.warnOnce(`no_data ${key}`, `stream ${key}: records without data are left out`);
      this.#options.warnOfUndeclared(key, walked.undeclared);
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

  async #copy(request: ConvertRequest<SpooledLines>, { reader, lines, extra, large }: LineCopy): Promise<ConvertedFile[]> {
    const { plan, partition, stamp: { firstRow }, unchanged } = request;
    const { path: input, longestLine } = lines;
    const rows = lineReader({ input, plan, reader, extra, unchanged, longestLine, large, firstRow });
    const written = await this.#options.writer.write({
      select: rowSql({ ...request, extra, refuse: this.#options.refuse }, rows), partition,
      rowBytes: lines.bytes / lines.lines, longestRow: large.length > 0 ? request.input.longestLine : longestLine,
    });
    return written.map((file) => ({ ...file, extra }));
  }
}
