import type { TestDatabase } from '@tapline/test/services';
import { testDatabase } from '@tapline/test/shared';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { configOf, configure, discoverAll, readAll, wireText } from './fixtures/harness.js';

/** [type, SQL value, tapline_type, the exact bytes on the wire] */
const matrix: readonly (readonly [type: string, value: string, logical: string, wire: string])[] = [
  ['boolean', 'true', 'boolean', 'true'],
  ['boolean', 'false', 'boolean', 'false'],
  ['smallint', '-32768', 'int16', '-32768'],
  ['integer', '2147483647', 'int32', '2147483647'],
  ['bigint', '9007199254740991', 'int64', '9007199254740991'],
  ['bigint', '-9007199254740991', 'int64', '-9007199254740991'],
  ['bigint', '9007199254740993', 'int64', '"9007199254740993"'],
  ['bigint', '-9223372036854775808', 'int64', '"-9223372036854775808"'],
  ['real', '1.1', 'float32', '1.1'],
  ['real', `'NaN'`, 'float32', '"NaN"'],
  ['real', '16777216', 'float32', '1.6777216e+07'],
  ['double precision', '0.1', 'float64', '0.1'],
  ['double precision', `'Infinity'`, 'float64', '"Infinity"'],
  ['double precision', `'-Infinity'`, 'float64', '"-Infinity"'],
  ['double precision', `'5e-324'`, 'float64', '5e-324'],
  ['double precision', `'-0'`, 'float64', '-0'],
  ['double precision', `'1.7976931348623157e308'`, 'float64', '1.7976931348623157e+308'],
  ['numeric(12,2)', '1.5', 'decimal(12,2)', '"1.50"'],
  ['numeric(38,0)', '12345678901234567890123456789012345678', 'decimal(38,0)', '"12345678901234567890123456789012345678"'],
  ['numeric(39,1)', '1', 'decimal', '"1.0"'],
  ['numeric(12,2)', `'NaN'`, 'decimal(12,2)', '"NaN"'],
  ['numeric', `'Infinity'`, 'decimal', '"Infinity"'],
  ['numeric', '12345678901234567890.123456789', 'decimal', '"12345678901234567890.123456789"'],
  ['text', `E'a"b\\\\c\\n\\u2028\\t☃'`, 'text', '"a\\"b\\\\c\\n\u2028\\t☃"'],
  ['text', `''`, 'text', '""'],
  ['varchar(5)', `'abc'`, 'text', '"abc"'],
  ['char(5)', `'abc'`, 'text', '"abc  "'],
  ['"char"', `'x'`, 'text', '"x"'],
  ['name', `'n'`, 'text', '"n"'],
  ['bytea', `'\\x00ff10'`, 'bytes', '"AP8Q"'],
  ['bytea', `decode(repeat('00', 100), 'hex')`, 'bytes', `"${Buffer.alloc(100).toString('base64')}"`],
  ['bytea', `''`, 'bytes', '""'],
  ['date', `'2026-11-20'`, 'date', '"2026-11-20"'],
  ['date', `'infinity'`, 'date', '"infinity"'],
  ['date', `'-infinity'`, 'date', '"-infinity"'],
  ['date', `'0044-03-15 BC'`, 'date', '"0044-03-15 BC"'],
  ['date', `'5874897-12-31'`, 'date', '"5874897-12-31"'],
  ['time', `'23:59:59.999999'`, 'time', '"23:59:59.999999"'],
  ['time', `'24:00:00'`, 'time', '"24:00:00"'],
  ['timetz', `'12:00:00.5+02'`, 'text', '"12:00:00.5+02"'],
  ['timestamp', `'2026-11-20 07:00:00.123456'`, 'timestamp', '"2026-11-20T07:00:00.123456"'],
  ['timestamp', `'infinity'`, 'timestamp', '"infinity"'],
  ['timestamp', `'0044-03-15 01:02:03 BC'`, 'timestamp', '"0044-03-15T01:02:03 BC"'],
  ['timestamp', `'294276-12-31 23:59:59.999999'`, 'timestamp', '"294276-12-31T23:59:59.999999"'],
  ['timestamptz', `'2026-11-20 07:00:00.1+02'`, 'timestamptz', '"2026-11-20T05:00:00.1+00:00"'],
  ['timestamptz', `'-infinity'`, 'timestamptz', '"-infinity"'],
  ['timestamptz', `'0044-03-15 01:02:03+00 BC'`, 'timestamptz', '"0044-03-15T01:02:03+00:00 BC"'],
  ['interval', `'1 year 2 mons 3 days 04:05:06.7'`, 'interval', '"1 year 2 mons 3 days 04:05:06.7"'],
  ['uuid', `'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'`, 'uuid', '"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"'],
  ['json', `'{"b":1,  "a":12345678901234567890.123456789, "a":2}'`, 'json', '"{\\"b\\":1,  \\"a\\":12345678901234567890.123456789, \\"a\\":2}"'],
  ['json', `E'{\\n"s":"\\\\ud800"}'`, 'json', '"{\\n\\"s\\":\\"\\\\ud800\\"}"'],
  ['json', `'null'`, 'json', '"null"'],
  ['jsonb', `'{"b":1e2,"a":[1,null]}'`, 'json', '"{\\"a\\": [1, null], \\"b\\": 100}"'],
  ['int[]', `'{1,NULL,3}'`, 'array<int32>', '"[1,null,3]"'],
  ['int[]', `'[5:6]={1,2}'`, 'array<int32>', '"[1,2]"'],
  ['int[][]', `'{{1,2},{3,4}}'`, 'array<int32>', '"[[1,2],[3,4]]"'],
  ['bigint[]', `'{9223372036854775807}'`, 'array<int64>', '"[9223372036854775807]"'],
  ['text[]', `'{}'`, 'array<text>', '"[]"'],
  ['text[]', `ARRAY['a"b', NULL, '']`, 'array<text>', '"[\\"a\\\\\\"b\\",null,\\"\\"]"'],
  ['timestamptz[]', `'{infinity,"2026-01-01 00:00:00+00"}'`, 'array<timestamptz>', '"[\\"infinity\\",\\"2026-01-01T00:00:00+00:00\\"]"'],
  ['numeric(5,2)[]', `'{1.5,NaN}'`, 'array<decimal(5,2)>', '"[1.50,\\"NaN\\"]"'],
  ['jsonb[]', `ARRAY['{"a":1}'::jsonb]`, 'array<json>', '"[{\\"a\\": 1}]"'],
  ['mood', `'sad "one"'`, 'text', '"sad \\"one\\""'],
  ['mood[]', `'{happy}'`, 'array<text>', '"[\\"happy\\"]"'],
  ['pair', `ROW(1, 'a b')`, 'text', '"(1,\\"a b\\")"'],
  ['pair', `ROW(NULL, NULL)`, 'text', '"(,)"'],
  ['pair[]', `ARRAY[ROW(1, 'x')::pair]`, 'array<text>', '"[{\\"n\\":1,\\"t\\":\\"x\\"}]"'],
  ['money_amount', '12.345', 'decimal(10,3)', '"12.345"'],
  ['price', '7', 'decimal(10,3)', '"7.000"'],
  ['document', `'{"a": 1}'`, 'json', '"{\\"a\\": 1}"'],
  ['ids', `'{1,2}'`, 'array<int32>', '"[1,2]"'],
  ['money', `'1234.5'`, 'text', '"$1,234.50"'],
  ['bit(3)', `B'101'`, 'text', '"101"'],
  ['varbit', `B'1'`, 'text', '"1"'],
  ['xml', `'<a b="1"/>'`, 'text', '"<a b=\\"1\\"/>"'],
  ['inet', `'10.0.0.1'`, 'text', '"10.0.0.1"'],
  ['cidr', `'10.0.0.0/8'`, 'text', '"10.0.0.0/8"'],
  ['macaddr', `'08:00:2b:01:02:03'`, 'text', '"08:00:2b:01:02:03"'],
  ['point', `'(1,2)'`, 'text', '"(1,2)"'],
  ['box', `'(1,2),(0,0)'`, 'text', '"(1,2),(0,0)"'],
  ['int4range', `'[1,5)'`, 'text', '"[1,5)"'],
  ['tstzrange', `'[2026-01-01 00:00+00,)'`, 'text', '"[\\"2026-01-01 00:00:00+00\\",)"'],
  ['int4multirange', `'{[1,3),[5,7)}'`, 'text', '"{[1,3),[5,7)}"'],
  ['tsvector', `'a:1 b'`, 'text', `"'a':1 'b'"`],
  ['oid', '4294967295', 'text', '"4294967295"'],
  ['pg_lsn', `'16/B374D848'`, 'text', '"16/B374D848"'],
  ['regclass', `'pg_catalog.pg_class'`, 'text', '"pg_class"'],
  ['int2vector', `'1 2'`, 'text', '"1 2"'],
  ['hstore', `'"a"=>"1", "b"=>NULL'`, 'text', '"\\"a\\"=>\\"1\\", \\"b\\"=>NULL"'],
  ['hstore', `''`, 'text', '""'],
  ['citext', `'MiXed'`, 'text', '"MiXed"'],
];

describe.each([14, 18] as const)('values of PostgreSQL %i', (version) => {
  let database: TestDatabase;
  let line = '';
  let logical: Record<string, unknown> = {};
  let types = matrix;

  beforeAll(async () => {
    database = await testDatabase(version);
    types = version === 14 ? matrix : [...matrix, ['numeric(3,-2)', '12345', 'decimal', '"12300"'], ['numeric(3,5)', '0.00123', 'decimal', '"0.00123"']];
    await database.query(`
      CREATE EXTENSION hstore; CREATE EXTENSION citext;
      CREATE TYPE mood AS ENUM ('happy', 'sad "one"');
      CREATE TYPE pair AS (n int, t text);
      CREATE DOMAIN money_amount AS numeric(10,3);
      CREATE DOMAIN price AS money_amount CHECK (VALUE > 0);
      CREATE DOMAIN document AS jsonb;
      CREATE DOMAIN ids AS int[];
      CREATE TABLE matrix (${types.map(([type], i) => `c${i} ${type}, n${i} ${type}`).join(', ')});
      INSERT INTO matrix (${types.map((_, i) => `c${i}`).join(', ')}) VALUES (${types.map(([, value]) => value).join(', ')});
      ALTER DATABASE "${database.name}" SET timezone = 'Asia/Kathmandu';
      ALTER DATABASE "${database.name}" SET datestyle = 'German';
      ALTER DATABASE "${database.name}" SET intervalstyle = 'iso_8601';
      ALTER DATABASE "${database.name}" SET extra_float_digits = -3;
      ALTER DATABASE "${database.name}" SET bytea_output = 'escape';`);
    const config = configOf(database);
    const catalog = await discoverAll(config);
    const outcome = await readAll({ config, streams: configure(catalog, { matrix: {} }) });
    if (outcome.failures[0]) throw outcome.failures[0];
    line = outcome.lines[0] ?? '';
    const properties = catalog.streams.find(({ name }) => name === 'matrix')!.json_schema['properties'] as Record<string, { tapline_type: string }>;
    logical = Object.fromEntries(Object.entries(properties).map(([name, schema]) => [name, schema.tapline_type]));
  });
  afterAll(() => database.drop());

  test.each(matrix.map(([type, value, kind, wire], i) => [type, value, kind, wire, i] as const))('%s %s is %s and travels as %s', (_type, _value, kind, wire, i) => {
    expect(logical[`c${i}`]).toBe(kind);
    expect(wireText(line, `c${i}`)).toBe(wire);
    expect(wireText(line, `n${i}`)).toBe('null');
  });

  test.runIf(version === 18)('a scale that is negative, or beyond the precision, travels as text without bounds', () => {
    for (const [i, [, , kind, wire]] of types.slice(matrix.length).entries()) {
      expect(logical[`c${matrix.length + i}`]).toBe(kind);
      expect(wireText(line, `c${matrix.length + i}`)).toBe(wire);
    }
  });

  test('64-bit integers are looked at only where an index cannot rule out big ones, and come exact either way', async () => {
    await database.query(`CREATE TABLE ints (id bigint PRIMARY KEY, other bigint);
      INSERT INTO ints VALUES (1, 9223372036854775807), (9007199254740992, 2)`);
    const config = configOf(database);
    const catalog = await discoverAll(config);
    const both = await readAll({ config, streams: configure(catalog, { ints: {} }) });
    expect(both.lines.map((text) => text.slice(text.indexOf('"data":') + 7))).toEqual(['{"id":1,"other":"9223372036854775807"}}}', '{"id":"9007199254740992","other":2}}}']);
    await database.query(`DELETE FROM ints WHERE id > 1`);
    const one = await readAll({ config, streams: configure(catalog, { ints: {} }) });
    expect(one.lines[0]).toMatch(/"data":\{"id":1,"other":"9223372036854775807"\}\}\}$/);
  });
});
