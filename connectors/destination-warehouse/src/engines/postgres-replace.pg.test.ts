import { postgresVersions } from '@tapline/test/everyday';
import { testDatabase } from '@tapline/test/shared';
import type { TestDatabase } from '@tapline/test/services';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { int64, openTestWarehouse, text, type TestWarehouse } from './postgres.test.support.js';

const from = { schema: 'own', table: 'g1_00000000_11111111' };
const into = { schema: 'shop', table: 'orders' };

const dependents: readonly (readonly [what: string, sql: string, named: string])[] = [
  ['a view', 'CREATE VIEW shop.dear AS SELECT * FROM shop.orders', 'view shop.dear'],
  ['a materialized view', 'CREATE MATERIALIZED VIEW shop.dear AS SELECT id FROM shop.orders', 'materialized view shop.dear'],
  ['a foreign key', 'CREATE TABLE shop.lines (of bigint REFERENCES shop.orders DEFERRABLE INITIALLY DEFERRED)', 'constraint'],
  ['a publication', 'CREATE PUBLICATION shared_orders FOR TABLE shop.orders', 'publication'],
  ['a policy', 'CREATE POLICY own_rows ON shop.orders USING (true)', 'policy'],
  ['a check', 'ALTER TABLE shop.orders ADD CHECK (id > 0)', 'constraint'],
  ['a column of its row type', 'CREATE TABLE shop.copies (of shop.orders)', 'column of'],
  ['a trigger', `CREATE FUNCTION shop.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE TRIGGER t BEFORE INSERT ON shop.orders FOR EACH ROW EXECUTE FUNCTION shop.f()`, 'trigger t'],
];

describe.each(postgresVersions('postgres-replace'))('a table that takes the place of another in PostgreSQL %i', (version) => {
  let database: TestDatabase;
  let at: TestWarehouse;
  beforeAll(async () => {
    database = await testDatabase(version);
    await database.query(`CREATE ROLE reader_${database.name}; CREATE ROLE group_${database.name}`);
  });
  afterAll(async () => {
    await database.query(`DROP OWNED BY reader_${database.name}, group_${database.name}; DROP ROLE reader_${database.name}, group_${database.name}`);
    await database.drop();
  });
  beforeEach(async () => {
    await database.query('DROP SCHEMA IF EXISTS shop CASCADE; DROP SCHEMA IF EXISTS own CASCADE; CREATE SCHEMA shop; CREATE SCHEMA own');
    at = await openTestWarehouse(database);
    await at.make(from, { id: int64, note: text }, ['id']);
    await at.warehouse.run(`INSERT INTO own.${from.table} VALUES (2, 'new')`);
  });
  afterEach(() => at[Symbol.asyncDispose]());

  const replace = (): Promise<void> => at.warehouse.transaction(() => at.warehouse.replaceTable(from, into));
  const old = async (): Promise<void> => {
    await at.make(into, { id: int64, note: text }, ['id']);
    await at.warehouse.run(`INSERT INTO shop.orders VALUES (1, 'old')`);
  };
  const rows = (): Promise<unknown[]> => database.query('SELECT id::int, note FROM shop.orders');

  test('where there was none it is there, with rights that its schema gives to new tables, and with names of its own', async () => {
    await database.query(`ALTER DEFAULT PRIVILEGES IN SCHEMA shop GRANT SELECT ON TABLES TO reader_${database.name}`);
    await replace();
    expect(await rows()).toEqual([{ id: 2, note: 'new' }]);
    expect(await database.query(`SELECT has_table_privilege('reader_${database.name}', 'shop.orders', 'SELECT') AS may, (SELECT conname FROM pg_constraint WHERE conrelid = 'shop.orders'::regclass AND contype = 'p') AS key`)).toEqual([{ may: true, key: 'orders_pkey' }]);
  });

  test('again and again, under the same names', async () => {
    await replace();
    for (let round = 0; round < 2; round++) {
      await at.make(from, { id: int64, note: text }, ['id']);
      await replace();
    }
    expect(await database.query(`SELECT conname FROM pg_constraint WHERE conrelid = 'shop.orders'::regclass AND contype = 'p'`)).toEqual([{ conname: 'orders_pkey' }]);
  });

  test('the old rows are read until it commits, and the new ones from then on', async () => {
    await old();
    let seen: unknown;
    await at.warehouse.transaction(async () => {
      seen = await rows();
      await at.warehouse.replaceTable(from, into);
    });
    expect(seen).toEqual([{ id: 1, note: 'old' }]);
    expect(await rows()).toEqual([{ id: 2, note: 'new' }]);
    expect(await database.query(`SELECT to_regclass('own.${from.table}') AS left_over`)).toEqual([{ left_over: null }]);
  });

  test('rolled back, the old one is there as it was', async () => {
    await old();
    await expect(at.warehouse.transaction(async () => {
      await at.warehouse.replaceTable(from, into);
      throw new Error('no');
    })).rejects.toThrow('no');
    expect(await rows()).toEqual([{ id: 1, note: 'old' }]);
  });

  test('rights, comments, settings, owner and indexes of users stay', async () => {
    await old();
    const reader = `reader_${database.name}`;
    await database.query(`GRANT SELECT ON shop.orders TO ${reader} WITH GRANT OPTION; GRANT UPDATE (note) ON shop.orders TO PUBLIC; COMMENT ON TABLE shop.orders IS 'It''s 100% "ours"';
      COMMENT ON COLUMN shop.orders.note IS 'a note'; ALTER TABLE shop.orders SET (fillfactor = 70, autovacuum_enabled = false); CREATE INDEX "by %I note" ON shop.orders (lower(note)) WHERE id > 0;
      GRANT CREATE ON SCHEMA shop TO group_${database.name}; ALTER TABLE shop.orders OWNER TO group_${database.name}`);
    await replace();
    expect(await rows()).toEqual([{ id: 2, note: 'new' }]);
    const [found] = await database.query<Record<string, unknown>>(`SELECT relacl::text AS acl, pg_get_userbyid(relowner) AS owner, obj_description(oid) AS about, col_description(oid, 2) AS about_note, reloptions,
      (SELECT attacl::text FROM pg_attribute WHERE attrelid = c.oid AND attname = 'note') AS note, (SELECT pg_get_indexdef(i.indexrelid) FROM pg_index AS i WHERE i.indrelid = c.oid AND NOT i.indisprimary) AS index
      FROM pg_class AS c WHERE oid = 'shop.orders'::regclass`);
    expect(found).toMatchObject({
      owner: `group_${database.name}`, about: `It's 100% "ours"`, about_note: 'a note', reloptions: ['fillfactor=70', 'autovacuum_enabled=false'],
      index: `CREATE INDEX "by %I note" ON shop.orders USING btree (lower(note)) WHERE (id > 0)`,
    });
    expect(found!['acl']).toContain(`${reader}=r*/`);
    expect(found!['note']).toContain('=w/');
    expect(at.logs).toEqual([]);
  });

  test('a right that was taken away does not come back', async () => {
    await database.query(`ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO reader_${database.name}`);
    await at.make({ schema: 'own', table: 'g2_00000000_11111111' }, { id: int64 });
    await old();
    await database.query(`REVOKE ALL ON shop.orders FROM reader_${database.name}`);
    await at.warehouse.transaction(() => at.warehouse.replaceTable({ schema: 'own', table: 'g2_00000000_11111111' }, into));
    expect(await database.query(`SELECT has_table_privilege('reader_${database.name}', 'shop.orders', 'SELECT') AS may`)).toEqual([{ may: false }]);
    await database.query(`ALTER DEFAULT PRIVILEGES REVOKE SELECT ON TABLES FROM reader_${database.name}`);
  });

  test('an index that the new rows do not take is told of, and no reason to fail', async () => {
    await old();
    await database.query('CREATE UNIQUE INDEX one_note ON shop.orders (note)');
    await at.warehouse.run(`INSERT INTO own.${from.table} VALUES (3, 'new')`);
    await replace();
    expect(await rows()).toHaveLength(2);
    expect(at.logs.join()).toContain('the index "one_note" of "shop"."orders" is gone');
  });

  // What can hang on a table is the same in every version; how the catalog tells it is not, for these.
  describe.each(version === 18 ? dependents : dependents.filter(([what]) => ['a view', 'a foreign key', 'a check'].includes(what)))('%s', (_what, sql, named) => {
    test('keeps the old table, whose rows are replaced: it is told once', async () => {
      await old();
      await database.query(sql);
      const [before] = await database.query<{ oid: string }>(`SELECT 'shop.orders'::regclass::oid::text AS oid`);
      let seen: unknown;
      await at.warehouse.transaction(async () => {
        await at.warehouse.replaceTable(from, into);
        seen = await rows();
      });
      expect(seen).toEqual([{ id: 1, note: 'old' }]);
      expect(await rows()).toEqual([{ id: 2, note: 'new' }]);
      expect(await database.query(`SELECT 'shop.orders'::regclass::oid::text AS oid`)).toEqual([before]);
      await at.make(from, { id: int64, note: text }, ['id']);
      await replace();
      expect(await rows()).toEqual([]);
      expect(at.logs.filter((line) => line.includes(named))).toHaveLength(1);
      await database.query('DROP PUBLICATION IF EXISTS shared_orders');
    });
  });

  test('in place it gets the columns, types and key of the new one, and keeps its own', async () => {
    await at.make(into, { id: int64, gone: text, note: int64 }, ['id', 'gone']);
    await database.query(`INSERT INTO shop.orders VALUES (1, 'x', 7); CREATE VIEW shop.ids AS SELECT id, gone FROM shop.orders`);
    await replace();
    expect(await database.query('SELECT * FROM shop.orders')).toEqual([{ id: '2', gone: null, note: 'new' }]);
    expect(await database.query('SELECT * FROM shop.ids')).toEqual([{ id: '2', gone: null }]);
    await expect(database.query(`INSERT INTO shop.orders (id) VALUES (2)`)).rejects.toMatchObject({ code: '23505' });
  });

  test('in place it loses its key where the new one has none, and gets its index', async () => {
    await old();
    await database.query('CREATE VIEW shop.dear AS SELECT * FROM shop.orders');
    const log = { schema: 'own', table: 'g2_00000000_11111111' };
    await at.make(log, { id: int64, note: text });
    for (const sql of at.warehouse.dialect.addKey(log, ['id'], 'index')) await at.warehouse.run(sql);
    await at.warehouse.run(`INSERT INTO own.${log.table} VALUES (NULL, 'a'), (NULL, 'b')`);
    for (let round = 0; round < 2; round++) {
      if (round > 0) await at.make(log, { id: int64, note: text });
      await at.warehouse.transaction(() => at.warehouse.replaceTable(log, into));
    }
    expect(await database.query(`SELECT pg_get_indexdef(indexrelid) AS definition FROM pg_index WHERE indrelid = 'shop.orders'::regclass`)).toEqual([{ definition: expect.stringContaining('USING btree (id)') }]);
  });

  test('a view that uses a column whose type has to change is named, with what to do', async () => {
    await at.make(into, { id: int64, note: int64 }, ['id']);
    await database.query(`INSERT INTO shop.orders VALUES (1, 7); CREATE VIEW shop.notes AS SELECT note FROM shop.orders`);
    await expect(replace()).rejects.toMatchObject({ kind: 'config_error', code: 'pg_dependents', message: expect.stringContaining('"shop"."orders"') });
    expect(await database.query('SELECT * FROM shop.notes')).toEqual([{ note: '7' }]);
  });

  test.each<[string, string, string]>([
    ['a view', 'CREATE VIEW shop.orders AS SELECT 1 AS id', 'is a view'],
    ['a materialized view', 'CREATE MATERIALIZED VIEW shop.orders AS SELECT 1 AS id', 'is a materialized view'],
    ['a partitioned table', 'CREATE TABLE shop.orders (id bigint) PARTITION BY RANGE (id)', 'is a partitioned table'],
    ['a sequence', 'CREATE SEQUENCE shop.orders', 'is a sequence'],
  ])('%s in its place is left alone', async (_what, sql, words) => {
    await database.query(sql);
    await expect(replace()).rejects.toMatchObject({ kind: 'config_error', code: 'pg_not_a_table', message: expect.stringContaining(words) });
  });
});
