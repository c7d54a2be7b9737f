/** Tables written from RECORD lines by hand, and digested by the program as the runner starts it. */
import { changeLine, copied, descriptor, Digested, line, opening, replicated, small, statesOf } from '@tapline/test/digested';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const bin = fileURLToPath(new URL('../../bin/destination-warehouse.js', import.meta.url));
const generation = (phase: string, id: number, minimum: number): string =>
  `${JSON.stringify({ type: 'TAPLINE', tapline: { type: 'GENERATION', stream_descriptor: descriptor, generation_id: id, minimum_generation_id: minimum, phase } })}\n`;

class TestWarehouse extends Digested {
  constructor(configured: object, options: object = {}) {
    super(bin, [configured], (folder) => ({ engine: 'duckdb', path: join(folder, 'warehouse.db'), ...options }));
  }

  /** The rows as they were before each position: `key=body`, and how often where it is not once. */
  rowsBefore(...positions: readonly (number | undefined)[]): string[][] {
    const found: string[][] = [];
    let rows: { values: string[]; columns: string; copies: number }[] = [];
    for (const answer of this.ask(...positions.map((before) => ({ ask: 'rows', stream: descriptor, bits: 0, ranges: [0], ...(before !== undefined && { before: String(before) }) })))) {
      if (answer.is === 'rows') rows.push(...(answer['rows'] as typeof rows));
      else {
        found.push(rows.map(({ values, columns: hashes, copies }) => `${values.join()}=${bodies.get(hashes.slice(8))}${copies === 1 ? '' : ` x${copies}`}`).sort());
        rows = [];
      }
    }
    return found;
  }

  /** What is said with the ranges, before each position. */
  notesBefore(...positions: readonly number[]): unknown[] {
    return this.ask(...positions.map((before) => ({ ask: 'ranges', stream: descriptor, bits: 4, before: String(before) }))).filter(({ is }) => is === 'done').map(({ notes }) => notes);
  }
}

/** By what a digest has of them. */
const bodies = new Map([...['one', 'two', 'uno', 'un', 'again', 'x', 'nine'].map((body) => [createHash('sha256').update(body).digest('hex').slice(0, 8), body] as const), ['--------', 'null']]);
const all = [...small, { id: 1, lsn: 500, sequence: 1 }];

describe('a table of every change', () => {
  test('is folded by key to the last change before a position; deleted rows are gone', () => {
    const warehouse = new TestWarehouse(replicated('append')).write(all.slice(4).map(changeLine)).write(all.slice(0, 4).map(changeLine));
    expect(warehouse.rowsBefore(1000, 500, 200)).toEqual([['2=again', '3=null'], ['1=uno', '2=again', '3=null'], ['1=one', '2=two']]);
  });

  test('shows a change that came twice, also one that another has followed', () => {
    const warehouse = new TestWarehouse(replicated('append')).write([...all, all[0]!, all[5]!].map(changeLine));
    // The last one: of a row that is gone.
    expect(warehouse.rowsBefore(500, 1000)).toEqual([['1=uno x2', '2=again', '3=null x2'], ['1=null', '2=again', '3=null x2']]);
  });

  test('without a key cannot be digested, and says so; the next question is answered', () => {
    const answers = new TestWarehouse(replicated('append', [])).write(all.map(changeLine)).ask({ ask: 'ranges', stream: descriptor, bits: 0, before: '1000' }, { ask: 'states' });
    expect(answers.map(({ is }) => is)).toEqual(['failed', 'states']);
    expect(answers[0]).toMatchObject({ kind: 'config_error', message: expect.stringContaining('public.orders has no key') as string });
  });
});

describe('a merged table', () => {
  test.each([['deleted', {}], ['kept, but deleted', { deletes: 'soft' }], ['versions of a history', { history: 'scd2' }]])('counts the rows that live, whether others are %s', (_, options) => {
    const warehouse = new TestWarehouse(replicated('append_dedup'), options).write(all.map(changeLine));
    expect(warehouse.rowsBefore(1000)).toEqual([['2=again', '3=null']]);
  });

  test('says how many of its rows are newer than the position', () => {
    const warehouse = new TestWarehouse(replicated('append_dedup')).write(all.map(changeLine));
    expect(warehouse.notesBefore(1000, 400)).toEqual([[], [expect.stringContaining('1 rows changed after the source') as string]]);
  });

  test('that is being copied anew is what its readers see, and says so', () => {
    const warehouse = new TestWarehouse(replicated('append_dedup')).write(all.map(changeLine)).write([generation('begin', 2, 2), changeLine({ id: 9, body: 'nine', lsn: 600, sequence: 1 })]);
    expect(warehouse.rowsBefore(1000)).toEqual([['2=again', '3=null']]);
    expect(warehouse.notesBefore(1000)).toEqual([[expect.stringContaining('a copy of it is under way') as string]]);
  });
});

test('of versions the last one counts; the same version twice counts twice', () => {
  const warehouse = new TestWarehouse(copied('incremental'));
  warehouse.write([line({ id: 1, body: 'one' }), line({ id: 2, body: 'two' })]).write([line({ id: 1, body: 'uno' }), line({ id: 2, body: 'two' })]);
  expect(warehouse.rowsBefore(undefined)).toEqual([['1=uno', '2=two x2']]);
});

test('of appended copies the last one counts', () => {
  const warehouse = new TestWarehouse(copied('full_refresh'));
  for (const id of [1, 2]) warehouse.write([generation('begin', id, 0), line({ id, body: 'x' }), generation('complete', id, 0)]);
  expect(warehouse.rowsBefore(undefined)).toEqual([['2=x']]);
});

test('says what it can hold, and the states that it holds', () => {
  const [opened] = new TestWarehouse(replicated('append')).write([]).ask({ ask: 'open' });
  expect(opened).toMatchObject(opening.opened);
  expect(statesOf(opened)).toEqual(opening.states);
});
