import { duckdbType, type LogicalType } from '@tapline/catalog';
import type { TestDatabase } from '@tapline/test/services';
import { testDatabase } from '@tapline/test/shared';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { BatchFolder } from '../../fixtures/batch-folder.js';
import { quoteNumbers, same, sameType, wireSql } from '../../fixtures/cells.js';
import { wireText } from '../../fixtures/harness.js';
import { Log } from '../../fixtures/log.js';
import { strangeSettings, values, valuesFrom15, valueTypes } from '../../fixtures/values.js';
import { binaryForm } from '../../batch/forms.js';
import { findRelations, findTypes } from '../../relations.js';
import { columnType } from '../../types.js';
import { binaryValue } from '../decode/binary-values.js';
import { readMessage, type WireRelation } from '../decode/messages.js';
import type { LogForm } from '../decode/tuple.js';

const own: readonly (readonly [string, LogicalType])[] = [['_ab_cdc_lsn', { kind: 'int', bits: 64 }], ['_ab_cdc_updated_at', { kind: 'timestamptz' }], ['_ab_cdc_deleted_at', { kind: 'timestamptz' }], ['_tapline_order', { kind: 'text' }]];

/** Types of the list whose binary form is not known here. */
const inTextAlone = [
  '"char"', 'timetz', 'interval', 'pair', 'ids', 'money', 'bit(3)', 'varbit', 'xml', 'inet', 'cidr', 'macaddr', 'point', 'box', 'int4range', 'tstzrange', 'int4multirange', 'tsvector', 'oid', 'pg_lsn', 'regclass',
  'int2vector', 'hstore',
];
const isInTextAlone = (type: string): boolean => type.endsWith('[]') || inTextAlone.includes(type);

describe.each([14, 18] as const)('values of changes of PostgreSQL %i in columns', (version) => {
  let database: TestDatabase;
  let folder: BatchFolder;
  let log: Log;

  beforeAll(async () => {
    database = await testDatabase(version);
    folder = await BatchFolder.open();
    await database.query(`${valueTypes} ${strangeSettings(database.name)}`);
    log = await Log.from(database);
  });
  afterAll(async () => {
    await folder[Symbol.asyncDispose]();
    await log[Symbol.asyncDispose]();
    await database.drop();
  });

  /** What the log has had since the last call, of one table, as lines of its text and as columns: what differs. Of a log in binary, the lines of both, too. */
  async function differences(table: string, { form, partial = false }: { readonly form: LogForm; readonly partial?: boolean }) {
    const texts = await log.messages({ kept: true });
    const messages = await log.messages({ form });
    const linesOf = async (from: readonly Buffer[]): Promise<string[]> =>
      (await log.encode(from, { partial })).take().toString('utf8').split('\n').slice(0, -1).filter((line) => line.includes(`"stream":"${table}"`)).map((line) => line.replace(/"emitted_at":\d+/, '"emitted_at":0'));
    const lines = await linesOf(texts);
    // The same number may be written in several ways.
    const values = (line: string): string => JSON.stringify(JSON.parse(line));
    const unlike = (await linesOf(messages)).map((line, i) => [values(line), values(lines[i] ?? '{}')]).filter(([one, other]) => one !== other);
    expect(unlike.slice(0, 3)).toEqual([]);
    const batch = (await log.columns(messages, { partial, form })).get(table)!;
    const path = `${table}-${Math.random()}.parquet`;
    await writeFile(join(folder.dir, path), Buffer.concat(batch.parts));
    folder.take({ path });
    const from = folder.from({ path, columns: [...batch.columns] });
    const relations: WireRelation[] = [];
    const none = (): void => {};
    for (const bytes of messages) readMessage(bytes, 0, bytes.length, { begin: none, commit: none, insert: none, update: none, delete: none, truncate: none, relation: (one) => relations.push(one) });
    const relation = relations.find(({ name }) => name === table)!;
    const found = await findTypes(log.connection, relation.columns.map(({ typeOid }) => typeOid));
    const types = [...relation.columns.map(({ name, typeOid, modifier }) => [name, columnType(typeOid, modifier, found).logical] as const), ...own];
    const forms = new Map((await folder.query(`SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM ${from})`)).map(([name, type]) => [name!, type!]));
    const native = (name: string, type: LogicalType): boolean => sameType(forms.get(name)!, duckdbType(type));
    const optional = (name: string): string => (forms.has(name) ? name : 'NULL');
    const select = types.map(([name, type]) => wireSql(type, native(name, type), `"${name.replaceAll('"', '""')}"`));
    const different: string[] = [];
    const rows = await folder.query(`SELECT ${[...select, optional('_tapline_values'), optional('_tapline_unchanged')].join(', ')} FROM ${from} ORDER BY row`);
    let strays = 0;
    rows.forEach((cells, row) => {
      const texts = JSON.parse(cells.at(-2) ?? '{}') as Record<string, string>;
      strays += Object.keys(texts).length;
      const line = lines[row]!;
      const { record } = JSON.parse(line) as { record: { data: object; meta?: { unchanged: string[] } } };
      if (JSON.stringify(record.meta?.unchanged ?? []) !== (cells.at(-1) ?? '[]')) different.push(`row ${row}: ${JSON.stringify(record.meta)} in a line, ${cells.at(-1)} in columns`);
      types.forEach(([name, type], i) => {
        const json = name in record.data ? (JSON.parse(quoteNumbers(wireText(line, name))) as string | boolean | null) : null;
        // A time of our own has all its digits.
        const text = json === null ? null : name.startsWith('_ab_cdc_') ? String(json).replace(/(\.\d*?)0+\+/, '$1+').replace('.+', '+') : String(json);
        const cell = cells[i] ?? texts[batch.columns.indexOf(name)] ?? null;
        if (!same(type, text, cell)) different.push(`${name} (${type.kind}) row ${row}: ${text} in a line, ${cell} in columns`);
      });
    });
    expect(rows.length).toBe(lines.length);
    expect(batch.rows).toBe(lines.length);
    return { different: different.slice(0, 20), strays, rows: rows.length, text: types.filter(([name, type]) => !native(name, type)).map(([, type]) => type.kind) };
  }

  test.each(['text', 'binary'] as const)('are those of lines, each type there is, and null, of rows that come and of rows that go, from a log in %s', async (form) => {
    // An array of rows is one that only the server can write.
    const types = [...values, ...(version === 14 ? [] : valuesFrom15)].filter(([type]) => (form === 'text' ? type !== 'pair[]' : !isInTextAlone(type)));
    expect(types.length).toBeGreaterThan(form === 'text' ? 80 : 50);
    await database.query(`DROP TABLE IF EXISTS matrix; CREATE TABLE matrix (id int PRIMARY KEY, ${types.map(([type], i) => `c${i} ${type}, n${i} ${type}`).join(', ')}); ALTER TABLE matrix REPLICA IDENTITY FULL;
      INSERT INTO matrix (id, ${types.map((_, i) => `c${i}`).join(', ')}) VALUES (1, ${types.map(([, value]) => value).join(', ')}); UPDATE matrix SET id = 2; DELETE FROM matrix`);
    const { different, strays, text } = await differences('matrix', { form });
    expect(different).toEqual([]);
    // What costs nothing to be read of text is read; the others are text.
    expect([...new Set(text)].sort()).toEqual(form === 'text' ? ['decimal', 'time'] : []);
    const beyond = form === 'text' ? /infinity|BC|294276|5874897/ : /infinity|BC|294276/;
    const expected = types.filter(([type, value, logical]) => (/^decimal[(]([0-9]|1[0-8]),/.test(logical) && /NaN/.test(value)) || (/^(date|timestamp)/.test(logical) && beyond.test(value) && !type.endsWith('[]')) || (form === 'binary' && /24:00/.test(value)));
    expect(strays).toBe(4 * expected.length);
  });

  test('are known in binary but for those that are read in text alone', async () => {
    const types = [...values, ...(version === 14 ? [] : valuesFrom15)];
    await database.query(`CREATE TABLE kinds (${types.map(([type], i) => `c${i} ${type}`).join(', ')})`);
    const [relation] = await findRelations(log.connection, { names: [{ schema: 'public', name: 'kinds' }] });
    expect(relation!.columns.flatMap(({ type }, i) => (binaryForm(type) ? [] : [types[i]![0]]))).toEqual(types.map(([type]) => type).filter(isInTextAlone));
    expect(relation!.columns.every(({ type }) => (binaryForm(type) === undefined) === (binaryValue(type) === undefined))).toBe(true);
  });

  test.each(['text', 'binary'] as const)('are those of lines at the ends of what types hold, from a log in %s', async (form) => {
    await database.query(`
      DROP TABLE IF EXISTS edges; CREATE TABLE edges (id int PRIMARY KEY, d date, t time, ts timestamp, tz timestamptz, i2 smallint, i8 bigint, f4 real, n9 numeric(9,4), n9s numeric(9,9), n18 numeric(18,0), n18s numeric(18,18), n19 numeric(19,1), n38s numeric(38,37), n numeric);
      INSERT INTO edges VALUES
        (1, '0001-01-01', '00:00', '0001-01-01', '0001-01-01 00:00+00', -32768, 9223372036854775807, '-0', 99999.9999, 0.999999999, 999999999999999999, 0.999999999999999999, 999999999999999999.9, 9.9999999999999999999999999999999999999, 1e1000),
        (2, '0001-12-31 BC', '23:59:59.999999', '0001-12-31 23:59:59.999999 BC', '0001-12-31 23:59:59.999999+00 BC', 32767, -9223372036854775808, '1e-45', -99999.9999, -0.999999999, -999999999999999999, -0.999999999999999999, -999999999999999999.9, -9.9999999999999999999999999999999999999, -1e-1000),
        (3, '9999-12-31', '24:00', '9999-12-31 23:59:59.999999', '9999-12-31 23:59:59.999999+00', 0, -4294967296, '1.17549435e-38', 0.0001, 0.000000001, 1, 0.000000000000000001, 0.1, 0.0000000000000000000000000000000000001, '0.00000'),
        (4, '10000-01-01', '00:00:00.000001', '10000-01-01 00:00', '10000-01-01 00:00+00', -1, -1, '1.1754942e-38', -0.0001, -0.000000001, 1000000000000000, 0.1, 900719925474099.3, 0.1, '10000'),
        (5, '1999-12-31', '12:00', '1999-12-31 23:59:59.9', '1999-12-31 23:59:59.99+00', 1, 4294967296, '3.4028235e38', 10000, 0, 123456789012345678, 0.123456789012345678, 123456789012345678.9, 1, '-100000000.0001'),
        (6, '1970-01-01', '12:00', '1970-01-01', '1970-01-01 00:00+00', 1, -9223372036854775807, 16777216, 1, 0.1, 10000, 0.0001, 10000, 0.00001, '0.0001'),
        (7, '1969-12-31', '12:00', '1969-12-31 23:59:59.999999', '1969-12-31 23:59:59.999999+00', 1, 9007199254740993, 33554434, 'NaN', 'NaN', 'NaN', 'NaN', 'NaN', 'NaN', 'NaN'),
        (8, '2000-02-29', '12:00', '2255-06-05 23:47:34.740993', '2255-06-05 23:47:34.740993+00', 1, -4294967295, '-Infinity', 0, 0, 0, 0, 0, 0, '12345678.000000000000'),
        (9, '1900-02-28', '12:00', '1677-09-21 00:12:43.145224', '2262-04-11 23:47:16.854775+00', 1, 1000000000000000000, 0.1, -0.5, -0.5, -1000000000, -0.5, -0.5, -0.5, '-0.5')`);
    const { different, strays } = await differences('edges', { form });
    expect(different).toEqual([]);
    // Of text: dates and times beyond the years, NaN in decimals, and floats that are next to nothing. Of binary: of one row date and times, 24:00, NaN.
    expect(strays).toBe(form === 'text' ? 2 * 3 + 4 + 2 : 3 + 1 + 6);
  });

  test.each(['text', 'binary'] as const)('are those of lines, whatever they are and however they change, from a log in %s', async (form) => {
    const arrays = form === 'text';
    const row = `random() < 0.5, (random() * 65535 - 32768)::int, (random() * 4294967295 - 2147483648)::bigint, ((random() - 0.5) * 2 ^ (random() * 64))::bigint, exp((random() - 0.5) * 150) * sign(random() - 0.5), exp((random() - 0.5) * 1000),
        CASE WHEN random() > 0.1 THEN (random() - 0.5) * 10 ^ (random() * 4) END, (random() - 0.5)::numeric * 10 ^ (random() * 10)::int, (random() - 0.5)::numeric * 10 ^ (random() * 9)::int,
        (random()::numeric + 0.000000000123456) * 10 ^ (random() * 17)::int * 1.000000000000001, (random()::numeric - 0.5) * 10::numeric ^ ((random() - 0.5) * 60)::int,
        date '0001-01-01' + (random() * 3000000)::int, time '00:00' + random() * interval '24 hours', timestamp '0001-01-01' + random() * 9000 * interval '365 days', timestamptz '1900-01-01 00:00+00' + random() * 300 * interval '365 days',
        md5(random()::text)::uuid, repeat(chr(33 + (random() * 30000)::int), (random() * 40)::int), to_json(random()), jsonb_build_object('a', random(), 'b', repeat('ü', (random() * 20)::int)),
        decode(repeat(md5(random()::text), (random() * 3)::int), 'hex'), ${arrays ? `ARRAY[random()::numeric, NULL], ARRAY['a"b', chr(33 + (random() * 30000)::int)], random() * 1000 * interval '1 day'` : `'n', 'mIxed', 'happy'::mood`}`;
    const columns = 'b, i2, i4, i8, f4, f8, n7_3, n15_5, n18_9, n30_12, n, d, t, ts, tz, u, x, j, jb, y, a, ta, iv';
    await database.query(`
      SELECT setseed(0.42); DROP TABLE IF EXISTS anything;
      CREATE TABLE anything (id int PRIMARY KEY, b boolean, i2 smallint, i4 int, i8 bigint, f4 real, f8 double precision, n7_3 numeric(7,3), n15_5 numeric(15,5), n18_9 numeric(18,9), n30_12 numeric(30,12), n numeric,
        d date, t time, ts timestamp, tz timestamptz, u uuid, x text, j json, jb jsonb, y bytea, ${arrays ? 'a numeric[], ta text[], iv interval' : 'a name, ta citext, iv mood'});
      INSERT INTO anything (id, ${columns}) SELECT i, ${row} FROM generate_series(1, 3000) i;
      UPDATE anything SET (${columns}) = (SELECT ${row} WHERE anything.id > 0) WHERE id % 3 = 0; DELETE FROM anything WHERE id % 7 = 0; UPDATE anything SET id = -id WHERE id % 11 = 0`);
    const { different, rows } = await differences('anything', { form });
    expect(different).toEqual([]);
    expect(rows).toBeGreaterThan(4500);
  });

  test.each(['text', 'binary'] as const)('that the log does not carry are named, from the first such row on, of a log in %s', async (form) => {
    await database.query(`DROP TABLE IF EXISTS large; CREATE TABLE large (id int PRIMARY KEY, n int, "the ""pad""" text, other text); ALTER TABLE large ALTER "the ""pad""" SET STORAGE EXTERNAL, ALTER other SET STORAGE EXTERNAL;
      INSERT INTO large SELECT i, 0, repeat('x', 5000), CASE WHEN i % 2 = 0 THEN repeat('y', 5000) END FROM generate_series(1, 20) i; UPDATE large SET n = 1 WHERE id % 3 = 0; UPDATE large SET other = 'short'; DELETE FROM large WHERE id < 5`);
    const { different, rows } = await differences('large', { form, partial: true });
    expect(different).toEqual([]);
    expect(rows).toBe(20 + 6 + 20 + 4);
  });
});
