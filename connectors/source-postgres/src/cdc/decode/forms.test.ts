import { describe, expect, test } from 'vitest';
import { columnType, type PgType } from '../../types.js';
import { elementsOf, formOf, writeValue } from './forms.js';
import { LineBuffer } from './line-buffer.js';

const types = new Map<number, PgType>([
  [1009, { oid: 1009, schema: 'pg_catalog', name: '_text', isDomain: false, base: 0, modifier: -1, element: 25, isPlain: false }],
  [25, { oid: 25, schema: 'pg_catalog', name: 'text', isDomain: false, base: 0, modifier: -1, element: 0, isPlain: true }],
]);

/** The JSON of a text of the type with this oid, written into a buffer that has to grow. */
function written(oid: number, text: string | Buffer): string {
  const type = columnType(oid, -1, types);
  const out = new LineBuffer(1);
  const bytes = Buffer.concat([Buffer.from('"\\'), Buffer.from(text), Buffer.from('"\n')]);
  out.beginLine();
  writeValue(out, formOf(type), bytes, 2, bytes.length - 2, elementsOf(type));
  out.endLine();
  return out.take().toString();
}

let seed = 11;
const random = (below: number): number => (seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648) % below;
const alphabet = ['a', 'b', ' ', '"', '\\', '\n', '\u0001', '\u001f', '\u007f', 'é', '☃', '🎉', '{', '}', ',', 'NULL', '\u2028', 'x'.repeat(50)];
const word = (length: number): string => Array.from({ length }, () => alphabet[random(alphabet.length)]!).join('');

describe('JSON of a text in the log', () => {
  test('a string of any characters and length is what JSON makes of it', () => {
    for (let i = 0; i < 3000; i++) {
      const text = word(random(i % 100 === 0 ? 2000 : 20));
      expect(written(25, text)).toBe(JSON.stringify(text));
    }
  });

  test('a string is escaped the same wherever an escape falls into a piece', () => {
    for (let at = 4090; at < 4100; at++) {
      const text = `${'a'.repeat(at)}"\u0001\n${'é'.repeat(200)}`;
      expect(written(25, text)).toBe(JSON.stringify(text));
    }
  });

  test('an array of any texts is the JSON of its elements, in a string', () => {
    for (let i = 0; i < 1000; i++) {
      const elements = Array.from({ length: random(5) }, () => (random(5) === 0 ? null : word(random(6))));
      const array = `{${elements.map((element) => (element === null ? 'NULL' : `"${element.replace(/["\\]/g, '\\$&')}"`)).join(',')}}`;
      expect(written(1009, array)).toBe(JSON.stringify(JSON.stringify(elements)));
    }
  });

  test('an array that breaks off in an element ends where it does', () => {
    expect(written(1009, '{"a\\')).toMatch(/^"/);
  });

  test('bytes of any length become base64', () => {
    for (let length = 0; length < 100; length++) {
      const bytes = Buffer.from(Array.from({ length }, () => random(256)));
      expect(written(17, `\\x${bytes.toString('hex')}`)).toBe(`"${bytes.toString('base64')}"`);
    }
  });

  test.each([
    [20, '9007199254740991', '9007199254740991'], [20, '9007199254740992', '"9007199254740992"'], [20, '-9007199254740991', '-9007199254740991'],
    [20, '-9007199254740992', '"-9007199254740992"'], [20, '9107199254740991', '"9107199254740991"'], [20, '8999999999999999', '8999999999999999'], [20, '10000000000000000', '"10000000000000000"'],
    [20, '0', '0'], [701, '-1.5e-07', '-1.5e-07'], [701, '-Infinity', '"-Infinity"'], [701, 'Infinity', '"Infinity"'], [700, 'NaN', '"NaN"'], [701, '-0', '-0'],
    [1184, '2026-11-20 07:00:00+00', '"2026-11-20T07:00:00+00:00"'], [1184, '2026-11-20 07:00:00.5+05:45', '"2026-11-20T07:00:00.5+05:45"'], [1184, '0044-03-15 01:02:03+00 BC', '"0044-03-15T01:02:03+00:00 BC"'],
    [1184, '-infinity', '"-infinity"'], [1114, '0044-03-15 01:02:03 BC', '"0044-03-15T01:02:03 BC"'], [16, 't', 'true'], [16, 'f', 'false'],
  ] as const)('of type %i, %s is %s', (oid, text, json) => {
    expect(written(oid, text)).toBe(json);
  });
});
