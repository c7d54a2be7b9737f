/** Lakes written from RECORD lines by hand, and digested by the program as the runner starts it. */
import { changeLine, copied, descriptor, Digested, line, opening, replicated, small, statesOf, type Change } from '@tapline/test/digested';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const bin = fileURLToPath(new URL('../../bin/destination-s3.js', import.meta.url));

class TestLake extends Digested {
  constructor(configured: object) {
    super(bin, configured, (folder) => ({ path: join(folder, 'lake') }));
  }

  ranges(bits: number, before?: number): unknown[] {
    return this.ask({ ask: 'ranges', stream: descriptor, bits, ...(before !== undefined && { before: String(before) }) }).flatMap(({ is, ranges }) => (is === 'ranges' ? (ranges as unknown[]) : []));
  }

  /** Keys with their copies. */
  keys(before?: number): string[] {
    const answers = this.ask({ ask: 'rows', stream: descriptor, bits: 0, ranges: [0], ...(before !== undefined && { before: String(before) }) });
    return answers.flatMap(({ is, rows }) => (is === 'rows' ? (rows as { values: string[]; copies: number }[]) : [])).map(({ values, copies }) => `${values.join()} x${copies}`).sort();
  }
}

describe('a lake of changes', () => {
  const folded = (rows: Record<number, string | null>) => new TestLake(copied('full_refresh')).write(Object.entries(rows).map(([id, body]) => line({ id: Number(id), body }))).ranges(4);

  test('is folded by key to the last change in the order of the log, whatever the order of the files; deleted rows are gone', () => {
    const lake = new TestLake(replicated('append')).write(small.slice(4).map(changeLine)).write(small.slice(0, 4).map(changeLine));
    expect(lake.ranges(4, 1000)).toEqual(folded({ 1: 'uno', 2: 'again', 3: null }));
    expect(lake.keys(1000)).toEqual(['1 x1', '2 x1', '3 x1']);
  });

  test('before a position is as it was then: what committed at it or later does not count', () => {
    const lake = new TestLake(replicated('append')).write(small.map(changeLine));
    expect(lake.ranges(4, 101)).toEqual(folded({ 1: 'one', 2: 'two' }));
    expect(lake.ranges(4, 200)).toEqual(lake.ranges(4, 101));
    expect(lake.ranges(4, 201)).toEqual(folded({ 1: 'uno', 2: 'two' }));
    expect(lake.ranges(4, 301)).toEqual(folded({ 1: 'uno', 3: null }));
  });

  test('shows a change that came twice, also one that another has followed', () => {
    const lake = new TestLake(replicated('append')).write(small.map(changeLine)).write([changeLine(small[0]!), changeLine(small[5]!)]);
    expect(lake.keys(1000)).toEqual(['1 x2', '2 x1', '3 x2']);
  });

  test('under random changes equals the table that they make', () => {
    // A fixed generator: the same test every time.
    let seed = 7;
    const random = (n: number): number => (seed = (seed * 48_271) % 2_147_483_647) % n;
    const log: Change[] = [];
    for (let lsn = 100; log.length < 3000; lsn += 10) {
      for (let sequence = 1; sequence <= 1 + random(20); sequence++) log.push({ id: random(200), ...(random(4) > 0 && { body: `v${random(1000)}` }), lsn, sequence });
    }
    const lake = new TestLake(replicated('append'));
    for (let at = 0; at < log.length; at += 1000) lake.write(log.slice(at, at + 1000).map(changeLine));
    const position = log[2000]!.lsn;
    const table: Record<number, string | null> = {};
    for (const { id, body, lsn } of log) {
      if (lsn >= position) continue;
      if (body === undefined) delete table[id];
      else table[id] = body;
    }
    expect(lake.ranges(4, position)).toEqual(folded(table));
  });

  test('of a table without a key cannot be digested, and says so; the next question is answered', () => {
    const answers = new TestLake(replicated('append', [])).write(small.map(changeLine)).ask({ ask: 'ranges', stream: descriptor, bits: 0, before: '1000' }, { ask: 'states' });
    expect(answers.map(({ is }) => is)).toEqual(['failed', 'states']);
    expect(answers[0]).toMatchObject({ kind: 'config_error', message: expect.stringContaining('public.orders has no key') as string });
  });
});

describe('a lake of versions', () => {
  test('counts the last version of a row; the same version twice counts twice', () => {
    const lake = new TestLake(copied('incremental')).write([line({ id: 1, body: 'a' }), line({ id: 2, body: 'a' })]).write([line({ id: 1, body: 'b' })]);
    expect(lake.ranges(4)).toEqual(new TestLake(copied('full_refresh')).write([line({ id: 1, body: 'b' }), line({ id: 2, body: 'a' })]).ranges(4));
    expect(lake.write([line({ id: 2, body: 'a' })]).keys()).toEqual(['1 x1', '2 x2']);
  });
});

describe('checksums', () => {
  const of = (...rows: readonly object[]) => new TestLake(copied('full_refresh')).write(rows.map(line)).ranges(0);

  test('do not depend on the order of rows, and do on each value and its place', () => {
    const both = of({ id: 1, body: 'a' }, { id: 2, body: 'b' });
    expect(of({ id: 2, body: 'b' }, { id: 1, body: 'a' })).toEqual(both);
    expect(of({ id: 1, body: 'b' }, { id: 2, body: 'a' })).not.toEqual(both);
  });

  test('tell null from empty text, and text from what looks like a delimiter', () => {
    const digests = [of({ id: 1, body: null }), of({ id: 1, body: '' }), of({ id: 1, body: '-;' }), of({ id: 1, body: '=0:;' }), of({ id: 1, body: '!;' })].map((ranges) => JSON.stringify(ranges));
    expect(new Set(digests).size).toBe(5);
  });
});

test('says what it can hold, and the states that it holds', () => {
  const [opened] = new TestLake(replicated('append')).write([]).ask({ ask: 'open' });
  expect(opened).toMatchObject(opening.opened);
  expect(statesOf(opened)).toEqual(opening.states);
});
