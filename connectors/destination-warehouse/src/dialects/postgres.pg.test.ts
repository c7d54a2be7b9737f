import type { LogicalType } from '@tapline/catalog';
import { testDatabase } from '@tapline/test/shared';
import type { TestDatabase } from '@tapline/test/services';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { postgresDialect as dialect } from './postgres.js';

const int32: LogicalType = { kind: 'int', bits: 32 };
const text: LogicalType = { kind: 'text' };
const odd = `it's "odd" \\ %I $1 ü.x`;
const table = { schema: odd, table: odd };

describe.each([14, 18] as const)('the dialect of PostgreSQL %i', (version) => {
  let database: TestDatabase;
  const run = async (statements: readonly string[]): Promise<void> => {
    for (const sql of statements) await database.query(sql);
  };
  beforeAll(async () => {
    database = await testDatabase(version);
  });
  afterAll(() => database.drop());

  const columns = async (): Promise<unknown> =>
    database.query(`SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull AS required FROM pg_attribute AS a WHERE a.attrelid = $1::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`, [dialect.table(table)]);
  const indexes = async (): Promise<unknown[]> =>
    (await database.query(`SELECT pg_get_indexdef(indexrelid) AS definition, indisprimary FROM pg_index WHERE indrelid = $1::regclass`, [dialect.table(table)])).map((row) => `${row['indisprimary'] === true ? 'key' : 'index'} ${String(row['definition']).replace(/^.* USING /s, '')}`).sort();

  test('holds any name, makes a schema twice without harm, and keys that come and go', async () => {
    await Promise.all(Array.from({ length: 5 }, () => run([dialect.createSchema(odd)])));
    await run(dialect.createTable(table, [{ name: odd, type: int32, nullable: false }, { name: '_tapline_order', type: text, nullable: false }], [odd]));
    await run(dialect.addColumn(table, { name: 'late', type: text, nullable: true }));
    await run(dialect.widenColumn(table, odd, { kind: 'int', bits: 64 }));
    await run(dialect.analyze(table));
    expect(await columns()).toEqual([
      { name: odd, type: 'bigint', required: true }, { name: '_tapline_order', type: 'text', required: true }, { name: 'late', type: 'text', required: false },
    ]);
    await run(dialect.dropKey(table, [odd]));
    await run([`INSERT INTO ${dialect.table(table)} VALUES (NULL, '0', NULL)`]);
    expect(await indexes()).toEqual([`index btree (${dialect.quote(odd)})`]);
    await run([`DELETE FROM ${dialect.table(table)}`]);
    await run(dialect.addKey(table, [odd, 'late'], 'primary'));
    await run(dialect.addKey(table, ['late'], 'index'));
    expect(await indexes()).toEqual([`key btree (${dialect.quote(odd)}, late)`, `index btree (${dialect.quote(odd)})`, 'index btree (late)'].sort());
    await run(dialect.dropColumn(table, 'late'));
    await run(dialect.dropTable(table));
    await run(dialect.dropTable(table));
  });

  test('compares orders as bytes, whatever the database\'s language', async () => {
    await run([dialect.createSchema('s'), ...dialect.createTable({ schema: 's', table: 'o' }, [{ name: '_tapline_order', type: text, nullable: false }], [])]);
    expect(await database.query(`SELECT collname FROM pg_attribute AS a JOIN pg_collation AS c ON c.oid = a.attcollation WHERE attrelid = 's.o'::regclass AND attname = '_tapline_order'`)).toEqual([{ collname: 'C' }]);
  });

  test('names what the server keeps for itself, and nothing else', async () => {
    const taken = async (name: string): Promise<boolean> => database.query(`CREATE TABLE pg_temp.t (${dialect.quote(name)} int)`).then(() => false, () => true);
    for (const name of ['tableoid', 'xmin', 'cmin', 'xmax', 'cmax', 'ctid', 'oid', 'user', 'select', 'Ctid', 'pg_x']) expect({ name, reserved: dialect.isReservedColumn(name) }).toEqual({ name, reserved: await taken(name) });
    for (const name of ['pg_x', 'information_schema', 'pg', 'PG_x', 'public', 'x']) {
      const refused = await database.query(`BEGIN; CREATE SCHEMA IF NOT EXISTS ${dialect.quote(name)}; ROLLBACK`).then(() => false, () => true);
      expect({ name, reserved: dialect.isReservedSchema(name) }).toEqual({ name, reserved: refused || name === 'information_schema' });
    }
  });

  test('a temporary table goes with its transaction', async () => {
    const { table: name, statements } = dialect.createTemporary(odd, [{ name: 'id', type: int32, nullable: true }]);
    const client = await database.connect();
    try {
      await client.query('BEGIN');
      for (const sql of statements) await client.query(sql);
      await client.query(`INSERT INTO ${dialect.table(name)} VALUES (1)`);
      await client.query('COMMIT');
      await expect(client.query(`SELECT FROM ${dialect.table(name)}`)).rejects.toMatchObject({ code: '42P01' });
    } finally {
      await client.end();
    }
  });
});
