/** One spool to Parquet: of lines, or of batches. */
import type { LogLevel } from '@tapline/protocol';
import { BatchConverter, type BatchRows } from './convert-batches.js';
import { LineConverter } from './convert-lines.js';
import type { ConvertedFile, ConvertParts, ConvertRequest, SpooledBatches, SpooledLines } from './convert-request.js';
import type { Refuse } from './refuse-sql.js';
import { ParquetWriter, type ParquetWriterOptions } from './write-parquet.js';

export interface ConvertOptions extends ParquetWriterOptions {
  readonly refuse?: Refuse | undefined;
  readonly log: (level: LogLevel, message: string) => void;
}

export class Converter {
  readonly #lines: LineConverter;
  readonly #batches: BatchConverter;

  constructor(options: ConvertOptions) {
    const warned = new Set<string>();
    const warnOnce = (topic: string, message: string): void => {
      if (warned.has(topic)) return;
      warned.add(topic);
      options.log('WARN', message);
    };
    const parts: ConvertParts = {
      writer: new ParquetWriter(options),
      refuse: options.refuse,
      warnOnce,
      warnOfUndeclared: (stream, fields) => {
        for (const field of fields) warnOnce(`extra ${stream} ${field}`, `stream ${stream}: the schema does not declare the field "${field}"; its values go to _tapline_extra`);
      },
    };
    this.#lines = new LineConverter(parts);
    this.#batches = new BatchConverter({ ...parts, engine: options.engine });
  }

  /** Resolves with no file if no record was left. The caller deletes the files, and the input. */
  async convert(request: ConvertRequest): Promise<ConvertedFile[]> {
    return 'files' in request.input ? await this.#batches.convert(request as ConvertRequest<SpooledBatches>) : await this.#lines.convert(request as ConvertRequest<SpooledLines>);
  }

  /** {@link BatchConverter.rows} */
  batchRows(request: ConvertRequest<SpooledBatches>): Promise<BatchRows> {
    return this.#batches.rows(request);
  }
}
