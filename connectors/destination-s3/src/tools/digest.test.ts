/** Lakes written from RECORD lines by hand, and digested by the program as the runner starts it. */
import { changeLine, copied, descriptor, Digested, line, opening, replicated, small, statesOf, type Change } from '@tapline/test/digested';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const bin = fileURLToPath(new URL('../../bin/destination-s3.js', import.meta.url));

class TestLake extends Digested {
  constructor(...configured: readonly object[]) {
    super(bin, configured, (folder) => ({ path: join(folder, 'lake') }));
  }

  ranges(before?: number): unknown[] {
    return this.rangesBefore(before)[0]!;
  }

  /** Of one process, as all that begin so: the ranges as they were before each position. */
  rangesBefore(...positions: readonly (number | undefined)[]): unknown[][] {
    return this.#ranges(positions.map((before) => ({ stream: descriptor, ...(before !== undefined && { before: String(before) }) })));
  }

  rangesOf(...names: readonly string[]): unknown[][] {
    return this.#ranges(names.map((name) => ({ stream: { ...descriptor, name } })));
  }

  #ranges(requests: readonly object[]): unknown[][] {
    const answers = this.ask(...requests.map((request) => ({ ask: 'ranges', bits: 4, ...request })));
    const all: unknown[][] = [[]];
    for (const { is, ranges } of answers) {
      if (is === 'ranges') all.at(-1)!.push(...(ranges as unknown[]));
      else all.push([]);
    }
    return all.slice(0, requests.length);
  }

  /** Keys with their copies. */
  keys(before?: number): string[] {
    const answers = this.ask({ ask: 'rows', stream: descriptor, bits: 0, ranges: [0], ...(before !== undefined && { before: String(before) }) });
    return answers.flatMap(({ is, rows }) => (is === 'rows' ? (rows as { values: string[]; copies: number }[]) : [])).map(({ values, copies }) => `${values.join()} x${copies}`).sort();
  }
}

/** The ranges of tables with these rows. */
function tablesOf(...tables: readonly (readonly object[])[]): unknown[][] {
  const names = tables.map((_, i) => `t${i}`);
  return new TestLake(...names.map((name) => copied('full_refresh', name))).write(tables.flatMap((rows, i) => rows.map((row) => line(row, names[i])))).rangesOf(...names);
}
const rowsOf = (bodies: Record<number, string | null>): object[] => Object.entries(bodies).map(([id, body]) => ({ id: Number(id), body }));

describe('a lake of changes', () => {

  test('is folded by key to the last change in the order of the log, whatever the order of the files; deleted rows are gone', () => {
    const lake = new TestLake(replicated('append')).write(small.slice(4).map(changeLine)).write(small.slice(0, 4).map(changeLine));
    expect([lake.ranges(1000)]).toEqual(tablesOf(rowsOf({ 1: 'uno', 2: 'again', 3: null })));
    expect(lake.keys(1000)).toEqual(['1 x1', '2 x1', '3 x1']);
  });

  test('before a position is as it was then: what committed at it or later does not count', () => {
    const lake = new TestLake(replicated('append')).write(small.map(changeLine));
    const [one, two, three] = tablesOf(rowsOf({ 1: 'one', 2: 'two' }), rowsOf({ 1: 'uno', 2: 'two' }), rowsOf({ 1: 'uno', 3: null }));
    expect(lake.rangesBefore(101, 200, 201, 301)).toEqual([one, one, two, three]);
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
    expect([lake.ranges(position)]).toEqual(tablesOf(rowsOf(table)));
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
    expect([lake.ranges()]).toEqual(tablesOf(rowsOf({ 1: 'b', 2: 'a' })));
    expect(lake.write([line({ id: 2, body: 'a' })]).keys()).toEqual(['1 x1', '2 x2']);
  });
});

describe('checksums', () => {
  test('do not depend on the order of rows, and do on each value and its place', () => {
    const rows = rowsOf({ 1: 'a', 2: 'b' });
    const [both, turned, mixed] = tablesOf(rows, rows.toReversed(), rowsOf({ 1: 'b', 2: 'a' }));
    expect(turned).toEqual(both);
    expect(mixed).not.toEqual(both);
  });

  test('tell null from empty text, and text from what looks like a delimiter', () => {
    const digests = tablesOf(...[null, '', '-;', '=0:;', '!;'].map((body) => [{ id: 1, body }])).map((ranges) => JSON.stringify(ranges));
    expect(new Set(digests).size).toBe(5);
  });
});

test('says what it can hold, and the states that it holds', () => {
  const [opened] = new TestLake(replicated('append')).write([]).ask({ ask: 'open' });
  expect(opened).toMatchObject(opening.opened);
  expect(statesOf(opened)).toEqual(opening.states);
});
