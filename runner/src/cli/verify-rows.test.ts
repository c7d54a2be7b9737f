import type { RowDigest } from '@tapline/protocol';
import { describe, expect, test } from 'vitest';
import { compareRows } from './verify-rows.js';

/** Columns by their values: `-` is null, `!` what the destination could not hold. */
const row = (key: string, values: string, copies = 1): RowDigest => ({
  key, hash: values, copies, columns: values.replaceAll(/./g, (value) => value.repeat(8)), values: [key],
});
const kinds = (source: RowDigest[], destination: RowDigest[]) => compareRows(source, destination, 100).differences.map(({ values, kind, columns }) => [values[0], kind, ...columns]);

describe('rows of both ends', () => {
  test('that are the same do not differ', () => {
    expect(compareRows([row('1', 'ab'), row('2', 'a-')], [row('2', 'a-'), row('1', 'ab')], 100)).toEqual({ differences: [], forgiven: 0 });
  });

  test('differ by a missing, an extra, a doubled and a changed key, and the columns of it are told', () => {
    expect(kinds([row('1', 'ab'), row('2', 'ab'), row('3', 'ab')], [row('2', 'ab', 2), row('3', 'a-'), row('4', 'ab')])).toEqual([['1', 'missing'], ['2', 'doubled'], ['3', 'changed', 1], ['4', 'extra']]);
  });

  test('of which the destination has two contents under one key are doubled', () => {
    expect(kinds([row('1', 'ab')], [row('1', 'ab'), row('1', 'xb')])).toEqual([['1', 'doubled']]);
  });

  test('are the same but for what the destination could not hold: forgiven, and counted', () => {
    expect(compareRows([row('1', 'ab')], [row('1', 'a!')], 100)).toEqual({ differences: [], forgiven: 1 });
    expect(kinds([row('1', 'ab')], [row('1', 'x!')])).toEqual([['1', 'changed', 0]]);
    expect(kinds([row('1', 'ab')], [row('1', 'a-')])).toEqual([['1', 'changed', 1]]);
    expect(kinds([row('1', 'ab')], [row('1', 'a!', 2)])).toEqual([['1', 'doubled']]);
  });

  test('that both ends have twice, under a key that is none, do not differ', () => {
    expect(kinds([row('1', 'ab'), row('1', 'ac')], [row('1', 'ac'), row('1', 'ab')])).toEqual([]);
  });

  test('are named up to the limit', () => {
    const many = Array.from({ length: 50 }, (_, i) => row(String(i), 'a'));
    expect(compareRows(many, [], 7).differences).toHaveLength(7);
  });
});
