import { duckdbType, fromJsonSchema } from '@tapline/catalog';
import type { CatalogBody, JsonSchema } from '@tapline/protocol';
import type { TestDatabase } from '@tapline/test/services';
import { testDatabase } from '@tapline/test/shared';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { BatchFolder } from '../fixtures/batch-folder.js';
import { quoteNumbers, same, sameType, wireSql } from '../fixtures/cells.js';
import { configOf, configure, discoverAll, readAll, wireText } from '../fixtures/harness.js';
import { strangeSettings, values, valuesFrom15, valueTypes } from '../fixtures/values.js';

describe.each([14, 18] as const)('values of PostgreSQL %i in batches', (version) => {
  let database: TestDatabase;
  let folder: BatchFolder;

  beforeAll(async () => {
    database = await testDatabase(version);
    folder = await BatchFolder.open();
    await database.query(`${valueTypes} ${strangeSettings(database.name)}`);
  });
  afterAll(async () => {
    await folder[Symbol.asyncDispose]();
    await database.drop();
  });

  /** Reads a table as lines and as batches, in the same order, and returns what differs. */
  async function differences(table: string): Promise<{ readonly different: string[]; readonly native: Record<string, boolean>; readonly strays: number; readonly rows: number }> {
    const config = configOf(database);
    const catalog: CatalogBody = await discoverAll(config);
    const streams = configure(catalog, { [table]: {} });
    const [lines, batched] = [await readAll({ config, streams }), await readAll({ config, streams, batches: folder })];
    for (const failure of [...lines.failures, ...batched.failures]) throw failure;
    const types = Object.entries(streams[0]!.stream.json_schema['properties'] as Record<string, JsonSchema>).map(([name, schema]) => [name, fromJsonSchema(schema)] as const);
    const different: string[] = [];
    const native: Record<string, boolean> = {};
    let row = 0;
    let strays = 0;
    for (const batch of batched.batches) {
      const from = folder.from(batch);
      const forms = new Map((await folder.query(`SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM ${from})`)).map(([name, type]) => [name!, type!]));
      const hasStrays = forms.has('_tapline_values');
      for (const [name, type] of types) native[name] = sameType(forms.get(name)!, duckdbType(type));
      const select = types.map(([name, type]) => wireSql(type, native[name]!, `"${name.replaceAll('"', '""')}"`));
      for (const cells of await folder.query(`SELECT ${[...select, hasStrays ? '_tapline_values' : 'NULL'].join(', ')} FROM ${from} ORDER BY row`)) {
        const texts = JSON.parse(cells.at(-1) ?? '{}') as Record<string, string>;
        strays += Object.keys(texts).length;
        types.forEach(([name, type], i) => {
          const json = JSON.parse(quoteNumbers(wireText(lines.lines[row] ?? '', name))) as string | boolean | null;
          const line = json === null ? null : String(json);
          const cell = cells[i] ?? texts[batch.columns.indexOf(name)] ?? null;
          if (!same(type, line, cell)) different.push(`${name} (${type.kind}) row ${row}: ${line} in a line, ${cell} in a batch`);
          if (cells[i] !== null && texts[batch.columns.indexOf(name)] !== undefined) different.push(`${name} row ${row}: twice`);
        });
        row++;
      }
      expect(batch.rows).toBe(row);
    }
    expect(row).toBe(lines.lines.length);
    return { different, native, strays, rows: row };
  }

  test('are those of lines, each type there is, and null', async () => {
    const types = version === 14 ? values : [...values, ...valuesFrom15];
    await database.query(`CREATE TABLE matrix (${types.map(([type], i) => `c${i} ${type}, n${i} ${type}`).join(', ')});
      INSERT INTO matrix (${types.map((_, i) => `c${i}`).join(', ')}) VALUES (${types.map(([, value]) => value).join(', ')})`);
    const { different, native, strays } = await differences('matrix');
    expect(different).toEqual([]);
    expect(types.filter((_, i) => !native[`c${i}`])).toEqual([]);
    // NaN in a decimal, four dates, 24:00, and six timestamps.
    expect(strays).toBe(types.filter(([, value, logical]) => (/^decimal[(]/.test(logical) && /NaN/.test(value)) || (/^(date|timestamp)/.test(logical) && /infinity|BC|294276/.test(value)) || /24:00/.test(value)).length);
  });

  test('are those of lines at the ends of what types hold', async () => {
    await database.query(`
      CREATE TABLE edges (id int PRIMARY KEY, d date, t time, ts timestamp, tz timestamptz, n9 numeric(9,4), n18 numeric(18,0), n18s numeric(18,18), n19 numeric(19,1), n38 numeric(38,0), n38s numeric(38,37), n numeric);
      INSERT INTO edges VALUES
        (1, '0001-01-01', '00:00', '0001-01-01', '0001-01-01 00:00+00', 99999.9999, 999999999999999999, 0.999999999999999999, 999999999999999999.9, repeat('9', 38)::numeric, 9.9999999999999999999999999999999999999, 1e1000),
        (2, '0001-12-31 BC', '23:59:59.999999', '0001-12-31 23:59:59.999999 BC', '0001-12-31 23:59:59.999999+00 BC', -99999.9999, -999999999999999999, -0.999999999999999999, -999999999999999999.9, -repeat('9', 38)::numeric, -9.9999999999999999999999999999999999999, -1e-1000),
        (3, '5874897-12-31', '24:00', '294247-01-10 04:00:54.775806', '294247-01-10 04:00:54.775806+00', 0.0001, 1, 0.000000000000000001, 0.1, 1, 0.0000000000000000000000000000000000001, '0.00000'),
        (4, '4713-01-01 BC', '00:00:00.000001', '294247-01-10 04:00:54.775807', '294247-01-10 04:00:54.775807+00', -0.0001, 1000000000000000, 0.1, 900719925474099.3, 9007199254740993, 0.1, '10000'),
        (5, '1999-12-31', '12:00', '1999-12-31 23:59:59.999999', '1999-12-31 23:59:59.999999+00', 10000, 123456789012345678, 0.123456789012345678, 123456789012345678.9, 85070591730234615865843651857942052864, 1.0000000000000000000000000000000000001, '-100000000.0001'),
        (6, '1970-01-01', '12:00', '1970-01-01', '1970-01-01 00:00+00', 1, 10000, 0.0001, 10000, 18446744073709551616, 0.00001, '0.0001'),
        (7, '2000-01-01', '12:00', '2000-01-01', '2000-01-01 00:00+00', 'NaN', 'NaN', 'NaN', 'NaN', 'NaN', 'NaN', 'NaN'),
        (8, '2000-02-29', '12:00', '2035-11-02 00:51:42.995456', '2035-11-02 00:51:42.995455+00', 0, 0, 0, 0, -85070591730234615865843651857942052864, 0, '12345678.000000000000')`);
    const { different, strays } = await differences('edges');
    expect(different).toEqual([]);
    expect(strays).toBe(2 + 1 + 2 * 2 + 6);
  });

  test('are those of lines, whatever they are', async () => {
    await database.query(`
      SELECT setseed(0.42);
      CREATE TABLE anything (id int PRIMARY KEY, b boolean, i2 smallint, i4 int, i8 bigint, f4 real, f8 double precision, n7_3 numeric(7,3), n15_5 numeric(15,5), n18_9 numeric(18,9), n30_12 numeric(30,12), n numeric,
        d date, t time, ts timestamp, tz timestamptz, u uuid, x text, j json, jb jsonb, y bytea, a numeric[], iv interval);
      INSERT INTO anything SELECT i,
        random() < 0.5, (random() * 65535 - 32768)::int, (random() * 4294967295 - 2147483648)::bigint, ((random() - 0.5) * 2 ^ (random() * 64))::bigint, exp((random() - 0.5) * 150) * sign(random() - 0.5), exp((random() - 0.5) * 1000),
        CASE WHEN random() > 0.1 THEN (random() - 0.5) * 10 ^ (random() * 4) END, (random() - 0.5)::numeric * 10 ^ (random() * 10)::int, (random() - 0.5)::numeric * 10 ^ (random() * 9)::int,
        (random()::numeric + 0.000000000123456) * 10 ^ (random() * 17)::int * 1.000000000000001, (random()::numeric - 0.5) * 10::numeric ^ ((random() - 0.5) * 60)::int,
        date '0001-01-01' + (random() * 3000000)::int, time '00:00' + random() * interval '24 hours', timestamp '0001-01-01' + random() * 9000 * interval '365 days', timestamptz '1900-01-01 00:00+00' + random() * 300 * interval '365 days',
        md5(random()::text)::uuid, repeat(chr(33 + (random() * 30000)::int), (random() * 40)::int), to_json(random()), jsonb_build_object('a', random(), 'b', repeat('ü', (random() * 20)::int)),
        decode(repeat(md5(random()::text), (random() * 3)::int), 'hex'), ARRAY[random()::numeric, NULL], random() * 1000 * interval '1 day'
      FROM generate_series(1, 3000) i`);
    const { different, rows } = await differences('anything');
    expect(different.slice(0, 20)).toEqual([]);
    expect(rows).toBe(3000);
  });
});
