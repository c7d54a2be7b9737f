/** What a conversion is asked, and what it answers. */
import type { StreamDescriptor } from '@tapline/protocol';
import type { BatchFile } from './batch-forms.js';
import type { ColumnPlan } from './column-plan.js';
import type { Refuse } from './refuse-sql.js';
import type { Partition, RowStamp } from './row-sql.js';
import type { ParquetWriter, WrittenFile } from './write-parquet.js';

export interface ConvertRequest<Input extends SpooledLines | SpooledBatches = SpooledLines | SpooledBatches> {
  readonly stream: StreamDescriptor;
  readonly plan: ColumnPlan;
  readonly partition: Partition | undefined;
  readonly stamp: RowStamp;
  readonly input: Input;
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

export interface SpooledBatches {
  /** Field of each column of the files. */
  readonly columns: readonly string[];
  /** In order. */
  readonly files: readonly BatchFile[];
}

export interface ConvertedFile extends WrittenFile {
  /** It has a column `_tapline_extra`. */
  readonly extra: boolean;
}

/** What both ways share. */
export interface ConvertParts {
  readonly writer: ParquetWriter;
  readonly refuse: Refuse | undefined;
  warnOnce(topic: string, message: string): void;
  warnOfUndeclared(stream: string, fields: Iterable<string>): void;
}
