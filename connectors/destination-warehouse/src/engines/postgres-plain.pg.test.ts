import { join } from 'node:path';
import { duckdbType, type LogicalType } from '@tapline/catalog';
import { sqlString } from '@tapline/columnar';
import type { BatchType } from '@tapline/sdk/batch';
import { postgresVersions } from '@tapline/test/everyday';
import { testDatabase } from '@tapline/test/shared';
import type { TestDatabase } from '@tapline/test/services';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { PlainLoadColumn, PlainLoadRequest } from '../warehouse.js';
import { columnOf, writeBatch, type BatchValue } from '@tapline/test/batch-columns';
import { failure, openTestWarehouse, type TestWarehouse } from './postgres.test.support.js';

interface Kind {
  readonly type: LogicalType;
  /** In the file, where it is not named as the type is. */
  readonly as?: BatchType;
  readonly values: readonly BatchValue[];
}

const text: BatchType = { kind: 'text' };
const decimals = (precision: number): bigint[] => {
  const all = [0n, 1n, 5n, 9n, 10n, 99n, 100n, 9999n, 10_000n, 10_001n, 50_000n, 123_456n, 100_000_000n, 10n ** 15n + 1n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 53n + 1n, 2n ** 63n - 1n, 2n ** 64n, 10n ** BigInt(precision) - 1n, 10n ** BigInt(precision - 1)];
  return all.flatMap((value) => [value, -value]).filter((value) => (value < 0n ? -value : value) < 10n ** BigInt(precision));
};
const decimal = (precision: number, scale: number): Kind => ({ type: { kind: 'decimal', precision, scale }, values: decimals(precision) });
const second = 1_000_000n;

const kinds: Record<string, Kind> = {
  boolean: { type: { kind: 'boolean' }, values: [true, false, true] },
  int16: { type: { kind: 'int', bits: 16 }, values: [0, 1, -1, 32767, -32768] },
  int32: { type: { kind: 'int', bits: 32 }, values: [0, 1, -1, 2 ** 31 - 1, -(2 ** 31)] },
  int64: { type: { kind: 'int', bits: 64 }, values: [0, 1, -1, 2n ** 63n - 1n, -(2n ** 63n), 2n ** 32n] },
  float32: { type: { kind: 'float', bits: 32 }, values: [0, -1.5, Infinity, -Infinity, NaN, 1e-45] },
  float64: { type: { kind: 'float', bits: 64 }, values: [0, -1.5, Infinity, -Infinity, NaN, 5e-324, 1.7976931348623157e308] },
  d9_0: decimal(9, 0), d9_2: decimal(9, 2), d9_9: decimal(9, 9), d12_2: decimal(12, 2), d18_0: decimal(18, 0), d18_5: decimal(18, 5), d18_18: decimal(18, 18),
  d19_1: decimal(19, 1), d38_10: decimal(38, 10), d38_38: decimal(38, 38), d38_0: decimal(38, 0),
  digits: {
    type: { kind: 'bigdecimal' }, as: text,
    values: ['0', '0.0', '0.000', '1', '-1', '10', '1000', '9999', '10000', '100000000', '0.1', '0.0001', '0.00001', '-0.00000000000000000001', '12345.678900', '1.50', '-99999999999999999999999999999999999999999999.99999', `1${'0'.repeat(200)}`, `0.${'0'.repeat(99)}1`],
  },
  bytes: { type: { kind: 'bytes' }, values: [Buffer.alloc(0), Buffer.from([0, 255, 10]), Buffer.alloc(1000, 7)] },
  text: { type: { kind: 'text' }, values: ['', 'a', 'abc', 'ü😀', '\\N', 'x'.repeat(31), 'x'.repeat(32), 'y'.repeat(33), 'tab\tline\n', 'z'.repeat(600_000), 'after'] },
  json: { type: { kind: 'json', embedded: false }, as: text, values: ['{}', '{"b":1,"a":[1.50,null,"\\u00fc"]}', '12345678901234567890.123', '"x"', 'null'] },
  array: { type: { kind: 'array', of: { kind: 'text' } }, as: text, values: ['[]', '["a",null]'] },
  uuid: { type: { kind: 'uuid' }, as: text, values: ['6f9619ff-8b86-d011-b42d-00c04fc964ff', 'FFFFFFFF-0000-1111-AAAA-0123456789AB'] },
  date: { type: { kind: 'date' }, values: [0, -719_162, 10_957, 20_000, 2_932_896, 2_145_042_905] },
  time: { type: { kind: 'time' }, values: [0n, 86_399_999_999n, 1n, 43_200n * second] },
  timestamp: { type: { kind: 'timestamp' }, values: [0n, -1n, 1n, -62_135_596_800n * second, 946_684_800n * second, 946_684_799_999_999n, 253_402_300_799_999_999n, 2n ** 32n] },
  timestamptz: { type: { kind: 'timestamptz' }, values: [0n, -1n, 1_700_000_000_123_456n, 946_684_800n * second - 2n ** 32n] },
};

const rowsOf = (n: number) => ({ files: [{ rows: n, emittedAt: 1_700_000_000_123 }], order: undefined, orderPrefix: '00000000000000ab', firstRow: 254, rawIdPrefix: 'abcdef12-0007-', generation: 7, meta: '{"sync_id":3,"changes":[]}' });
const own = (['raw_id', 'extracted_at', 'meta', 'generation', 'order', 'null'] as const).map((kind): PlainLoadColumn => ({
  name: `own_${kind}`, value: { kind },
  type: kind === 'extracted_at' ? { kind: 'timestamptz' } : kind === 'meta' ? { kind: 'json', embedded: false } : kind === 'generation' ? { kind: 'int', bits: 64 } : { kind: 'text' },
}));
const typesOf = (columns: readonly PlainLoadColumn[]): Record<string, LogicalType> => Object.fromEntries(columns.map(({ name, type }) => [name, type]));

describe.each(postgresVersions('plain'))('rows of batch files in PostgreSQL %i', (version) => {
  let database: TestDatabase;
  let at: TestWarehouse;
  let files = 0;
  beforeAll(async () => {
    database = await testDatabase(version);
    at = await openTestWarehouse(database);
  });
  afterAll(async () => {
    await at[Symbol.asyncDispose]();
    await database.drop();
  });
  beforeEach(() => database.query('DROP SCHEMA IF EXISTS s CASCADE; CREATE SCHEMA s'));

  const table = (name: string) => ({ schema: 's', table: name });
  const file = async (columns: readonly { readonly type: BatchType; readonly values: readonly BatchValue[] }[]): Promise<string> => {
    const path = join(at.scratch, `${++files}.parquet`);
    await writeBatch(path, columns.map(({ type, values }) => columnOf(type, values)));
    return path;
  };
  const load = (request: PlainLoadRequest): Promise<number | undefined> => at.warehouse.transaction(() => at.warehouse.loadPlain!(request));
  const shown = async (name: string, columns: readonly PlainLoadColumn[]): Promise<unknown[]> =>
    (await database.query(`SELECT ${columns.map((column) => `${column.name}::text`).join(', ')} FROM s.${name} ORDER BY ctid`)).map((row) => Object.values(row));

  test.each(Object.entries(kinds))('%s: every value, and null, is as the engine brings it', async (name, { type, as, values }) => {
    const column: PlainLoadColumn = { name: 'v', type, value: { kind: 'field', index: 0 } };
    for (const all of [values, values.flatMap((value, i) => (i % 2 === 0 ? [null, value] : [value, null, null])), [null]]) {
      const path = await file([{ type: as ?? (type as BatchType), values: all }]);
      await database.query('DROP TABLE IF EXISTS s.ours, s.engine');
      for (const to of ['ours', 'engine']) await at.make(table(to), { v: type });
      expect(await load({ table: table('ours'), columns: [column], parts: [{ rows: { ...rowsOf(all.length), columns: new Map() }, paths: [path] }], unseen: false })).toBe(all.length);
      await at.load(table('engine'), { v: type }, `SELECT CAST(c0 AS ${duckdbType(type)}) FROM read_parquet(${sqlString(path)})`);
      expect(await shown('ours', [column]), name).toEqual(await shown('engine', [column]));
    }
  });

  test.each([true, false])('have an order, an id, a time and the rest of their own, over several files; unseen: %s', async (unseen) => {
    const columns: PlainLoadColumn[] = [{ name: 'id', type: { kind: 'int', bits: 64 }, value: { kind: 'field', index: 0 } }, ...own];
    const counts = [3, 1, 5000];
    const paths: string[] = [];
    for (const count of counts) paths.push(await file([{ type: { kind: 'int', bits: 64 }, values: Array.from({ length: count }, (_, i) => i) }]));
    await at.make(table('t'), typesOf(columns));
    const rows = { ...rowsOf(0), files: counts.map((count, i) => ({ rows: count, emittedAt: 1_700_000_000_123 + i })), columns: new Map() };
    expect(await load({ table: table('t'), columns, parts: [{ rows, paths }], unseen })).toBe(5004);
    const found = await shown('t', columns);
    expect(found.slice(0, 5)).toEqual([0, 1, 2, 0, 0].map((id, i) => {
      const order = `00000000000000ab${(254 + i).toString(16).padStart(16, '0')}`;
      return [String(id), `abcdef12-0007-${order}`, `2023-11-14 22:13:20.12${i < 3 ? 3 : i + 1}+00`, '{"changes": [], "sync_id": 3}', '7', order, null];
    }));
    expect(new Set(found.map((row) => (row as string[])[5])).size).toBe(5004);
    expect((found.at(-1) as string[])[5]).toBe(`00000000000000ab${(254 + 5003).toString(16).padStart(16, '0')}`);
    // Nothing stays behind that a later row would be given.
    expect(await database.query(`SELECT 1 FROM pg_attrdef WHERE adrelid = 's.t'::regclass`)).toEqual([]);
  });

  test('take the order that the source gave', async () => {
    const columns: PlainLoadColumn[] = [{ name: 'order_given', type: { kind: 'text' }, value: { kind: 'order' } }, { name: 'raw', type: { kind: 'text' }, value: { kind: 'raw_id' } }];
    const path = await file([{ type: text, values: ['b1', 'b2'] }]);
    await at.make(table('t'), typesOf(columns));
    await load({ table: table('t'), columns, parts: [{ rows: { ...rowsOf(2), order: 0, columns: new Map() }, paths: [path] }], unseen: true });
    expect(await shown('t', columns)).toEqual([['b1', 'abcdef12-0007-b1'], ['b2', 'abcdef12-0007-b2']]);
  });

  const refused: Record<string, Kind> = {
    'a text with a NUL': { type: { kind: 'text' }, values: ['fine', 'a\0b'] },
    'a JSON with one': { type: { kind: 'json', embedded: false }, as: text, values: ['{"a":"\\u0000"}'] },
    'a JSON that is none': { type: { kind: 'json', embedded: false }, as: text, values: ['{"a":NaN}'] },
    'a date before the year 1': { type: { kind: 'date' }, values: [0, -719_163] },
    'a date that is none': { type: { kind: 'date' }, values: [0, 2_145_042_906] },
    'a timestamp before the year 1': { type: { kind: 'timestamp' }, values: [-62_135_596_800n * second - 1n] },
    'the end of time': { type: { kind: 'timestamptz' }, values: [2n ** 63n - 1n] },
    'a time of 24 hours': { type: { kind: 'time' }, values: [86_400n * second] },
    'a number that is none': { type: { kind: 'bigdecimal' }, as: text, values: ['1', 'NaN'] },
    'a number with an exponent': { type: { kind: 'bigdecimal' }, as: text, values: ['1e3'] },
    'a number without digits': { type: { kind: 'bigdecimal' }, as: text, values: ['-'] },
    'more digits than there can be': { type: { kind: 'bigdecimal' }, as: text, values: [`0.${'1'.repeat(16_384)}`] },
    'another spelling of a uuid': { type: { kind: 'uuid' }, as: text, values: ['{6f9619ff-8b86-d011-b42d-00c04fc964ff}'] },
    'an interval': { type: { kind: 'interval' }, as: text, values: ['1 day'] },
    'a text that is not UTF-8': { type: { kind: 'text' }, values: [Buffer.from([0xc3, 0x28])] },
  };
  test.each(Object.entries(refused))('%s is left to the engine, and nothing of the copy stays', async (_name, { type, as, values }) => {
    const columns: PlainLoadColumn[] = [{ name: 'v', type, value: { kind: 'field', index: 0 } }, ...own];
    const path = await file([{ type: as ?? (type as BatchType), values }]);
    await at.make(table('t'), typesOf(columns));
    await at.warehouse.transaction(async () => {
      await at.warehouse.run('CREATE TABLE s.before (n int)');
      const request = { table: table('t'), columns, parts: [{ rows: { ...rowsOf(values.length), columns: new Map() }, paths: [path] }], unseen: true };
      expect(await at.warehouse.loadPlain!(request)).toBeUndefined();
      // The transaction goes on.
      await at.warehouse.run('INSERT INTO s.before VALUES (1)');
    });
    expect(await database.query('SELECT (SELECT count(*)::int FROM s.t) AS rows, (SELECT count(*)::int FROM s.before) AS before')).toEqual([{ rows: 0, before: 1 }]);
    expect(await database.query(`SELECT 1 FROM pg_attrdef WHERE adrelid = 's.t'::regclass`)).toEqual([]);
  });

  test('do not go into a column that somebody gave another type of the same size', async () => {
    const column: PlainLoadColumn = { name: 'v', type: { kind: 'int', bits: 32 }, value: { kind: 'field', index: 0 } };
    const path = await file([{ type: { kind: 'int', bits: 32 }, values: [1] }]);
    await at.make(table('t'), { v: { kind: 'float', bits: 32 } });
    expect(await load({ table: table('t'), columns: [column], parts: [{ rows: { ...rowsOf(1), columns: new Map() }, paths: [path] }], unseen: false })).toBeUndefined();
    expect(await shown('t', [column])).toEqual([]);
  });

  test('are gone, and the failure is told, when the connection is lost among them', async () => {
    const column: PlainLoadColumn = { name: 'v', type: { kind: 'int', bits: 32 }, value: { kind: 'field', index: 0 } };
    const rows = 3_000_000;
    const path = await file([{ type: { kind: 'int', bits: 32 }, values: Array.from({ length: rows }, () => 1) }]);
    await at.make(table('t'), { v: { kind: 'int', bits: 32 } });
    const loading = failure(load({ table: table('t'), columns: [column], parts: [{ rows: { ...rowsOf(rows), columns: new Map() }, paths: [path] }], unseen: true }));
    const end = `SELECT pg_terminate_backend(pid) FROM pg_stat_progress_copy WHERE relid = 's.t'::regclass AND tuples_processed > 0`;
    await expect.poll(() => database.query(end), { timeout: 20_000, interval: 5 }).toHaveLength(1);
    expect(await loading).toMatchObject({ kind: 'transient_error' });
    expect(await shown('t', [column])).toEqual([]);
  });

  test('of a file with other rows than it said are left to the engine, which says so', async () => {
    const column: PlainLoadColumn = { name: 'v', type: { kind: 'int', bits: 32 }, value: { kind: 'field', index: 0 } };
    const path = await file([{ type: { kind: 'int', bits: 32 }, values: [1, 2] }]);
    await at.make(table('t'), { v: { kind: 'int', bits: 32 } });
    expect(await load({ table: table('t'), columns: [column], parts: [{ rows: { ...rowsOf(3), columns: new Map() }, paths: [path] }], unseen: false })).toBeUndefined();
  });
});
