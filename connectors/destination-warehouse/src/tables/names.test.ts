import { streamKey, type StreamDescriptor } from '@tapline/protocol';
import { describe, expect, test } from 'vitest';
import type { Dialect } from '../dialects/dialect.js';
import { duckdbDialect } from '../dialects/duckdb.js';
import { postgresDialect } from '../dialects/postgres.js';
import { columnName, identity, NameSet, openTableName, parseOpenTableName, safeName, tableOf, tablesOf, type NamePatterns } from './names.js';
import { Dice } from './dice.test.support.js';

const dialects: readonly Dialect[] = [duckdbDialect, postgresDialect];
const both = describe.each(dialects.map((dialect) => [dialect.name, dialect] as const));

both('on %s', (_name, dialect) => {
  test('a stream keeps its names: its namespace is the schema, its name the table', () => {
    for (const name of ['orders', 'Order Lines', 'select', 'naïve', '😀', 'dot.ted', 'say "hi"', ' ', 'pg_orders']) {
      expect(tableOf({ namespace: 'Sales', name }, dialect)).toEqual({ schema: 'Sales', table: name });
    }
  });

  test('a stream without a namespace goes to the schema that the engine has by default', () => {
    expect(tableOf({ name: 'orders' }, dialect).schema).toBe(dialect.defaultSchema);
    expect(tableOf({ name: 'orders', namespace: '' }, dialect, { schema: '{namespace}', table: 'raw_{stream}' })).toEqual({ schema: dialect.defaultSchema, table: 'raw_orders' });
  });

  test('patterns put namespace and stream where the user wants them', () => {
    expect(tableOf({ namespace: 'shop', name: 'orders' }, dialect, { schema: 'raw', table: '{namespace}__{stream}' })).toEqual({ schema: 'raw', table: 'shop__orders' });
    expect(() => tableOf({ name: 'orders' }, dialect, { table: '{table}' })).toThrow(`table_name: '{table}' is not known; there are {namespace} and {stream}`);
    expect(() => tableOf({ name: 'orders' }, dialect, { schema: '{constructor}' })).toThrow(/schema_name/);
  });

  test('schemas that the engine or we keep for ourselves get another name', () => {
    for (const namespace of ['information_schema', 'pg_catalog', '_tapline']) {
      const { schema } = tableOf({ namespace, name: 'orders' }, dialect);
      expect(schema).toBe(`_${namespace}`);
      expect(dialect.isReservedSchema(schema)).toBe(false);
    }
    expect(tableOf({ namespace: 'public', name: '_tapline_checkpoint' }, dialect).table).toBe('__tapline_checkpoint');
  });

  test('two streams that the patterns put into one table are refused, and both are named', () => {
    const streams = [{ namespace: 'a', name: 'orders' }, { namespace: 'b', name: 'orders' }];
    expect(() => tablesOf(streams, { dialect, patterns: { schema: 'raw' } })).toThrow(/the streams a\.orders and b\.orders would be written to one table, raw\.orders/);
    expect(() => tablesOf([{ name: 'orders' }, { namespace: dialect.defaultSchema, name: 'orders' }], { dialect })).toThrow(/one table/);
    expect(() => tablesOf(streams, { dialect, patterns: { schema: 'raw', table: '{namespace}_{stream}' } })).not.toThrow();
  });

  test('streams whose names differ in case only have tables of their own, and keep them whoever comes first', () => {
    const upper = { namespace: 'public', name: 'Orders' };
    const lower = { namespace: 'public', name: 'orders' };
    const one = tablesOf([lower, upper], { dialect });
    expect(new Set([...one.values()].map((table) => identity(table, dialect))).size).toBe(2);
    expect(tablesOf([upper, lower], { dialect })).toEqual(one);
    // The one that was there first keeps the plain name.
    const later = tablesOf([upper, lower], { dialect, recorded: new Map([[streamKey(lower), { schema: 'public', table: 'orders' }]]) });
    expect(later.get(streamKey(lower))!.table).toBe('orders');
    expect(later.get(streamKey(upper))!.table).toMatch(dialect.caseSensitive ? /^Orders$/ : /^Orders_[0-9a-f]{8}$/);
  });

  test('however odd the streams, each has a table that the engine can hold, its own, and always the same', () => {
    const dice = new Dice(61);
    for (let round = 0; round < 60; round++) {
      const streams = new Map<string, StreamDescriptor>();
      for (let i = 0; i < 12; i++) {
        const stream = { namespace: dice.pick(['public', 'Public', '', 'x'.repeat(70), 'x'.repeat(71), 'pg_a', dice.text()]), name: dice.pick(['orders', 'ORDERS', '', 'é'.repeat(40), 'é'.repeat(41), dice.text(), dice.text()]) };
        streams.set(streamKey(stream), stream);
      }
      const list = [...streams.values()];
      let tables: Map<string, { schema: string; table: string }>;
      try {
        tables = tablesOf(list, { dialect });
      } catch (error) {
        // No namespace, and one that is called like the default schema.
        expect(String(error)).toMatch(/would be written to one table/);
        continue;
      }
      expect(new Set([...tables.values()].map((table) => identity(table, dialect))).size).toBe(list.length);
      expect(tablesOf(dice.shuffled(list), { dialect })).toEqual(tables);
      // What is recorded stays, whoever joins.
      const known = new Map([...tables].filter(() => dice.below(2) === 0));
      const fewer = tablesOf(list.filter((stream) => known.has(streamKey(stream))), { dialect, recorded: known });
      for (const [key, table] of fewer) expect(table).toEqual(known.get(key));
      for (const { schema, table } of tables.values()) {
        for (const name of [schema, table]) {
          expect(Buffer.byteLength(name)).toBeLessThanOrEqual(dialect.maxNameBytes ?? Infinity);
          expect(name).not.toBe('');
          expect(name).not.toMatch(/\0|\p{Surrogate}/u);
        }
        expect(dialect.isReservedSchema(schema)).toBe(false);
        expect(schema.toLowerCase()).not.toBe('_tapline');
      }
    }
  });

  test('columns of one table never share a name, whatever their fields are called', () => {
    const dice = new Dice(62);
    for (let round = 0; round < 60; round++) {
      const taken = new NameSet(dialect, ['_airbyte_meta']);
      const names: string[] = [];
      for (let i = 0; i < 30; i++) {
        const name = columnName(dice.pick(['id', 'ID', 'ctid', 'rowid', '', '_airbyte_meta', 'y'.repeat(63), 'y'.repeat(64), 'y'.repeat(65), dice.text()]), dialect, taken);
        expect(taken.has(name)).toBe(false);
        expect(dialect.isReservedColumn(name)).toBe(false);
        expect(Buffer.byteLength(name)).toBeLessThanOrEqual(dialect.maxNameBytes ?? Infinity);
        taken.add(name);
        names.push(name);
      }
      expect(new Set(names.map((name) => (dialect.caseSensitive ? name : name.toLowerCase()))).size).toBe(names.length);
    }
  });

  test('the table of an open generation says whose it is, and is none of the streams\'', () => {
    const stream = { namespace: 'public', name: 'orders' };
    const name = openTableName({ sync: 'shop-to-lake', stream, generation: 12, table: { schema: 'public', table: 'orders' }, dialect });
    expect(parseOpenTableName(name.table)).toMatchObject({ generation: 12 });
    expect(name.schema).toBe(dialect.movesBetweenSchemas ? '_tapline' : 'public');
    expect(tableOf({ namespace: name.schema, name: name.table }, dialect)).not.toEqual(name);
    expect(parseOpenTableName('orders')).toBeUndefined();
  });
});

test('names that are too long are cut between characters, and told apart by what was cut off', () => {
  const names = ['é'.repeat(32), `${'é'.repeat(31)}ab`, '😀'.repeat(16), 'x'.repeat(64)].map((name) => safeName(name, postgresDialect));
  for (const name of names) expect(Buffer.byteLength(name)).toBeLessThanOrEqual(63);
  expect(safeName('x'.repeat(63), postgresDialect)).toBe('x'.repeat(63));
  expect(safeName('x'.repeat(64), postgresDialect)).toMatch(/^x{54}_[0-9a-f]{8}$/);
  expect(safeName(`${'x'.repeat(64)}a`, postgresDialect)).not.toBe(safeName(`${'x'.repeat(64)}b`, postgresDialect));
  expect(safeName('x'.repeat(64), duckdbDialect)).toBe('x'.repeat(64));
});

test('names with what no engine holds are told apart, too', () => {
  for (const dialect of dialects) {
    const names = ['a\0b', 'a\ufffdb', 'a\ud800b', 'a\udc00b'].map((name) => safeName(name, dialect));
    expect(new Set(names).size).toBe(4);
  }
});

test('a pattern without placeholders serves one stream', () => {
  const patterns: NamePatterns = { schema: 'raw', table: 'events' };
  expect(tablesOf([{ name: 'a' }], { dialect: postgresDialect, patterns }).get('a')).toEqual({ schema: 'raw', table: 'events' });
  expect(() => tablesOf([{ name: 'a' }, { name: 'b' }], { dialect: postgresDialect, patterns })).toThrow(/a and b/);
});
