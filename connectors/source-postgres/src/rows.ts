/** The rows of one statement as what the source yields: lines, or batches where the run has them and they hold the table. */
import { batch, lines, type SourceItem } from '@tapline/sdk';
import type { RowObserver } from './copy-frames.js';
import { lineBlocks } from './copy-out.js';
import { copyStatement, type CopyRows } from './copy-statement.js';
import { linePrefix, wideColumns, type Reading } from './reading.js';

export interface ReadRows extends Omit<CopyRows, 'relation' | 'columns'> {
  readonly observe?: RowObserver | undefined;
  /** When the rows are read, in milliseconds since 1970. Asked for at each item. */
  readonly emittedAt: () => number;
}

/** Some rows, and how far they go. */
export interface SomeRows {
  readonly item: SourceItem;
  readonly rows: number;
  /** The `fields`, or `lastOf`, of the last row. */
  readonly last: readonly string[];
  /** What `observe` said after that row. */
  readonly mark: unknown;
}

/** Called within the transaction whose rows are read. An item is to be passed on before the next one is asked for. */
export type RowReader = (rows: ReadRows) => AsyncGenerator<SomeRows, void, undefined>;

export async function rowReader(reading: Reading): Promise<RowReader> {
  const { stream, connection, relation, columns, blockBytes, batches } = reading;
  if (batches?.hold(columns)) return (options) => readBatches(reading, batches, options);
  const wide = await wideColumns(reading);
  const prefix = linePrefix(stream);
  return async function* readLines({ observe, emittedAt, ...rows }) {
    const fields = (rows.fields ?? rows.lastOf)?.length ?? 0;
    const blocks = connection.copyOut(copyStatement({ relation, columns, ...rows }, wide), lineBlocks({ blockBytes, fields, observe, prefix: () => prefix(emittedAt()) }));
    for await (const { bytes, ...rest } of blocks) yield { item: lines(bytes, stream), ...rest };
  };
}

async function* readBatches(
  { stream, connection, relation, columns, sessions }: Reading, batches: NonNullable<Reading['batches']>, { observe, emittedAt, ...rows }: ReadRows,
): AsyncGenerator<SomeRows, void, undefined> {
  for await (const { file, ...rest } of batches.read(connection, { relation, columns, ...rows }, { observe, share: sessions })) {
    yield { item: batch(stream, { ...file, emittedAt: emittedAt() }), ...rest };
  }
}
