/** Batch files to Parquet, or to a SELECT for who reads them in place. */
import { protocolError, streamKey } from '@tapline/protocol';
import { groupBatches, type BatchGroup } from './batch-forms.js';
import { batchReader, undeclaredFields } from './batch-sql.js';
import type { ConvertedFile, ConvertParts, ConvertRequest, SpooledBatches } from './convert-request.js';
import { ContentError, type Engine } from './engine.js';
import { plainRows, type PlainRows } from './plain-rows.js';
import { rowSql } from './row-sql.js';
import { rowsOf } from './write-parquet.js';

/** Rows of batch files as the converted file would have them. */
export interface BatchRows {
  /** A SELECT over the files, in DuckDB's SQL, once they have these paths, in their order. */
  select(paths: readonly string[]): string;
  /** It has a column `_tapline_extra`. */
  readonly extra: boolean;
  /** The same rows, but for what the destination refuses, where they need no engine. */
  readonly plain: PlainRows | undefined;
}

export class BatchConverter {
  readonly #options: ConvertParts & { readonly engine: Engine };

  constructor(options: ConvertParts & { readonly engine: Engine }) {
    this.#options = options;
  }

  /** Looks at the files' ends only. Rejects with a protocol error that names stream and file where one is not what was announced. */
  async rows(request: ConvertRequest<SpooledBatches>): Promise<BatchRows> {
    const { stream, plan, stamp: { firstRow }, unchanged, input: { columns, files } } = request;
    const { engine, refuse } = this.#options;
    const groups = await groupBatches({ engine, stream, columns, files });
    const undeclared = undeclaredFields(columns, plan);
    this.#options.warnOfUndeclared(streamKey(stream), undeclared);
    const extra = !plan.typed || undeclared.length > 0;
    const select = (paths: readonly string[]): string => {
      const pathOf = new Map(files.map(({ path }, i) => [path, paths[i]!]));
      const moved = groups.map((group): BatchGroup => ({ ...group, files: group.files.map((file) => ({ ...file, path: pathOf.get(file.path)! })) }));
      return rowSql({ ...request, extra, refuse }, batchReader({ columns, groups: moved, plan, extra, unchanged, refuses: refuse !== undefined, firstRow }));
    };
    return { extra, select, plain: plainRows({ columns, groups, plan, stamp: request.stamp, unchanged }) };
  }

  async convert(request: ConvertRequest<SpooledBatches>): Promise<ConvertedFile[]> {
    const { stream, plan, partition, input: { files } } = request;
    const { select, extra, plain } = await this.rows(request);
    const passed = plain && !partition && !this.#options.refuse ? await this.#options.writer.writePlain({ plan, plain, files }) : undefined;
    if (passed) return [{ ...passed, extra }];
    const [rows, bytes] = [files.reduce((sum, file) => sum + file.rows, 0), files.reduce((sum, file) => sum + file.bytes, 0)];
    const named = files.length === 1 ? `the batch file ${files[0]!.name}` : `one of the batch files ${files[0]!.name} to ${files.at(-1)!.name}`;
    try {
      const written = await this.#options.writer.write({
        select: select(files.map(({ path }) => path)), partition, rowBytes: bytes / rows, longestRow: Math.max(...files.map((file) => file.bytes / file.rows)),
      });
      if (rowsOf(written) !== rows) throw protocolError(`stream ${streamKey(stream)}: ${named} has other rows than it says: ${rowsOf(written)} instead of ${rows} came out`, { stream });
      return written.map((file) => ({ ...file, extra }));
    } catch (error) {
      if (error instanceof ContentError) throw protocolError(`stream ${streamKey(stream)}: ${named} cannot be read (${error.message})`, { stream, cause: error });
      throw error;
    }
  }
}
