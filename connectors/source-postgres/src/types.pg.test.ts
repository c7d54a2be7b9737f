import type { TestDatabase } from '@tapline/test/services';
import { testDatabase } from '@tapline/test/shared';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { configOf, configure, discoverAll, readAll, wireText } from './fixtures/harness.js';
import { strangeSettings, values, valuesFrom15, valueTypes } from './fixtures/values.js';

describe.each([14, 18] as const)('values of PostgreSQL %i', (version) => {
  let database: TestDatabase;
  let line = '';
  let logical: Record<string, unknown> = {};
  let types = values;

  beforeAll(async () => {
    database = await testDatabase(version);
    types = version === 14 ? values : [...values, ...valuesFrom15];
    await database.query(`${valueTypes}
      CREATE TABLE matrix (${types.map(([type], i) => `c${i} ${type}, n${i} ${type}`).join(', ')});
      INSERT INTO matrix (${types.map((_, i) => `c${i}`).join(', ')}) VALUES (${types.map(([, value]) => value).join(', ')});
      ${strangeSettings(database.name)}`);
    const config = configOf(database);
    const catalog = await discoverAll(config);
    const outcome = await readAll({ config, streams: configure(catalog, { matrix: {} }) });
    if (outcome.failures[0]) throw outcome.failures[0];
    line = outcome.lines[0] ?? '';
    const properties = catalog.streams.find(({ name }) => name === 'matrix')!.json_schema['properties'] as Record<string, { tapline_type: string }>;
    logical = Object.fromEntries(Object.entries(properties).map(([name, schema]) => [name, schema.tapline_type]));
  });
  afterAll(() => database.drop());

  test.each(values.map(([type, value, kind, wire], i) => [type, value, kind, wire, i] as const))('%s %s is %s and travels as %s', (_type, _value, kind, wire, i) => {
    expect(logical[`c${i}`]).toBe(kind);
    expect(wireText(line, `c${i}`)).toBe(wire);
    expect(wireText(line, `n${i}`)).toBe('null');
  });

  test.runIf(version === 18)('a scale that is negative, or beyond the precision, travels as text without bounds', () => {
    for (const [i, [, , kind, wire]] of types.slice(values.length).entries()) {
      expect(logical[`c${values.length + i}`]).toBe(kind);
      expect(wireText(line, `c${values.length + i}`)).toBe(wire);
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
