import type { LogicalType } from '@tapline/catalog';
import { duckdbType } from '@tapline/catalog';
import { DuckDBInstance, type DuckDBConnection } from '@duckdb/node-api';
import { testDatabase } from '@tapline/test/shared';
import type { TestDatabase } from '@tapline/test/services';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { postgresDialect } from './postgres.js';
import { refusePostgres } from './postgres-refuse.js';

const json: LogicalType = { kind: 'json', embedded: false };
const bigdecimal: LogicalType = { kind: 'bigdecimal' };
const interval: LogicalType = { kind: 'interval' };
const uuid: LogicalType = { kind: 'uuid' };

const nested = (depth: number, open: string, close: string): string => `${open.repeat(depth)}1${close.repeat(depth)}`;

const held: readonly (readonly [LogicalType, readonly string[]])[] = [
  [{ kind: 'text' }, ['', 'NULL', '\\.', 'ü😀\n\t']],
  [bigdecimal, [
    '0', '-1.5', '+5', '.5', '5.', '1e+5', '1.e5', 'NaN', 'Infinity', '-infinity', '0012', '9'.repeat(131_072), `0.${'1'.repeat(16_383)}`, '1e131071', '1e-16383', `-${'9'.repeat(1200)}.5`,
  ]],
  [interval, [
    '00:00:00', '-00:00:00.5', '1 year 2 mons -3 days +04:05:06.789', '178956970 years 7 mons', '-178956970 years -8 mons', '-2147483648 days', '2147483647 days 01:00:00',
    '1 day', '5 years ', '100:00:00', '2147483647:59:59', 'P1Y2M3DT4H5M6.5S', 'PT0.000001S', 'P3W', 'P-1Y',
  ]],
  [uuid, ['6f9619ff-8b86-d011-b42d-00c04fc964ff', '{6F9619FF8B86D011B42D00C04FC964FF}', '6F96-19FF-8B86-D011-B42D-00C0-4FC9-64FF']],
  [json, [
    'null', '"x"', '1e+5', '-0', '{"a":[1,2.50,"\\u00e9","\\\\u0000","NaN,]",",}"],"b":{"c":null}}', '"\\ud83d\\ude00"', '"nan"', ' [1 , 2] ', '12345678901234567890.12345', '"e+999999"',
    nested(6000, '[', ']'), nested(5000, '{"a":', '}'), `[${'[1],'.repeat(20_000)}[]]`, `"${'x'.repeat(100_000)}"`, `["${'[{'.repeat(10_000)}"]`, '9'.repeat(131_072), '{"a":1,"a":2}',
  ]],
];

const refused: readonly (readonly [LogicalType, readonly string[]])[] = [
  [{ kind: 'text' }, ['\0', 'a\0b']],
  [bigdecimal, ['', 'abc', '1,5', '0x1F', '1_000', '1 ', '--1', '1e', '9'.repeat(131_073), `0.${'1'.repeat(16_384)}`, '1e131072', '1e-16384', '1e400000', '1e-400000', '1e99999999999999999999', `1${'0'.repeat(100_000)}e40000`]],
  [interval, [
    '', 'x', 'P', 'PT', '1 fortnight', '00:60:00', '178956970 years 8 mons', '-178956970 years -9 mons', '2147483648 days', '-2147483649 days', '2562047788:00:54.775808', '9999999999:00:00', '1 year 1 year',
  ]],
  [uuid, ['', '6F9619FF-8B86-D011-B42D-00C04FC964F', '{6F9619FF8B86D011B42D00C04FC964FF', 'urn:uuid:6F9619FF-8B86-D011-B42D-00C04FC964FF', 'x']],
  [json, [
    '', ' ', 'nul', '01', '[1,]', '{"a":1,}', 'NaN', '[nan]', '-Infinity', '"\\u0000"', '{"a\\u0000":1}', '"\\\\\\u0000"', '"\\ud800"', '"x\\udc00"', '1e+400000', '[1e+131072]', '1e+99999999999999999999', '9'.repeat(131_073),
    `0.${'1'.repeat(16_384)}`, nested(20_000, '[', ']'), nested(20_000, '{"a":', '}'), '"\n"', "{'a':1}", '[1]//',
  ]],
];

describe.each([14, 18] as const)('what PostgreSQL %i does not hold', (version) => {
  let database: TestDatabase;
  let engine: DuckDBConnection;
  beforeAll(async () => {
    database = await testDatabase(version);
    engine = await (await DuckDBInstance.create(':memory:')).connect();
  });
  afterAll(async () => {
    engine.closeSync();
    await database.drop();
  });

  const refuses = async (type: LogicalType, value: string): Promise<unknown> => {
    const result = await engine.runAndReadAll(`SELECT ${refusePostgres(version)(type, 'v') ?? 'false'} AS refused FROM (SELECT $1::${duckdbType(type)} AS v)`, [value]);
    return result.getRowObjectsJson()[0]!['refused'];
  };
  const takes = (type: LogicalType, value: string): Promise<boolean> =>
    database.query(`SELECT $1::${postgresDialect.type(type)} IS NOT NULL AS taken`, [value]).then(() => true, () => false);
  const short = (value: string): string => (value.length > 60 ? `${value.slice(0, 20)}… (${value.length})` : value);

  test.each(held)('$kind: what the server takes is not refused', async (type, values) => {
    for (const value of values) expect({ value: short(value), refused: await refuses(type, value), taken: await takes(type, value) }).toEqual({ value: short(value), refused: false, taken: true });
  });

  test.each(refused)('$kind: what the server does not take is refused', async (type, values) => {
    const lenient = new Set(['1 ', 'PT', '0x1F', '1_000']);
    for (const value of values) {
      expect({ value: short(value), refused: await refuses(type, value) }).toEqual({ value: short(value), refused: true });
      if (!lenient.has(value)) expect({ value: short(value), taken: await takes(type, value) }).toEqual({ value: short(value), taken: false });
    }
  });

  test('infinite and very long intervals are held by the versions that know them', async () => {
    for (const value of ['infinity', '-infinity', '2562047788:00:54.775807', '-2562047788:00:54.775807']) {
      expect({ value, refused: await refuses(interval, value) }).toEqual({ value, refused: version === 14 });
      expect({ value, taken: await takes(interval, value) }).toEqual({ value, taken: version === 18 });
    }
  });

  test('a date beyond the last one is refused, and null never is', async () => {
    expect(await refuses({ kind: 'date' }, '5874897-12-31')).toBe(false);
    expect(await refuses({ kind: 'date' }, '5874898-01-01')).toBe(true);
    for (const type of [json, bigdecimal, interval, uuid, { kind: 'text' } as const, { kind: 'date' } as const]) {
      const result = await engine.runAndReadAll(`SELECT count(*) AS n FROM (SELECT NULL::${duckdbType(type)} AS v) WHERE ${refusePostgres(version)(type, 'v')}`);
      expect(result.getRowObjectsJson()).toEqual([{ n: '0' }]);
    }
  });
});
