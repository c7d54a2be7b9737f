import type { TestDatabase } from '@tapline/test/services';
import { testDatabase } from '@tapline/test/shared';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { availableTypes } from '../../../../../test/e2e/available-types.js';
import { matrix } from '../../../../../test/e2e/types-matrix.js';
import { lineBlocks } from '../../copy-out.js';
import { copyStatement } from '../../copy-statement.js';
import { configOf, wireText } from '../../fixtures/harness.js';
import { Log } from '../../fixtures/log.js';
import { strangeSettings, values, valuesFrom15, valueTypes } from '../../fixtures/values.js';
import { findRelations } from '../../relations.js';
import { walkFrames } from '../connection/frames.js';
import { ReplicationStream } from '../connection/replication-stream.js';
import { fillHoles } from './reselect.js';

/** What the other two lists lack: mostly arrays, and types that only the server can write inside of them. */
const more: readonly (readonly [type: string, ...values: string[]])[] = [
  ['text', `E'\\x01\\x02\\x1f\\x7f\\b\\f\\v'`, `repeat('"\\', 3000)`, `repeat(E'\\n', 10000)`, `repeat('é☃🎉', 5000)`, `'NULL'`, `repeat('a', 95)`, `repeat('a', 97) || '"'`, `repeat('a', 4095) || '"b'`],
  ['xml', `'<a>"\\</a>'`],
  ['text[]', `'[0:1][-2:-1]={{a,NULL},{"NULL","null"}}'`, `ARRAY['{}', '[1]={x}', ',', ';', '"', '\\', ' a ', 'é☃🎉', E'\\t\\x01', '\\"', 'NUTS']`, `ARRAY[[['a', 'b']], [['c', NULL]]]`],
  ['varchar(3)[]', `'{abc,NULL}'`], ['char(4)[]', `'{ab,""}'`], ['name[]', `'{n}'`], ['"char"[]', `'{x,y}'`],
  ['boolean[]', `'{t,f,NULL}'`], ['smallint[]', `'{-1,2}'`], ['oid[]', `'{4294967295}'`], ['real[]', `'{NaN,-Infinity,1e20,-0,1.5}'`],
  ['double precision[]', `'{-1e-7,-Infinity,1e300}'`], ['numeric[]', `'{-0.5,1e-20,Infinity,-Infinity}'`, `'{-1}'`],
  ['date[]', `'{"0044-03-15 BC",-infinity}'`], ['time[]', `'{24:00:00,NULL}'`], ['timetz[]', `'{12:00:00.5+02}'`], ['interval[]', `'{"1 day",-00:00:01}'`],
  ['timestamp[]', `'{"0044-03-15 01:02:03 BC","294276-12-31 23:59:59.999999"}'`], ['timestamptz[]', `'{"0044-03-15 01:02:03.5+00 BC"}'`],
  ['bytea[]', `ARRAY[''::bytea, '\\xdeadbeef'::bytea]`], ['uuid[]', `'{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}'`], ['json[]', `ARRAY['{"a" : [1, "x\\n"]}'::json, 'null'::json, '1'::json, '"q"'::json]`],
  ['jsonb[]', `ARRAY[ARRAY['"\\\\"'::jsonb]]`], ['inet[]', `'{10.0.0.1/8}'`], ['bit(2)[]', `'{10}'`], ['money[]', `'{1234.5}'`], ['xml[]', `ARRAY['<a b="1"/>'::xml]`],
  ['point[]', `'{"(1,2)","(3,4)"}'`], ['box[]', `'{(1,1),(0,0);(2,2),(0,0)}'`], ['box[][]', `'{{(1,1),(0,0);(2,2),(0,0)}}'`], ['polygon[]', `'{"((0,0),(1,1))"}'`], ['int4range[]', `'{"[1,2)",empty}'`],
  ['tstzrange[]', `ARRAY['[2026-01-01 00:00+00,)'::tstzrange]`], ['int4multirange[]', `ARRAY['{[1,3),[5,7)}'::int4multirange]`], ['tsvector[]', `ARRAY['a:1 ''b'''::tsvector]`],
  ['int2vector[]', `ARRAY['1 2'::int2vector]`], ['regclass[]', `'{pg_class}'`], ['pg_lsn[]', `'{16/B374D848}'`],
  ['mood[]', `'{happy,"sad \\"one\\"",NULL}'`, `'{{happy},{happy}}'`], ['hstore[]', `ARRAY['a=>1'::hstore, ''::hstore, NULL]`], ['citext[]', `'{MiXed,"a \\" b"}'`],
  ['money_amount[]', `'{1.5,NaN}'`], ['document[]', `ARRAY['{"a":1}'::document]`], ['ids[]', `ARRAY['{1,2}'::ids, '{3}'::ids]`], ['weekday[]', `ARRAY['mon'::weekday, 'tue'::weekday]`], ['weekday', `'tue'`],
  ['pair[]', `ARRAY[ROW(1, 'x')::pair, NULL, ROW(NULL, '"')::pair]`, `ARRAY[ROW(2, 'y')::pair]`], ['pair', `ROW(1, '"\\')`], ['loud[]', `'{a,b}'`], ['loud', `'a'`], ['span', `'[1,2)'`], ['span[]', `ARRAY['[1,2)'::span]`],
  ['place', `ROW(ROW(1, 'x'), ARRAY[1, 2], '2026-01-01 00:00+00')`],
];

const moreTypes = `
  CREATE TYPE loud AS ENUM ('a', 'b');
  CREATE FUNCTION loud_json(loud) RETURNS json IMMUTABLE LANGUAGE sql AS $$ SELECT json_build_object('loud', upper($1::text)) $$;
  CREATE CAST (loud AS json) WITH FUNCTION loud_json(loud);
  CREATE DOMAIN weekday AS text CHECK (VALUE IN ('mon', 'tue'));
  CREATE TYPE span AS RANGE (subtype = float8);
  CREATE TYPE place AS (p pair, n int[], t timestamptz);`;

/** A table of a column a type and a row a value, beside one of another list. */
const tableOf = (name: string, list: readonly (readonly [string, ...string[]])[]): string => {
  const rows = Math.max(...list.map((one) => one.length - 1));
  const tuples = Array.from({ length: rows + 1 }, (_, row) => `(${row}, ${list.map((one) => one[row + 1] ?? 'NULL').join(', ')})`);
  return `CREATE TABLE ${name} (id int PRIMARY KEY, ${list.map(([type], i) => `c${i} ${type}`).join(', ')}); ALTER TABLE ${name} REPLICA IDENTITY FULL;
    ${tuples.map((tuple) => `INSERT INTO ${name} VALUES ${tuple};`).join('\n')}`;
};

describe.each([14, 18] as const)('values of PostgreSQL %i read the same from a copy and from the log', (version) => {
  let database: TestDatabase;
  let messages: Buffer[];
  let rows: Buffer[];
  let streamed: Buffer[];
  const copied = new Map<string, string>();
  const logged = new Map<string, string>();
  const deleted = new Map<string, string>();
  let cast = 0;

  beforeAll(async () => {
    database = await testDatabase(version);
    const kept = [...values, ...(version === 14 ? [] : valuesFrom15)];
    const whole = matrix(version, await availableTypes(database));
    await database.query(`${valueTypes} ${moreTypes} ${strangeSettings(database.name)}`);
    await using log = await Log.from(database);
    await database.query(`SELECT pg_create_logical_replication_slot($1, 'pgoutput')`, [`${database.name}_wire`]);
    // The other list makes types of the same names: it has a database's schema of its own.
    await database.query(`CREATE SCHEMA other; SET search_path TO other, public; SET standard_conforming_strings = on; ${whole.seed}; ALTER TABLE matrix REPLICA IDENTITY FULL`);
    await database.query(`${tableOf('listed', kept.map(([type, value]) => [type, value]))}; ${tableOf('more', more)}`);
    messages = await log.messages();
    await collect(log, messages, logged);
    await database.query('DELETE FROM other.matrix; DELETE FROM listed; DELETE FROM more');
    const gone = await log.messages();
    rows = [...messages, ...gone].filter(isRow);
    streamed = await rowsOfStream(database, rows.length);
    // A copy of what was there before, which the log alone still knows.
    await database.query(`SET search_path TO other, public; ${whole.seed.slice(whole.seed.indexOf('INSERT INTO matrix'))}`);
    await database.query(`TRUNCATE listed, more; ${inserts(tableOf('listed', kept.map(([type, value]) => [type, value])))}; ${inserts(tableOf('more', more))}`);
    await collect(log, [...messages.filter(([kind]) => kind === 0x52), ...gone], deleted);
    for (const relation of await findRelations(log.connection, { schemas: undefined })) {
      const sql = copyStatement({ relation, columns: relation.columns }, new Set(relation.columns.map(({ name }) => name)));
      for await (const { bytes } of log.connection.copyOut(sql, lineBlocks({ blockBytes: 100_000, fields: 0, prefix: () => `{"type":"RECORD","record":{"stream":"${relation.name}","data":` }))) keep(bytes, copied);
    }
  });
  afterAll(() => database.drop());

  async function collect(log: Log, from: readonly Buffer[], into: Map<string, string>): Promise<void> {
    const out = await log.encode(from);
    cast += out.holes.filter(({ missing }) => missing.kind === 'cast').length;
    for await (const bytes of fillHoles(out, log.connection)) keep(bytes, into);
  }

  test('a replication connection writes them as a query does: both have the same settings', () => {
    expect(streamed.length).toBeGreaterThan(20);
    expect(streamed.map(String)).toEqual(rows.map(String));
  });

  test('as inserts', () => {
    expect(copied.size).toBeGreaterThan(600);
    expect(differing(copied, logged)).toEqual([]);
  });

  test('and as the rows that a delete names in full', () => {
    expect(differing(copied, deleted)).toEqual([]);
  });

  test('few need the server: arrays of rows, of arrays, of types with a cast to json', () => {
    expect(cast).toBeGreaterThan(0);
    expect(cast).toBeLessThan(60);
  });
});

const isRow = ([kind]: Buffer): boolean => kind === 0x49 || kind === 0x44;

async function rowsOfStream(database: TestDatabase, count: number): Promise<Buffer[]> {
  const rows: Buffer[] = [];
  await using stream = await ReplicationStream.open(configOf(database));
  await stream.start({ slot: `${database.name}_wire`, publications: ['log'], from: 0n, messages: true, log: () => {} });
  while (rows.length < count) {
    const bytes = (await stream.read())!;
    walkFrames(bytes, { data: (start, end) => void rows.push(Buffer.from(bytes.subarray(start, end))), keepalive: () => {} });
    rows.splice(0, rows.length, ...rows.filter(isRow));
  }
  await stream.stop();
  // The server lets go of the slot a moment after the connection.
  await vi.waitFor(() => database.query('SELECT pg_drop_replication_slot($1)', [`${database.name}_wire`]), { timeout: 20_000 });
  return rows;
}

const inserts = (sql: string): string => sql.slice(sql.indexOf('INSERT INTO'));

/** Each value of each row, by table, row and column. */
function keep(bytes: Buffer, into: Map<string, string>): void {
  for (const line of bytes.toString().split('\n').slice(0, -1)) {
    const { record } = JSON.parse(line) as { record: { stream: string; data: Record<string, unknown> } };
    const id = record.data['id'] as number;
    for (const column of Object.keys(record.data)) {
      if (!column.startsWith('_')) into.set(`${record.stream} row ${id} ${column}`, wireText(line, column));
    }
  }
}

const differing = (expected: ReadonlyMap<string, string>, actual: ReadonlyMap<string, string>): string[] =>
  [...new Set([...expected.keys(), ...actual.keys()])].filter((key) => expected.get(key) !== actual.get(key))
    .map((key) => `${key}: ${expected.get(key)?.slice(0, 200)} but ${actual.get(key)?.slice(0, 200)}`);

