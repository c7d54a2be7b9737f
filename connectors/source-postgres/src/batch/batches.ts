/** Rows of tables as the files of a run that has batches. */
import type { Session } from '@tapline/protocol';
import { BatchFiles } from '@tapline/sdk/batch';
import type { Connection } from '../connection.js';
import type { RowObserver } from '../copy-frames.js';
import type { CopyRows } from '../copy-statement.js';
import { addedColumn, type AddedValues } from './added-columns.js';
import { BatchFrames, type Batch } from './batch-frames.js';
import { copyBatchStatement } from './copy-batch-statement.js';

/** Bytes of columns that make a batch: enough for the readers' row groups, and little beside what a process takes anyway. */
const batchBytes = 16 << 20;
/** A slow table keeps its rows no longer: a file is dearer than a line. Where states are wanted more often, so are batches. */
const longestMs = 1000;
const shortestMs = 100;

export interface WrittenBatch extends Pick<Batch, 'rows' | 'last' | 'mark'> {
  /** What the item says of it. */
  readonly file: { readonly path: string; readonly bytes: number; readonly rows: number; readonly columns: readonly string[] };
}

export interface ReadBatches {
  readonly observe?: RowObserver | undefined;
  readonly added?: readonly AddedValues[];
  /** How many such reads run at once: together they take no more memory than one alone. */
  readonly share?: number;
}

export class Batches {
  readonly #files: BatchFiles;
  /** Of columns, that make a batch. */
  readonly batchBytes: number;
  readonly #lingerMs: number;

  private constructor(session: NonNullable<Session['batch']>, stateIntervalMs: number, signal: AbortSignal) {
    this.#files = new BatchFiles(session, signal);
    // A few have room at once, so that neither end waits for the other.
    this.batchBytes = Math.min(batchBytes, session.max_bytes / 8);
    this.#lingerMs = Math.min(Math.max(stateIntervalMs, shortestMs), longestMs);
  }

  /** Undefined where the run has none, or where the database does not say in which encoding its text is: a file wants UTF-8. */
  static async open(session: Session | undefined, connection: Connection, signal: AbortSignal): Promise<Batches | undefined> {
    if (!session?.batch) return undefined;
    const [row] = await connection.query<{ encoding: string }>(`SELECT pg_catalog.current_setting('server_encoding') AS encoding`);
    return row?.encoding === 'SQL_ASCII' ? undefined : new Batches(session.batch, session.state_interval_ms ?? longestMs, signal);
  }

  /** Names that begin like our own are ambiguous in a batch; and a file has a column. */
  hold(columns: readonly { readonly name: string; readonly property?: string | undefined }[]): boolean {
    return columns.length > 0 && !columns.some(({ name, property = name }) => property.startsWith('_tapline_'));
  }

  /** Columns that are filled already. What it resolves with is to be announced before the next one is waited for. */
  async write({ parts, rows, columns }: Pick<Batch, 'parts' | 'rows' | 'columns'>): Promise<WrittenBatch['file']> {
    return { ...(await this.#files.write(parts)), rows, columns };
  }

  /** Each batch is written when it comes. It is to be announced before the next one is asked for. */
  async *read(connection: Connection, rows: CopyRows, { observe, added = [], share = 1 }: ReadBatches = {}): AsyncGenerator<WrittenBatch, void, undefined> {
    const { sql, ...form } = copyBatchStatement(rows);
    const options = { ...form, added: added.map(addedColumn), observe, batchBytes: this.batchBytes / share };
    const blocks = connection.copyOut<Batch>(sql, { lingerMs: this.#lingerMs, reader: (onBlock) => new BatchFrames({ ...options, onBlock }) });
    for await (const { parts, columns: names, ...rest } of blocks) {
      yield { file: { ...(await this.#files.write(parts)), rows: rest.rows, columns: names }, ...rest };
    }
  }
}
