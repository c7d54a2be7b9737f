import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LogicalType } from '@tapline/catalog';
import { postgresVersions } from '@tapline/test/everyday';
import { testDatabase } from '@tapline/test/shared';
import type { TestDatabase } from '@tapline/test/services';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Warehouse } from '../warehouse.js';
import type { PostgresConfig } from './postgres-config.js';
import { openPostgres } from './postgres.js';

const text: LogicalType = { kind: 'text' };
const int64: LogicalType = { kind: 'int', bits: 64 };

describe.each(postgresVersions('postgres'))('PostgreSQL %i as a warehouse', (version) => {
  let database: TestDatabase;
  let scratch: string;
  let warehouse: Warehouse;
  const logs: string[] = [];
  const open = (extra: PostgresConfig = {}): Promise<Warehouse> => openPostgres({
    config: { host: database.host, port: database.port, user: database.user, password: database.password, database: database.name, ...extra },
    sync: 's', scratch, log: (_level, message) => void logs.push(message),
  });

  beforeAll(async () => {
    database = await testDatabase(version);
    scratch = await mkdtemp(join(tmpdir(), 'warehouse-postgres-'));
  });
  afterAll(async () => {
    await database.drop();
    await rm(scratch, { recursive: true, force: true });
  });
  beforeEach(async () => {
    logs.length = 0;
    await database.query('DROP SCHEMA IF EXISTS s CASCADE; CREATE SCHEMA s');
    warehouse = await open();
  });
  afterEach(() => warehouse[Symbol.asyncDispose]());

  const make = async (table: string, types: Record<string, LogicalType>): Promise<void> => {
    const columns = Object.entries(types).map(([name, type]) => ({ name, type, nullable: true }));
    for (const sql of warehouse.dialect.createTable({ schema: 's', table }, columns, [])) await warehouse.run(sql);
  };

  test('values of every type arrive as they were: none is lost in CSV', async () => {
    const columns: Record<string, [LogicalType, string]> = {
      boolean: [{ kind: 'boolean' }, 'true'],
      int: [int64, '-9223372036854775808'],
      float: [{ kind: 'float', bits: 64 }, `'nan'::DOUBLE`],
      infinity: [{ kind: 'float', bits: 32 }, `'-inf'::FLOAT`],
      tiny: [{ kind: 'float', bits: 64 }, `4.9e-324::DOUBLE`],
      decimal: [{ kind: 'decimal', precision: 38, scale: 10 }, `1234567890123456789012345678.0123456789::DECIMAL(38,10)`],
      digits: [{ kind: 'bigdecimal' }, `'123456789012345678901234567890123456789012345.5'`],
      bytes: [{ kind: 'bytes' }, `'\\x00\\xFF\\x0A'::BLOB`],
      none: [{ kind: 'bytes' }, 'NULL::BLOB'],
      date: [{ kind: 'date' }, `DATE '0001-01-01'`],
      late: [{ kind: 'date' }, `DATE '5874897-12-31'`],
      time: [{ kind: 'time' }, `TIME '23:59:59.999999'`],
      timestamp: [{ kind: 'timestamp' }, `TIMESTAMP '12026-11-20 07:00:00.123456'`],
      timestamptz: [{ kind: 'timestamptz' }, `TIMESTAMPTZ '2026-11-20 07:00:00.123456+00'`],
      uuid: [{ kind: 'uuid' }, `'6F9619FF-8B86-D011-B42D-00C04FC964FF'`],
      json: [{ kind: 'json', embedded: false }, `'{"a":[1,"x\\n\\"",12345678901234567890.123]}'`],
      interval: [{ kind: 'interval' }, `'1 year 2 mons -3 days +04:05:06.789'`],
      empty: [text, `''`],
      nothing: [text, 'NULL'],
      null_word: [text, `'NULL'`],
      backslash: [text, `'\\.'`],
      lines: [text, `chr(10) || '\\.' || chr(10) || 'a"b,c' || chr(13) || chr(9) || ' '`],
      emoji: [text, `'ü😀'`],
    };
    await make('types', Object.fromEntries(Object.entries(columns).map(([name, [type]]) => [name, type])));
    const select = `SELECT ${Object.values(columns).map(([, sql]) => sql).join(', ')}`;
    const loaded = await warehouse.transaction(() => warehouse.load({ table: { schema: 's', table: 'types' }, columns: Object.entries(columns).map(([name, [type]]) => ({ name, type })), select }));
    expect(loaded).toBe(1);
    const [row] = await warehouse.run('SELECT * FROM s.types');
    expect(row).toEqual({
      boolean: true, int: '-9223372036854775808', float: NaN, infinity: -Infinity, tiny: 5e-324,
      decimal: '1234567890123456789012345678.0123456789', digits: '123456789012345678901234567890123456789012345.5', bytes: '\\x00ff0a', none: null,
      date: '0001-01-01', late: '5874897-12-31', time: '23:59:59.999999', timestamp: '12026-11-20 07:00:00.123456', timestamptz: '2026-11-20 07:00:00.123456+00',
      uuid: '6f9619ff-8b86-d011-b42d-00c04fc964ff', json: '{"a": [1, "x\\n\\"", 12345678901234567890.123]}', interval: '1 year 2 mons -3 days +04:05:06.789',
      empty: '', nothing: null, null_word: 'NULL', backslash: '\\.', lines: '\n\\.\na"b,c\r\t ', emoji: 'ü😀',
    });
  });

  test('a first column of \\. in lines of its own is a value, not the end', async () => {
    await make('dots', { a: text });
    const request = { table: { schema: 's', table: 'dots' }, columns: [{ name: 'a', type: text }], select: `SELECT * FROM (VALUES ('x'), ('\\.'), ('y'), (NULL), (''), ('\\.z')) AS v(a)` };
    expect(await warehouse.transaction(() => warehouse.load(request))).toBe(6);
    expect(await warehouse.run('SELECT a FROM s.dots')).toEqual([{ a: 'x' }, { a: '\\.' }, { a: 'y' }, { a: null }, { a: '' }, { a: '\\.z' }]);
  });

  test('a million rows pass through a pipe, and leave no file', async () => {
    await make('many', { id: int64, note: text });
    const request = { table: { schema: 's', table: 'many' }, columns: [{ name: 'id', type: int64 }, { name: 'note', type: text }], select: `SELECT i, 'note ' || i FROM range(1000000) AS t(i)` };
    expect(await warehouse.transaction(() => warehouse.load(request))).toBe(1_000_000);
    expect(await warehouse.run('SELECT count(*)::int AS n, sum(id)::text AS ids FROM s.many')).toEqual([{ n: 1_000_000, ids: '499999500000' }]);
    expect((await readdir(scratch)).filter((name) => name.startsWith('load-'))).toEqual([]);
  });

  test('what is thrown in a transaction rolls it back', async () => {
    await make('t', { id: int64 });
    await expect(warehouse.transaction(async () => {
      await warehouse.run('INSERT INTO s.t VALUES (1)');
      throw new Error('enough');
    })).rejects.toThrow('enough');
    expect(await warehouse.run('SELECT * FROM s.t')).toEqual([]);
  });

  test('the session bears a name and the sync, as the server shows it, and pins what values go by, for its transaction only', async () => {
    await using named = await open({ application_name: `läden ${'x'.repeat(80)}` });
    const [row] = await named.run(`SELECT pg_catalog.current_setting('application_name') AS name, pg_catalog.current_setting('DateStyle') AS dates, pg_catalog.current_setting('search_path') AS path`);
    expect(row).toEqual({ name: expect.stringMatching(/^l.den x{34} [0-9a-f]{8}$/), dates: 'ISO, MDY', path: '' });
  });

  test('what a role has set for itself does not matter', async () => {
    const role = `odd_${database.name}`;
    await database.query(`CREATE ROLE ${role} LOGIN SUPERUSER PASSWORD 'pw'; ALTER ROLE ${role} SET default_transaction_read_only = on; ALTER ROLE ${role} SET default_transaction_isolation = 'serializable';
      ALTER ROLE ${role} SET DateStyle = 'SQL, DMY'; ALTER ROLE ${role} SET TimeZone = 'Asia/Tokyo'; ALTER ROLE ${role} SET synchronous_commit = off; ALTER ROLE ${role} SET idle_session_timeout = '50ms'; ALTER ROLE ${role} SET search_path = s`);
    await using odd = await open({ user: role, password: 'pw' });
    await make('dates', { day: { kind: 'date' } });
    await new Promise((resolve) => setTimeout(resolve, 200));
    await odd.transaction(() => odd.load({ table: { schema: 's', table: 'dates' }, columns: [{ name: 'day', type: { kind: 'date' } }], select: `SELECT DATE '2026-02-01'` }));
    expect(await odd.run(`SELECT day, pg_catalog.current_setting('synchronous_commit') AS sync, pg_catalog.current_setting('transaction_isolation') AS isolation FROM s.dates`)).toEqual([{ day: '2026-02-01', sync: 'on', isolation: 'read committed' }]);
    await odd[Symbol.asyncDispose]();
    await database.query(`DROP ROLE ${role}`);
  });
});
