import type { TestDatabase } from '@tapline/test/services';
import { testDatabase } from '@tapline/test/shared';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Connection } from '../../connection.js';
import { configOf } from '../../fixtures/harness.js';
import { dropPublication, ensurePublication, type Published, type WantedTable } from './publication.js';
import { waitForWriters } from './writers.js';

describe.each([14, 18] as const)('publications of PostgreSQL %i', (version) => {
  let database: TestDatabase;
  let connection: Connection;
  beforeEach(async () => {
    database = await testDatabase(version);
    connection = await Connection.open(configOf(database, { lock_timeout: 5 }));
  });
  afterEach(async () => {
    await connection[Symbol.asyncDispose]();
    await database.drop();
  });

  const tablesOf = (...names: string[]): Promise<WantedTable[]> =>
    database.query<{ oid: number; schema: string; name: string }>(
      `SELECT c.oid, n.nspname AS schema, c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace JOIN unnest($1::text[]) WITH ORDINALITY w(name, place) ON w.name = relname ORDER BY place`, [names]);
  const ensure = async (names: string[], options: { name?: string; managed?: boolean } = {}, as = connection): Promise<Published<WantedTable>> =>
    ensurePublication(as, { name: options.name ?? 'tapline_p', managed: options.managed ?? true }, await tablesOf(...names));
  const names = (tables: Iterable<WantedTable>): string[] => [...tables].map(({ name }) => name);
  const members = async (): Promise<string[]> => (await database.query<{ name: string }>(`SELECT tablename AS name FROM pg_publication_tables WHERE pubname = 'tapline_p' ORDER BY 1`)).map(({ name }) => name);
  const refusal = (result: Published<WantedTable>, name: string): { code: string; message: string } | undefined => [...result.refused].find(([table]) => table.name === name)?.[1];

  test('ours is made for the selected tables only, with all kinds of change and partitions under their root, and follows the selection', async () => {
    await database.query(`CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE "B ""x" (id int PRIMARY KEY); CREATE TABLE c (id int PRIMARY KEY)`);
    expect(names((await ensure(['a', 'B "x'])).added)).toEqual(['a', 'B "x']);
    const [row] = await database.query(`SELECT pubinsert, pubupdate, pubdelete, pubtruncate, pubviaroot, puballtables, to_jsonb(p) ->> 'pubgencols' AS generated FROM pg_publication p`);
    expect(row).toEqual({ pubinsert: true, pubupdate: true, pubdelete: true, pubtruncate: true, pubviaroot: true, puballtables: false, generated: version === 18 ? 's' : null });
    expect(await members()).toEqual(['B "x', 'a']);
    const result = await ensure(['a', 'c']);
    expect([names(result.published.keys()), names(result.added), result.refused.size]).toEqual([['a', 'c'], ['c'], 0]);
    expect(await members()).toEqual(['a', 'c']);
    await database.query(`ALTER PUBLICATION tapline_p SET (publish = 'insert', publish_via_partition_root = false)`);
    await ensure(['a', 'c']);
    expect(await database.query(`SELECT pubupdate AND pubdelete AND pubtruncate AND pubviaroot AS whole FROM pg_publication`)).toEqual([{ whole: true }]);
    await ensure([]);
    expect(await members()).toEqual([]);
    expect([await dropPublication(connection, 'tapline_p'), await dropPublication(connection, 'tapline_p')]).toEqual([true, false]);
  });

  test('a table without a replica identity is never added: its UPDATEs go on working, and the refusal says what to type', async () => {
    await database.query(`
      CREATE TABLE bare (v int); INSERT INTO bare VALUES (1); CREATE TABLE late (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED); CREATE TABLE off (id int PRIMARY KEY); ALTER TABLE off REPLICA IDENTITY NOTHING;
      CREATE TABLE whole (v int); ALTER TABLE whole REPLICA IDENTITY FULL; CREATE TABLE indexed (v int NOT NULL UNIQUE); ALTER TABLE indexed REPLICA IDENTITY USING INDEX indexed_v_key;
      CREATE TABLE unindexed (v int NOT NULL UNIQUE); ALTER TABLE unindexed REPLICA IDENTITY USING INDEX unindexed_v_key; ALTER TABLE unindexed DROP CONSTRAINT unindexed_v_key`);
    const result = await ensure(['bare', 'late', 'off', 'whole', 'indexed', 'unindexed']);
    expect(names(result.published.keys())).toEqual(['whole', 'indexed']);
    expect(refusal(result, 'bare')).toMatchObject({ kind: 'config_error', code: 'pg_no_replica_identity', message: expect.stringContaining('ALTER TABLE "public"."bare" REPLICA IDENTITY FULL;') });
    expect(refusal(result, 'off')!.message).toContain('ALTER TABLE "public"."off" REPLICA IDENTITY DEFAULT;');
    expect(names(result.refused.keys())).toEqual(['bare', 'late', 'off', 'unindexed']);
    await database.query('UPDATE bare SET v = 2; UPDATE whole SET v = 2; UPDATE off SET id = 1; UPDATE unindexed SET v = 1');
  });

  test('partitioned tables: the root is published; a partition without identity refuses it; a partition beside its root is told to be left out', async () => {
    await database.query(`
      CREATE TABLE root (id int, day date, PRIMARY KEY (id, day)) PARTITION BY RANGE (day); CREATE TABLE root_1 PARTITION OF root FOR VALUES FROM ('2020-01-01') TO ('2021-01-01') PARTITION BY RANGE (id);
      CREATE TABLE root_1_1 PARTITION OF root_1 FOR VALUES FROM (0) TO (9);
      CREATE TABLE bare (id int) PARTITION BY RANGE (id); CREATE TABLE bare_1 PARTITION OF bare FOR VALUES FROM (0) TO (9)`);
    const result = await ensure(['root', 'root_1_1', 'bare']);
    expect(names(result.published.keys())).toEqual(['root']);
    expect(refusal(result, 'root_1_1')).toMatchObject({ code: 'pg_publication_root', message: expect.stringContaining('leave it out') });
    expect(refusal(result, 'bare')).toMatchObject({ code: 'pg_no_replica_identity', message: expect.stringContaining('ALTER TABLE "public"."bare_1" REPLICA IDENTITY FULL;') });
    expect(names((await ensure(['root_1_1'])).published.keys())).toEqual(['root_1_1']);
    await database.query('CREATE PUBLICATION mine FOR TABLE root');
    expect(refusal(await ensure(['root'], { name: 'mine', managed: false }), 'root')).toMatchObject({ code: 'pg_publication_root', message: expect.stringContaining('ALTER PUBLICATION "mine" SET (publish_via_partition_root = true);') });
  });

  test('views, materialized views, unlogged tables and what is gone are refused each by itself', async () => {
    await database.query(`CREATE TABLE t (id int PRIMARY KEY); CREATE VIEW v AS TABLE t; CREATE MATERIALIZED VIEW m AS TABLE t; CREATE UNLOGGED TABLE u (id int PRIMARY KEY)`);
    const result = await ensure(['t', 'v', 'm', 'u']);
    expect(names(result.published.keys())).toEqual(['t']);
    expect([...result.refused.values()].map(({ code }) => code)).toEqual(['pg_not_replicable', 'pg_not_replicable', 'pg_not_replicable']);
    expect(refusal(result, 'u')!.message).toContain('ALTER TABLE public.u SET LOGGED;');
    const missing = { oid: 1, schema: 'public', name: 'nope' };
    expect((await ensurePublication(connection, { name: 'tapline_p', managed: true }, [missing])).refused.get(missing)).toMatchObject({ code: 'pg_no_table' });
  });

  test('children by inheritance are tables of their own', async () => {
    await database.query('CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child (PRIMARY KEY (id)) INHERITS (parent)');
    await ensure(['parent']);
    expect(await members()).toEqual(['parent']);
    await ensure(['parent', 'child']);
    expect(await members()).toEqual(['child', 'parent']);
  });

  test('a publication of the user is checked, and never changed', async () => {
    await database.query(`CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY)`);
    const mine = { name: 'mine', managed: false };
    await expect(ensure(['a'], mine)).rejects.toMatchObject({ kind: 'config_error', code: 'pg_no_publication', message: expect.stringContaining('CREATE PUBLICATION "mine" FOR TABLE ONLY "public"."a"') });
    await database.query(`CREATE PUBLICATION mine FOR TABLE a WITH (publish = 'insert, update, delete')`);
    await expect(ensure(['a'], mine)).rejects.toMatchObject({ kind: 'config_error', code: 'pg_publication_incomplete', message: expect.stringContaining(`SET (publish = 'insert, update, delete, truncate');`) });
    await database.query(`ALTER PUBLICATION mine SET (publish = 'insert, update, delete, truncate')`);
    const result = await ensure(['a', 'b'], mine);
    expect([names(result.published.keys()), refusal(result, 'b')]).toEqual([['a'], expect.objectContaining({ code: 'pg_not_published', message: expect.stringContaining('ALTER PUBLICATION "mine" ADD TABLE "public"."b";') })]);
    expect(await database.query(`SELECT pubname FROM pg_publication`)).toEqual([{ pubname: 'mine' }]);
    await database.query(`DROP PUBLICATION mine; CREATE PUBLICATION mine FOR ALL TABLES`);
    expect(names((await ensure(['a', 'b'], mine)).published.keys())).toEqual(['a', 'b']);
  });

  test.runIf(version >= 15)('filters and column lists are told, so that a copy brings the same', async () => {
    await database.query(`CREATE TABLE a (id int PRIMARY KEY, v int, secret text); CREATE TABLE b (id int PRIMARY KEY);
      CREATE PUBLICATION mine FOR TABLE a (id, v) WHERE (id > 10 AND id < 20), TABLE b; INSERT INTO a SELECT generate_series(1, 30)`);
    const { published } = await ensure(['a', 'b'], { name: 'mine', managed: false });
    const [a, b] = [...published.values()];
    expect(a!.columns).toEqual(['id', 'v']);
    expect(await connection.query(`SELECT count(*)::int AS n FROM public.a s WHERE (${a!.rowFilter})`)).toEqual([{ n: 9 }]);
    expect(b).toEqual({});
    await database.query('CREATE SCHEMA s; CREATE TABLE s.c (id int PRIMARY KEY); DROP PUBLICATION mine; CREATE PUBLICATION mine FOR TABLES IN SCHEMA s');
    expect(names((await ensure(['c'], { name: 'mine', managed: false })).published.keys())).toEqual(['c']);
  });

  test('generated columns: which come depends on the version and on the publication', async () => {
    await database.query(`CREATE TABLE g (id int PRIMARY KEY, twice int GENERATED ALWAYS AS (id * 2) STORED${version >= 18 ? ', thrice int GENERATED ALWAYS AS (id * 3) VIRTUAL' : ''})`);
    expect([...(await ensure(['g'])).published.values()]).toEqual([{ columns: version >= 18 ? ['id', 'twice'] : ['id'] }]);
    await database.query('CREATE PUBLICATION mine FOR TABLE g');
    expect([...(await ensure(['g'], { name: 'mine', managed: false })).published.values()]).toEqual([{ columns: ['id'] }]);
  });

  test('without the right to make or change it: what its owner may run; where nothing is to be changed, no right is needed', async () => {
    const role = `r_${database.name}`;
    await database.query(`CREATE TABLE a (id int PRIMARY KEY); CREATE ROLE ${role} LOGIN PASSWORD 'x'; GRANT SELECT ON a TO ${role}`);
    try {
      await using poor = await Connection.open(configOf({ ...database, user: role, password: 'x' }));
      const command = `CREATE PUBLICATION "tapline_p" FOR TABLE ONLY "public"."a" WITH (publish = 'insert, update, delete, truncate', publish_via_partition_root = true${version >= 18 ? ', publish_generated_columns = stored' : ''});`;
      await expect(ensure(['a'], {}, poor)).rejects.toMatchObject({ kind: 'config_error', code: 'pg_no_privilege', message: expect.stringContaining(command) });
      await database.query(command);
      expect(names((await ensure(['a'], {}, poor)).published.keys())).toEqual(['a']);
    } finally {
      await database.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
    }
  });

  test('a table that is locked is waited for no longer than lock_timeout', async () => {
    await database.query('CREATE TABLE a (id int PRIMARY KEY)');
    const locker = await database.connect();
    await locker.query('BEGIN; LOCK TABLE a');
    await using hasty = await Connection.open(configOf(database, { lock_timeout: 0.2 }));
    await expect(ensure(['a'], {}, hasty)).rejects.toMatchObject({ kind: 'transient_error', code: 'pg_locked' });
    await locker.end();
  });

  test('writers of before are waited for, in partitions too; later ones, readers and writers of other tables are not', async () => {
    await database.query(`CREATE TABLE root (id int, PRIMARY KEY (id)) PARTITION BY RANGE (id); CREATE TABLE part PARTITION OF root FOR VALUES FROM (0) TO (99); CREATE TABLE other (id int)`);
    const [early, reader, elsewhere, late] = await Promise.all([database.connect(), database.connect(), database.connect(), database.connect()]);
    await early.query('BEGIN; SAVEPOINT s; INSERT INTO part VALUES (1)');
    await reader.query('BEGIN; SELECT FROM root');
    await elsewhere.query('BEGIN; INSERT INTO other VALUES (1)');
    let over = false;
    const waiting = waitForWriters(connection, await tablesOf('root')).then(() => (over = true));
    await sleep(300);
    await late.query('BEGIN; INSERT INTO root VALUES (2)');
    expect(over).toBe(false);
    await early.query('COMMIT');
    await waiting;
    await Promise.all([early, reader, elsewhere, late].map((client) => client.end()));
    await waitForWriters(connection, await tablesOf('root', 'other'));
  });

  test('waiting for writers ends when it is aborted', async () => {
    await database.query('CREATE TABLE a (id int)');
    const writer = await database.connect();
    await writer.query('BEGIN; INSERT INTO a VALUES (1)');
    const controller = new AbortController();
    const waiting = waitForWriters(connection, await tablesOf('a'), controller.signal);
    setTimeout(() => controller.abort(), 100);
    await expect(waiting).rejects.toMatchObject({ name: 'AbortError' });
    await writer.end();
  });
});
