/** A table as parts that several sessions read together: ranges of its key, or of its pages where it has none to go on by. */
import type { KeyProgress } from './key-progress.js';
import { rowsOf, withoutSort } from './key-ranges.js';
import { exportSnapshot, pageRanges } from './page-ranges.js';
import type { Division } from './readers.js';
import type { Reading } from './reading.js';
import { rowReader } from './rows.js';

/** In the order of the key within each range, with states for all of them. */
export async function byKey(reading: Reading, key: readonly string[], progress: KeyProgress): Promise<Division> {
  const { connection, relation } = reading;
  return {
    exported: await exportSnapshot(connection),
    parts: progress.ranges.length,
    async *read(part, session) {
      const read = await rowReader({ ...reading, connection: session });
      await withoutSort(session);
      for await (const rows of read({ ...rowsOf(relation, key, progress.ranges[part]!), emittedAt: Date.now })) {
        yield { item: rows.item, behind: () => progress.passed(part, rows) };
      }
      progress.finished(part);
    },
    stopped: () => progress.stopped(),
    classify: classifyOf(reading),
  };
}

/** In no order, and without a state until all is read. Undefined: the table is read as one. */
export async function byPages(reading: Reading, rangeBytes: number): Promise<Division | undefined> {
  const { relation, connection, signal } = reading;
  const ranges = await pageRanges(connection, relation, rangeBytes);
  if (ranges.length === 1) return undefined;
  return {
    exported: await exportSnapshot(connection),
    parts: ranges.length,
    async *read(part, session) {
      const read = await rowReader({ ...reading, connection: session });
      for await (const { item } of read({ where: ranges[part], emittedAt: Date.now })) {
        yield { item };
        if (signal.aborted) return;
      }
    },
    classify: classifyOf(reading),
  };
}

const classifyOf = ({ relation: { schema, name } }: Reading): Division['classify'] => (error, session) => session.classify(error, { schema, name });
