import { describe, expect, test } from 'vitest';
import { differences, type TypeCase } from './types-matrix.js';

const cases: TypeCase[] = [
  { column: 'n', type: 'int', values: ['1'] },
  { column: 'd', type: 'date', values: [`'infinity'`], unholdable: [0] },
  { column: 'f', type: 'float8', values: ['0.1'], parquet: 'float64' },
];
const expected = [{ id: '0', n: '1', d: 'infinity', f: '0.1' }];
const row = (values: Record<string, string | null>, changed: string[] = ['d']) => [{ id: 0, values: { n: '1', d: null, f: '0.1', ...values }, changed: new Set(changed) }];

describe('the comparison that the matrix of types stands on', () => {
  test('says nothing when all is the same', () => expect(differences(cases, expected, row({}))).toEqual([]));
  test.each([
    ['a wrong value', row({ n: '2' })],
    ['a null instead of a value', row({ n: null })],
    ['a float that lost digits', row({ f: '0.10000000149011612' })],
    ['a value that cannot be held and is there', row({ d: '5881580-07-11' })],
    ['a value that became null in silence', row({}, [])],
    ['a value that is told as changed and is not', row({}, ['d', 'n'])],
    ['a row too many', [...row({}), { ...row({})[0]!, id: 1 }]],
  ])('tells %s', (_, actual) => expect(differences(cases, expected, actual)).toHaveLength(1));
  test('tells a row too few', () => expect(differences(cases, expected, [])).toContain('row 0 is missing'));
});
