import { postgresVersions } from '@tapline/test/everyday';
import { testDatabase } from '@tapline/test/shared';
import type { TestDatabase } from '@tapline/test/services';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { failure, int64, openTestWarehouse, text, type TestWarehouse } from './postgres.test.support.js';

const into = { schema: 's', table: 't' };
const columns = { id: int64, note: text };

describe.each(postgresVersions('postgres-faults'))('PostgreSQL %i goes wrong', (version) => {
  let database: TestDatabase;
  let role: string;
  beforeAll(async () => {
    database = await testDatabase(version);
    role = `poor_${database.name}`;
    await database.query(`CREATE ROLE ${role} LOGIN PASSWORD 'right'`);
  });
  afterAll(async () => {
    await database.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
    await database.drop();
  });
  beforeEach(() => database.query('DROP SCHEMA IF EXISTS s CASCADE; CREATE SCHEMA s; CREATE TABLE s.t (id bigint, note text)'));

  const poor = (): Promise<TestWarehouse> => openTestWarehouse({ ...database, user: role, password: 'right' });
  const count = async (): Promise<unknown> => (await database.query('SELECT count(*)::int AS n FROM s.t'))[0]!['n'];

  test('a missing database, a wrong password and a wrong port say so', async () => {
    expect(await failure(openTestWarehouse({ ...database, name: 'nope' }))).toMatchObject({ kind: 'config_error', code: 'pg_no_database', message: expect.stringContaining(`no database 'nope'`) });
    expect(await failure(openTestWarehouse({ ...database, password: 'wrong' }))).toMatchObject({ kind: 'config_error', code: 'pg_auth_failed' });
    expect(await failure(openTestWarehouse({ ...database, port: 1 }, { start_timeout: 0 }))).toMatchObject({ kind: 'config_error', code: 'pg_refused' });
  });

  test('a right that is missing is named, with what to type', async () => {
    await using at = await poor();
    const { dialect } = at.warehouse;
    expect(await failure(at.warehouse.run(dialect.createSchema('mine')))).toMatchObject({ kind: 'config_error', code: 'pg_no_privilege', message: expect.stringContaining(`GRANT CREATE ON DATABASE "${database.name}" TO "${role}";`) });
    expect(await failure(at.make({ schema: 's', table: 'new' }, columns))).toMatchObject({ code: 'pg_no_privilege', message: expect.stringContaining(`GRANT USAGE, CREATE ON SCHEMA "s" TO "${role}";`) });
    const grantSchema = { kind: 'config_error', code: 'pg_no_privilege', message: expect.stringContaining(`in schema "s": GRANT USAGE, CREATE ON SCHEMA "s" TO "${role}";`) };
    expect(await failure(at.warehouse.run(dialect.createSchema('s')))).toMatchObject(grantSchema);
    await database.query(`CREATE SCHEMA IF NOT EXISTS own_${version} AUTHORIZATION ${role}`);
    await at.make({ schema: `own_${version}`, table: 'g1' }, columns);
    expect(await failure(at.warehouse.transaction(() => at.warehouse.replaceTable({ schema: `own_${version}`, table: 'g1' }, { schema: 's', table: 'new' })))).toMatchObject(grantSchema);
    await database.query(`DROP TABLE own_${version}.g1; GRANT USAGE, CREATE ON SCHEMA s TO ${role}`);
    expect(await failure(at.load(into, columns, `SELECT 1, 'x'`))).toMatchObject({ code: 'pg_no_privilege', message: expect.stringContaining('"s"."t"') });
    await database.query(`REVOKE TEMPORARY ON DATABASE ${database.name} FROM PUBLIC`);
    const temporary = dialect.createTemporary('staged', [{ name: 'id', type: int64, nullable: true }]).statements;
    expect(await failure(at.warehouse.run(temporary[0]!))).toMatchObject({ code: 'pg_no_privilege', message: expect.stringContaining('GRANT TEMPORARY ON DATABASE') });
    await database.query(`GRANT TEMPORARY ON DATABASE ${database.name} TO PUBLIC`);
  });

  test('a role that may do nothing but in its schema needs no more', async () => {
    await database.query(`CREATE SCHEMA IF NOT EXISTS own_${version} AUTHORIZATION ${role}; GRANT USAGE, CREATE ON SCHEMA s TO ${role}`);
    await using at = await poor();
    const from = { schema: `own_${version}`, table: 'g1' };
    for (const schema of [from.schema, 's']) await at.warehouse.run(at.warehouse.dialect.createSchema(schema));
    await at.make(from, columns, ['id']);
    await at.load(from, columns, `SELECT 1, 'x'`);
    await at.warehouse.transaction(() => at.warehouse.replaceTable(from, { schema: 's', table: 'mine' }));
    expect(await database.query('SELECT note FROM s.mine')).toEqual([{ note: 'x' }]);
  });

  test('a value that is none of the column\'s type names the column, and not the value', async () => {
    await using at = await openTestWarehouse(database);
    const wrong = await failure(at.load(into, { note: text, id: text }, `SELECT 'a: b', 'secret 4711'`));
    expect(wrong).toMatchObject({ kind: 'config_error', code: 'pg_bad_value', message: expect.stringContaining('column "id" of "s"."t"') });
    expect(wrong!.message).not.toContain('4711');
    expect(await count()).toBe(0);
  });

  test('constraints, columns and triggers of somebody else are named', async () => {
    await using at = await openTestWarehouse(database);
    await database.query(`ALTER TABLE s.t ADD CONSTRAINT "not 5" CHECK (id <> 5)`);
    expect(await failure(at.load(into, columns, `SELECT 5, 'secret 4711'`))).toMatchObject({ kind: 'config_error', code: 'pg_constraint', message: expect.stringMatching(/"s"\."t".*"not 5"/) });
    await database.query(`ALTER TABLE s.t DROP CONSTRAINT "not 5", ADD COLUMN extra int NOT NULL`);
    expect(await failure(at.load(into, columns, `SELECT 5, 'x'`))).toMatchObject({ kind: 'config_error', code: 'pg_constraint', message: expect.stringContaining('column "extra"') });
    await database.query(`ALTER TABLE s.t DROP COLUMN extra, DROP COLUMN note`);
    expect(await failure(at.load(into, columns, `SELECT 5, 'x'`))).toMatchObject({ kind: 'config_error', code: 'pg_changed' });
    await database.query(`DROP TABLE s.t; CREATE VIEW s.t AS SELECT 1 AS id, 'x' AS note`);
    expect(await failure(at.load(into, columns, `SELECT 5, 'x'`))).toMatchObject({ kind: 'config_error', code: 'pg_not_a_table' });
    await database.query(`DROP VIEW s.t; CREATE TABLE s.t (id int, note text); CREATE VIEW s.v AS SELECT id FROM s.t`);
    expect(await failure(at.warehouse.run(at.warehouse.dialect.widenColumn(into, 'id', int64)[0]!))).toMatchObject({ kind: 'config_error', code: 'pg_dependents', message: expect.stringContaining('add_only') });
  });

  test('a query of the embedded engine that fails ends the load, and the transaction with it', async () => {
    await using at = await openTestWarehouse(database);
    expect(await failure(at.load(into, columns, `SELECT i, CASE WHEN i = 900000 THEN error('secret 4711') ELSE 'x' END FROM range(1000000) AS r(i)`))).toMatchObject({ kind: 'system_error', code: 'engine_query' });
    expect(await failure(at.load(into, columns, 'SELECT nonsense'))).toMatchObject({ kind: 'system_error', code: 'engine_query' });
    expect(await count()).toBe(0);
    expect(await at.load(into, columns, `SELECT 1, 'x'`)).toBe(1);
  });

  test('a table that is locked for too long is a transient error of code locked, and the transaction is over', async () => {
    await using at = await openTestWarehouse(database, { lock_timeout: 0.3 });
    const other = await database.connect();
    await other.query('BEGIN; LOCK TABLE s.t');
    expect(await failure(at.load(into, columns, `SELECT 1, 'x'`))).toMatchObject({ kind: 'transient_error', code: 'locked', message: expect.stringContaining('"s"."t"') });
    await other.query('ROLLBACK');
    await other.end();
    expect(await at.load(into, columns, `SELECT 1, 'x'`)).toBe(1);
  });

  test('a statement that takes too long is stopped', async () => {
    await using at = await openTestWarehouse(database, { statement_timeout: 0.2 });
    expect(await failure(at.warehouse.run('SELECT pg_catalog.pg_sleep(5)'))).toMatchObject({ kind: 'config_error', code: 'pg_canceled', message: expect.stringContaining('statement_timeout') });
  });

  describe('an older writer hangs in its transaction', () => {
    beforeEach(() => database.query(`CREATE TABLE s.checkpoint (sync text PRIMARY KEY, epoch bigint); INSERT INTO s.checkpoint VALUES ('a', 1), ('b', 1)`));
    const claim = `UPDATE s.checkpoint SET epoch = epoch + 1 WHERE sync = 'a' RETURNING epoch`;

    test('its session is ended for a new writer of the same sync, and what it comes back with is refused', async () => {
      await using old = await openTestWarehouse(database, { sync: 'a' });
      await using fresh = await openTestWarehouse(database, { sync: 'a' });
      let wake!: () => void;
      let asleep!: () => void;
      const sleeping = new Promise<void>((resolve) => (asleep = resolve));
      const hanging = failure(old.warehouse.transaction(async () => {
        await old.warehouse.run(claim);
        await old.warehouse.run(`INSERT INTO s.t VALUES (1, 'x')`);
        asleep();
        await new Promise<void>((resolve) => (wake = resolve));
        await old.warehouse.run(`INSERT INTO s.t VALUES (2, 'y')`);
      }));
      await sleeping;
      const before = performance.now();
      expect(await fresh.warehouse.run(claim)).toEqual([{ epoch: '2' }]);
      expect(performance.now() - before).toBeLessThan(10_000);
      wake();
      expect(await hanging).toMatchObject({ kind: 'transient_error' });
      expect(await count()).toBe(0);
      expect(fresh.logs.join()).toContain('hung in a transaction');
    });

    test('that of another sync is not: who waits for it gives up', async () => {
      await using old = await openTestWarehouse(database, { sync: 'b' });
      await using fresh = await openTestWarehouse(database, { sync: 'a', lock_timeout: 2.5 });
      await old.warehouse.transaction(async () => {
        await old.warehouse.run(claim);
        expect(await failure(fresh.warehouse.run(claim))).toMatchObject({ kind: 'transient_error', code: 'locked' });
        expect(await fresh.warehouse.endHungWriter!('a')).toBe(false);
      });
      expect(await database.query(`SELECT epoch::int FROM s.checkpoint WHERE sync = 'a'`)).toEqual([{ epoch: 2 }]);
    });
  });
});
