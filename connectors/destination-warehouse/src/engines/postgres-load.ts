/** Rows of a query of the embedded engine, copied into a table of the server's. */
import { createReadStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { sqlString } from '@tapline/columnar';
import type { LoadColumn, Row } from '../warehouse.js';
import { Pipe } from './pipe.js';

export interface CsvOptions {
  /** Runs a statement of the embedded engine. */
  readonly run: (sql: string) => Promise<readonly Row[]>;
  readonly folder: string;
  /** Told once all have been written. */
  readonly onRows: (rows: number) => void;
}

/**
 * The query's rows as CSV: an empty field is NULL, an empty string is quoted. Of the forms that both sides have it is the cheapest to
 * write. Rejects with what `run` does; a consumer that stops early ends the statement, too.
 */
export async function* csvOf(select: string, columns: readonly LoadColumn[], { run, folder, onRows }: CsvOptions): AsyncGenerator<Buffer, void, undefined> {
  const path = join(folder, `load-${process.pid}-${++loads}.csv`);
  // A column alone may hold \. alone, which ends the data up to PostgreSQL 17, unless it is quoted.
  const quote = columns.length === 1 ? ', FORCE_QUOTE *' : '';
  const copy = `COPY (${typed(select, columns)}) TO ${sqlString(path)} (FORMAT csv, HEADER false, NULLSTR '', DELIMITER ',', QUOTE '"', ESCAPE '"'${quote})`;
  const write = async (): Promise<void> => onRows(Number((await run(copy))[0]?.['Count']));
  const pipe = await Pipe.make(path);
  if (!pipe) {
    try {
      await write();
      yield* createReadStream(path, { highWaterMark: 262_144 }) as AsyncIterable<Buffer>;
    } finally {
      await rm(path, { force: true });
    }
    return;
  }
  let failure: { readonly error: unknown } | undefined;
  const writing = write().catch(async (error: unknown) => {
    failure = { error };
    await pipe.release();
  });
  try {
    yield* pipe.read();
  } finally {
    // First the reader goes: the engine finds its pipe broken, and ends.
    await pipe[Symbol.asyncDispose]();
    await writing;
  }
  if (failure) throw failure.error;
}

let loads = 0;

/** By position: the names are the query's own. */
function typed(select: string, columns: readonly LoadColumn[]): string {
  const names = columns.map((_, i) => `c${i}`);
  if (columns.every(({ type }) => type.kind !== 'bytes')) return select;
  const values = columns.map(({ type }, i) => (type.kind === 'bytes' ? `'\\x' || hex(c${i})` : `c${i}`));
  return `SELECT ${values.join(', ')} FROM (${select}) AS rows (${names.join(', ')})`;
}
