/** What becomes of values: the standard cases of types, and every type of PostgreSQL on its way through the runner. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { PostgresVersion } from '../services/postgres-binaries.js';
import type { TestDatabase } from '../services/test-database.js';
import { columnsIn, rowsIn, testWarehouse, warehouseKinds, type TestWarehouse, type WarehouseRow, type WarehouseValue } from '../harness/warehouse.js';
import { explain, workspace } from '../harness/workspace.js';
import { availableTypes } from './available-types.js';
import { differences, matrix, settings, type ReadRow, type TypeCase } from './types-matrix.js';
import { boolean, instant, integer, number, Stream, string, whole, write, type Property } from './warehouse-writer.js';

interface Change {
  readonly field: string;
  readonly change: string;
  readonly reason: string;
}
const changesOf = (row: WarehouseRow): readonly Change[] => (JSON.parse(String(row['_airbyte_meta'])) as { changes?: Change[] }).changes ?? [];
const changed = (row: WarehouseRow): string[] => changesOf(row).map(({ field }) => field).toSorted();
const nulled = (field: string): Change => ({ field, change: 'NULLED', reason: 'DESTINATION_TYPECAST_ERROR' });

describe.each(warehouseKinds)('%s', (kind) => {
  let at: TestWarehouse;
  beforeAll(async () => void (at = await testWarehouse(kind)));
  afterAll(() => at?.dispose());
  const inOrder = (schema: string): Promise<WarehouseRow[]> => rowsIn(at, schema, 'items');

  test('basic types: each value in its own column type, a value that is none null with an entry, and the row stays', async () => {
    const columns: Record<string, Property> = {
      id: integer, string, number, integer, boolean, instant,
      local: { ...instant, airbyte_type: 'timestamp_without_timezone' },
      date: { ...string, format: 'date' },
      time: { ...string, format: 'time', airbyte_type: 'time_without_timezone' },
      zoned: { ...string, format: 'time', airbyte_type: 'time_with_timezone' },
    };
    const stream = new Stream('basic', 'items', columns);
    const good = {
      string: 'foo', number: 52.1, integer: 42, boolean: true, instant: '2023-01-23T11:34:56-01:00', local: '2023-01-23T12:34:56', date: '2023-01-23', time: '12:34:56', zoned: '11:34:56-01:00',
    };
    const bad = { string: null, number: 'foo', integer: 'foo', boolean: 'foo', instant: 'foo', local: 'foo', date: 'foo', time: 'foo' };
    await write(at, {
      streams: [stream], sync: 'basic',
      lines: [
        stream.record({ id: 1, ...good }),
        stream.record({ id: 2, ...Object.fromEntries(Object.keys(good).map((name) => [name, null])) }),
        stream.record({ id: 3 }),
        stream.record({ id: 4, ...bad }),
        stream.recordText('{"id":5,"string":"","integer":9223372036854775807,"number":1.7976931348623157e308,"boolean":false}'),
        stream.recordText('{"id":6,"integer":9223372036854775808,"number":1e400,"date":"2023-02-29","instant":"0044-03-15T00:00:00Z BC","time":"24:00:01"}'),
        stream.record({ id: 7, integer: 1.5, date: '9999-12-31', instant: '9999-12-31T23:59:59.999999Z', local: '0001-01-01T00:00:00' }),
        stream.state(1), stream.complete(),
      ],
    });
    const rows = await inOrder('basic');
    const values = (row: WarehouseRow) => Object.fromEntries(Object.keys(columns).map((name) => [name, row[name]]));
    expect(values(rows[0]!)).toEqual({
      id: '1', ...good, integer: '42', instant: '2023-01-23T12:34:56.000000', local: '2023-01-23T12:34:56.000000', time: '12:34:56.000000',
    });
    for (const row of [rows[1]!, rows[2]!]) {
      expect(Object.values(values(row)).filter((value) => value !== null)).toHaveLength(1);
      expect(changesOf(row)).toEqual([]);
    }
    expect(Object.values(values(rows[3]!)).filter((value) => value !== null)).toEqual(['4']);
    expect(changesOf(rows[3]!)).toEqual(expect.arrayContaining(Object.keys(bad).filter((name) => name !== 'string').map(nulled)));
    expect(changed(rows[3]!)).toHaveLength(7);
    expect(values(rows[4]!)).toMatchObject({ string: '', integer: '9223372036854775807', number: 1.7976931348623157e308, boolean: false });
    expect(changesOf(rows[4]!)).toEqual([]);
    expect(changed(rows[5]!)).toEqual(['date', 'instant', 'integer', 'number', 'time']);
    expect(values(rows[6]!)).toMatchObject({ integer: null, date: '9999-12-31', instant: '9999-12-31T23:59:59.999999', local: '0001-01-01T00:00:00.000000' });
    expect(changed(rows[6]!)).toEqual(['integer']);
    const types = await columnsIn(at, 'basic', 'items');
    expect(Object.keys(columns).map((name) => types[name])).toEqual(
      kind === 'duckdb'
        ? ['BIGINT', 'VARCHAR', 'DOUBLE', 'BIGINT', 'BOOLEAN', 'TIMESTAMP WITH TIME ZONE', 'TIMESTAMP', 'DATE', 'TIME', 'VARCHAR']
        : ['bigint', 'text', 'double precision', 'bigint', 'boolean', 'timestamp with time zone', 'timestamp without time zone', 'date', 'time without time zone', 'text'],
    );
  });

  const jsonIn = (value: WarehouseValue | undefined): unknown => (value === null ? null : JSON.parse(String(value)));

  test('container types: objects and arrays, declared or not, deep or empty, come back as they were, digits and all', async () => {
    const columns = {
      id: integer,
      object: { type: ['null', 'object'], properties: { a: integer } }, schemaless: { type: 'object' }, empty: { type: 'object', properties: {} },
      array: { type: ['null', 'array'], items: integer }, bare: { type: 'array' },
    };
    const stream = new Stream('containers', 'items', columns);
    const deep = { a: [{ b: [[null, true, { c: 'é🎉"\\\n' }]] }], 'with "quote"': { '': 1 } };
    const sent = [
      { id: 1, object: { a: 1 }, schemaless: { any: 'thing', n: [1, 2.5] }, empty: {}, array: [1, null, 3], bare: ['x', 1, { y: [] }] },
      { id: 2, object: deep, schemaless: deep, empty: { x: 1 }, array: [], bare: [[[]]] },
      { id: 3, object: null, schemaless: null, empty: null, array: null, bare: null },
      { id: 4, object: 'a string', schemaless: [1], empty: 7, array: { not: 'an array' }, bare: false },
    ];
    await write(at, {
      streams: [stream], sync: 'containers',
      lines: [...sent.map((row) => stream.record(row)), stream.recordText('{"id":5,"object":{"n":12345678901234567890.123456789,"big":18446744073709551615}}'), stream.state(1), stream.complete()],
    });
    const rows = await inOrder('containers');
    for (const [i, row] of sent.entries()) {
      const { id: _id, ...values } = row;
      for (const [name, value] of Object.entries(values)) expect(jsonIn(rows[i]![name]), `${row.id} ${name}`).toEqual(value);
      expect(changesOf(rows[i]!)).toEqual([]);
    }
    expect(rows[4]!['object']).toMatch(/12345678901234567890\.123456789/);
    expect(rows[4]!['object']).toMatch(/18446744073709551615/);
    const types = await columnsIn(at, 'containers', 'items');
    for (const name of ['object', 'schemaless', 'empty', 'array', 'bare']) expect(types[name], name).toBe(kind === 'duckdb' ? 'VARCHAR' : 'jsonb');
  });

  test('unions and unknown types: a column that may be several things holds each as JSON; an unknown type loses nothing', async () => {
    const columns: Record<string, Property> = {
      id: integer,
      either: { type: ['null', 'integer', 'string'] }, one: { oneOf: [{ type: 'integer' }, { type: 'object' }] }, any: { anyOf: [{ type: 'array' }, { type: 'string' }] },
      empty: {}, potato: { type: 'potato' }, format: { type: 'string', format: 'potato' }, listed: { type: ['null'] },
    };
    const stream = new Stream('unions', 'items', columns);
    const values = [42, 'foo', '42', true, 1.5, { a: 'b' }, [1, 'x'], '', 'null'];
    const sent = values.map((value, id) => ({ id, ...Object.fromEntries(Object.keys(columns).slice(1).map((name) => [name, name === 'format' ? 'a string' : value])) }));
    await write(at, { streams: [stream], sync: 'unions', lines: whole(stream, sent) });
    const rows = await inOrder('unions');
    for (const [i, { id: _id, ...fields }] of sent.entries()) {
      for (const [name, value] of Object.entries(fields)) {
        if (name === 'format') expect(rows[i]![name]).toBe(value);
        else expect(jsonIn(rows[i]![name]), `${JSON.stringify(value)} in ${name}`).toEqual(value);
      }
      expect(changesOf(rows[i]!)).toEqual([]);
    }
  });

  test('what only one engine cannot hold (NUL in text and JSON, half a surrogate pair) is null with an entry there, and whole elsewhere', async () => {
    const stream = new Stream('refused', 'items', { id: integer, text: string, json: { type: 'object' }, fine: string });
    const texts = ['{"id":1,"text":"a\\u0000b","json":{"k":"\\u0000"},"fine":"x"}', '{"id":2,"text":"ok","json":{"k":"\\ud800"},"fine":"x"}', '{"id":3,"text":"ok","json":{"k":"\\\\u0000"},"fine":"\\u0001\\u2028"}'];
    const written = await write(at, { streams: [stream], sync: 'refused', lines: [...texts.map((text) => stream.recordText(text)), stream.state(1), stream.complete()] });
    expect(written.counted()).toBe(3);
    const rows = await inOrder('refused');
    if (kind === 'duckdb') {
      expect(rows[0]!['text']).toBe('a\0b');
      expect(jsonIn(rows[0]!['json'])).toEqual({ k: '\0' });
      expect(rows.flatMap(changesOf)).toEqual([]);
    } else {
      expect([rows[0]!['text'], rows[0]!['json'], rows[1]!['json']]).toEqual([null, null, null]);
      expect(changesOf(rows[0]!)).toEqual(expect.arrayContaining([nulled('text'), nulled('json')]));
      expect(changesOf(rows[1]!)).toEqual([nulled('json')]);
    }
    expect(rows[0]!['fine']).toBe('x');
    expect(rows[2]).toMatchObject({ text: 'ok', fine: '\u0001\u2028' });
    expect(jsonIn(rows[2]!['json'])).toEqual({ k: '\\u0000' });
    expect(changesOf(rows[2]!)).toEqual([]);
  });

  test('every type of PostgreSQL is the same value in the warehouse, copied as a whole and merged by its key', async () => {
    const version: PostgresVersion = kind === 'postgres14' ? 14 : 18;
    const source = await workspace({ version });
    const kept = matrix(version, await availableTypes(source.database));
    await source.database.query(`${settings} ${kept.seed}`);
    const truth = await source.database.query<Record<string, string | null>>(`${settings} ${kept.expected}`);
    const sync = async (mode: string): Promise<void> => {
      const outcome = await source.sync(['--dest', at.uri, '--sync', 'matrix', '--mode', `public.matrix=${mode}`]);
      expect(outcome.exitCode, explain(outcome)).toBe(0);
    };
    const compare = async (): Promise<string[]> => {
      const types = await columnsIn(at, 'public', 'matrix');
      const asJson = kept.cases.filter(({ column }) => types[column] === 'jsonb');
      const { cases, expected } = await throughJsonb(source.database, kept.cases, truth, new Set(asJson.map(({ column }) => column)));
      const rows = await rowsIn(at, 'public', 'matrix');
      const wrong = kind === 'duckdb' ? kept.cases.filter((one) => one.parquet && types[one.column] !== duckdbNames[one.parquet.replace(/\(.*/, '')]?.(one.parquet)) : [];
      return [...wrong.map((one) => `${one.column} (${one.type}) is ${types[one.column]}`), ...differences(cases, expected, rows.map((row) => readRow(row, cases)))];
    };
    for (const mode of kind === 'postgres14' ? ['incremental:id/append_dedup'] : ['full_refresh/overwrite', 'incremental:id/append_dedup']) {
      await sync(mode);
      expect(await compare(), mode).toEqual([]);
    }
  });
});

const duckdbNames: Readonly<Record<string, (parquet: string) => string>> = {
  boolean: () => 'BOOLEAN', int16: () => 'SMALLINT', int32: () => 'INTEGER', int64: () => 'BIGINT', float32: () => 'FLOAT', float64: () => 'DOUBLE', string: () => 'VARCHAR', bytes: () => 'BLOB',
  date: () => 'DATE', timestamp: () => 'TIMESTAMP', timestamptz: () => 'TIMESTAMP WITH TIME ZONE', decimal: (parquet) => parquet.toUpperCase(),
};

const canonical = (value: WarehouseValue): string | null => (value === null ? null : Object.is(value, -0) ? '-0' : String(value));

function readRow(row: WarehouseRow, cases: readonly TypeCase[]): ReadRow {
  const values = cases.filter(({ column }) => column in row).map(({ column }) => [column, canonical(row[column]!)] as const);
  return { id: Number(row['id']), values: Object.fromEntries(values), changed: new Set(changesOf(row).map(({ field }) => field)) };
}

/** What PostgreSQL itself makes of those columns' texts as jsonb; what it refuses cannot be held. */
async function throughJsonb(database: TestDatabase, cases: readonly TypeCase[], truth: readonly Record<string, string | null>[], columns: ReadonlySet<string>) {
  const client = await database.connect();
  const refused = new Map<string, number[]>();
  const expected: Record<string, string | null>[] = [];
  try {
    for (const row of truth) {
      const values = { ...row };
      for (const column of columns) {
        const text = row[column];
        if (text === null || text === undefined) continue;
        try {
          values[column] = (await client.query<{ j: string }>('SELECT $1::jsonb::text AS j', [text])).rows[0]!.j;
        } catch {
          refused.set(column, [...(refused.get(column) ?? []), Number(row['id'])]);
        }
      }
      expected.push(values);
    }
  } finally {
    await client.end();
  }
  return { cases: cases.map((one) => (refused.has(one.column) ? { ...one, unholdable: [...(one.unholdable ?? []), ...refused.get(one.column)!] } : one)), expected };
}
