/**
 * Records of one stream, one schema and one generation that wait for their conversion: lines in one file, or files of a batch each.
 * Divided at a STATE, if one falls into it.
 */
import type { SpooledBatches, SpooledLines } from '../convert/convert-request.js';
import type { StreamSchema } from '../sink.js';

export interface SpoolOrigin {
  readonly schema: StreamSchema;
  readonly generation: number;
  /** Number of its first record among the stream's of this run, from 1. */
  readonly firstLine: number;
}

/** Where the rows stand in `_tapline_order`; given once no row can come before them any more. */
export interface SpoolPosition {
  readonly seq: number;
  readonly firstRow: number;
}

export interface Spool extends Readonly<SpoolOrigin> {
  readonly rows: number;
  readonly bytes: number;
  /** Bytes of its widest row, as far as that is known. */
  readonly widestRow: number;
  /** A row may name values that are unchanged. */
  readonly unchanged: boolean;
  /** Rows before the last STATE. */
  readonly sealedRows: number;
  /** True if no STATE divides it: all of it is before the last one, or all after. */
  readonly pure: boolean;
  /** In memory: waiting to be written, or being written. */
  readonly pendingBytes: number;
  position: SpoolPosition | undefined;
  /** Takes no more rows. */
  full: boolean;
  /** For the converter, once it is written. */
  readonly input: SpooledLines | SpooledBatches;
  /** Everything so far is before a STATE. */
  seal(): void;
  /** Resolves once all that was appended so far is on the disk; rejects if a write failed, now or earlier. */
  write(): Promise<void>;
  /** Cuts the rows after the last STATE off into a spool of their own; this one takes no more. */
  split(path: string): Spool;
  /** Deletes what it has on the disk. */
  remove(): Promise<void>;
}

export abstract class SpoolBase implements Spool {
  readonly schema: StreamSchema;
  readonly generation: number;
  readonly firstLine: number;
  unchanged = false;
  rows = 0;
  bytes = 0;
  sealedRows = 0;
  pendingBytes = 0;
  position: SpoolPosition | undefined;
  full = false;

  constructor({ schema, generation, firstLine }: SpoolOrigin) {
    this.schema = schema;
    this.generation = generation;
    this.firstLine = firstLine;
  }

  abstract readonly widestRow: number;
  abstract readonly input: SpooledLines | SpooledBatches;
  abstract write(): Promise<void>;
  abstract split(path: string): Spool;
  abstract remove(): Promise<void>;

  get pure(): boolean {
    return this.sealedRows === 0 || this.sealedRows === this.rows;
  }

  seal(): void {
    this.sealedRows = this.rows;
  }

  /** Counts of a split: what is after the last STATE is the tail's. */
  protected moveTail(tail: SpoolBase, bytes: number): void {
    tail.rows = this.rows - this.sealedRows;
    tail.bytes = bytes;
    tail.full = this.full;
    if (this.position) tail.position = { seq: this.position.seq, firstRow: this.position.firstRow + this.sealedRows };
    this.rows = this.sealedRows;
    this.bytes -= bytes;
    this.full = true;
  }
}
