import type { AirbyteStream } from '@tapline/protocol';
import { describe, expect, test } from 'vitest';
import { diffCatalogs, diffColumns, isWidening, parseLogicalType, toJsonSchema, type Column } from './index.js';

const type = (name: string) => parseLogicalType(name)!;
const columns = (...pairs: string[]): Column[] => pairs.map((pair) => ({ name: pair.split(' ')[0]!, type: type(pair.split(' ')[1]!) }));

describe('the schema diff', () => {
  test('tells added, removed, widened, narrowed and changed columns apart', () => {
    const before = columns('a int32', 'b text', 'c int64', 'd int32', 'same uuid');
    const after = columns('same uuid', 'a int64', 'c int16', 'd boolean', 'e json');
    expect(diffColumns(before, after).map(({ kind, column }) => `${kind} ${column}`)).toEqual(['widened a', 'removed b', 'narrowed c', 'changed d', 'added e']);
  });
  test('an order of columns is no change', () => expect(diffColumns(columns('a text', 'b text'), columns('b text', 'a text'))).toEqual([]));
  test('embedded JSON and JSON in a string are different forms', () => {
    expect(diffColumns([{ name: 'a', type: { kind: 'json', embedded: true } }], columns('a json'))).toMatchObject([{ kind: 'changed' }]);
  });
  test('of catalogs names streams that came, went and changed, and changed keys', () => {
    const stream = (name: string, key: string, column: string): AirbyteStream => ({ name, json_schema: { properties: { x: toJsonSchema(type(column)) } }, source_defined_primary_key: [[key]] });
    const diff = diffCatalogs({ streams: [stream('a', 'x', 'text'), stream('b', 'x', 'text'), stream('k', 'x', 'text')] }, { streams: [stream('b', 'x', 'int16'), stream('c', 'x', 'text'), stream('k', 'y', 'text')] });
    expect(diff.added.map(({ name }) => name)).toEqual(['c']);
    expect(diff.removed.map(({ name }) => name)).toEqual(['a']);
    expect(diff.changed.map(({ stream: { name }, diff: { keyChanged } }) => [name, keyChanged])).toEqual([['b', false], ['k', true]]);
  });
});

test.each([
  ['int16', 'int64', true], ['int64', 'int32', false], ['int32', 'float64', true], ['int64', 'float64', false], ['int32', 'float32', false], ['int16', 'float32', true],
  ['int64', 'decimal(19,0)', true], ['int64', 'decimal(20,2)', false], ['int32', 'decimal', true], ['decimal(10,2)', 'decimal(12,4)', true],
  ['decimal(10,2)', 'decimal(12,6)', false], ['decimal(10,2)', 'decimal(10,2)', false], ['decimal(10,2)', 'decimal', true], ['date', 'timestamp', true],
  ['timestamp', 'timestamptz', false], ['uuid', 'text', true], ['int32', 'text', false], ['array<int32>', 'array<int64>', true], ['array<text>', 'json', true],
])('%s to %s widens: %s', (from, to, widens) => expect(isWidening(type(from), type(to))).toBe(widens));
