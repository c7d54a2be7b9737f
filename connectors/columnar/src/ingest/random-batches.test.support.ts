/** A history in which some rows travel as batches. */
import { join } from 'node:path';
import { integers, texts, writeBatch } from '../batch-files.test.support.js';
import { lineOf, type Step } from './random-history.test.support.js';

type RowStep = Extract<Step, { readonly kind: 'row' }>;

/** Lines of the steps; the files are in the folder then. */
export async function batchedLines(steps: readonly Step[], { folder, pick }: { readonly folder: string; readonly pick: (below: number) => number }): Promise<string> {
  const lines: string[] = [];
  let files = 0;
  for (let at = 0; at < steps.length; ) {
    const run = runOf(steps, at);
    const taken = run.slice(0, 1 + pick(Math.max(run.length, 1)));
    if (taken.length === 0 || pick(2) === 0) {
      lines.push(lineOf(steps[at++]!));
      continue;
    }
    lines.push(await batchOf(taken, join(folder, `${String(++files).padStart(6, '0')}.parquet`), pick));
    at += taken.length;
  }
  return lines.join('');
}

/** Rows one after another that one file can hold. */
function runOf(steps: readonly Step[], from: number): RowStep[] {
  const rows: RowStep[] = [];
  for (const step of steps.slice(from)) {
    const first = rows[0] ?? step;
    if (step.kind !== 'row' || first.kind !== 'row' || step.stream !== first.stream || step.version !== first.version || step.generation !== first.generation) break;
    rows.push(step);
  }
  return rows;
}

async function batchOf(rows: readonly RowStep[], path: string, pick: (below: number) => number): Promise<string> {
  const { stream, version } = rows[0]!;
  const numbers = rows.map(({ id }) => id);
  const ids = (): ReturnType<typeof texts> => (pick(2) === 0 ? integers(numbers) : texts(numbers.map(String)));
  const columns = [
    { field: 'id', column: ids() },
    { field: 'note', column: texts(rows.map(({ partly }) => (partly ? null : 'x'))) },
    ...(version === 0 ? [] : [{ field: `c${version}`, column: ids() }]),
    ...(rows.some(({ partly }) => partly) ? [{ field: '_tapline_unchanged', column: texts(rows.map(({ partly }) => (partly ? '["note"]' : null))) }] : []),
  ];
  const { name, bytes } = await writeBatch(path, columns.map(({ column }) => column));
  const tapline = {
    type: 'BATCH', stream_descriptor: { name: stream }, path: name, format: 'parquet', columns: columns.map(({ field }) => field), rows: rows.length, bytes, emitted_at: 1700000000000,
  };
  return `${JSON.stringify({ type: 'TAPLINE', tapline })}\n`;
}
