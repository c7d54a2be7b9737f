import { execFile, execFileSync } from 'node:child_process';
import { chmod, chown, mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { startPostgres, type PostgresServer, type TestDatabase } from '@tapline/test/services';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startNetwork } from '../../../../test/services/network.js';
import { startPgbouncer } from '../../../../test/services/pgbouncer.js';
import { failure, int64, openTestWarehouse, text, type TestWarehouse } from './postgres.test.support.js';

const into = { schema: 's', table: 't' };
const columns = { id: int64, note: text };
const isRoot = process.getuid?.() === 0;

describe('a server of its own', () => {
  let server: PostgresServer;
  let database: TestDatabase;
  beforeAll(async () => {
    server = await startPostgres();
    database = await server.createDatabase();
    await database.query('CREATE SCHEMA s; CREATE TABLE s.t (id bigint, note text)');
  });
  afterAll(() => server.stop());

  test.each(['session', 'transaction'] as const)('behind a pooler in %s mode it is loaded as without, and nothing of ours stays in the pool', async (mode) => {
    const bouncer = await startPgbouncer(database, mode);
    try {
      await database.query('TRUNCATE s.t');
      const access = { ...database, host: bouncer.host, port: bouncer.port };
      await using at = await openTestWarehouse(access);
      await using other = await openTestWarehouse(access, { sync: 'other' });
      await at.warehouse.transaction(async () => {
        for (const sql of at.warehouse.dialect.createTemporary('staged', [{ name: 'id', type: int64, nullable: true }]).statements) await at.warehouse.run(sql);
        // A session of another client runs between ours.
        await other.load(into, columns, `SELECT 7, 'other'`);
        await at.warehouse.load({ table: { schema: 'pg_temp', table: 'staged' }, columns: [{ name: 'id', type: int64 }], select: 'SELECT i FROM range(1000) AS r(i)' });
        await at.warehouse.run(`INSERT INTO s.t SELECT id, $1 FROM pg_temp.staged`, ['x']);
      });
      expect(await database.query('SELECT note, count(*)::int AS n FROM s.t GROUP BY note ORDER BY note')).toEqual([{ note: 'other', n: 1 }, { note: 'x', n: 1000 }]);
      expect(await at.warehouse.run(`SELECT pg_catalog.current_setting('search_path') AS path, pg_catalog.current_setting('TimeZone') AS zone`)).toEqual([{ path: '', zone: 'UTC' }]);
      const left = await database.query(`SELECT application_name FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle' AND application_name LIKE 'tapline %takeover%'`);
      expect(left).toEqual([]);
    } finally {
      await bouncer.stop();
    }
  });

  test('behind a pooler in statement mode it cannot work, and says so', async () => {
    const bouncer = await startPgbouncer(database, 'statement');
    try {
      await expect(openTestWarehouse({ ...database, host: bouncer.host, port: bouncer.port })).rejects.toMatchObject({ kind: 'config_error', code: 'pg_pooler', message: expect.stringContaining('pool_mode') });
    } finally {
      await bouncer.stop();
    }
  });

  describe('the network', () => {
    beforeEach(() => database.query('TRUNCATE s.t'));
    const count = async (): Promise<unknown> => (await database.query('SELECT count(*)::int AS n FROM s.t'))[0]!['n'];
    const through = async (use: (at: TestWarehouse, network: Awaited<ReturnType<typeof startNetwork>>) => Promise<void>): Promise<void> => {
      const network = await startNetwork(database);
      try {
        await using at = await openTestWarehouse({ ...database, host: network.host, port: network.port });
        await use(at, network);
      } finally {
        await network.stop();
      }
    };

    test('is lost in the middle of a load: nothing of it is kept, and the next transaction opens another connection', () =>
      through(async (at, network) => {
        const endless = `SELECT i, repeat('x', 100) FROM range(100000000) AS r(i)`;
        const loading = failure(at.load(into, columns, endless));
        await sleep(300);
        network.cut();
        expect(await loading).toMatchObject({ kind: 'transient_error', code: 'pg_connection_lost' });
        network.restore();
        expect(await at.load(into, columns, `SELECT 1, 'x'`)).toBe(1);
        await expect.poll(count).toBe(1);
      }));

    test('is lost in the middle of a statement', () =>
      through(async (at, network) => {
        const running = failure(at.warehouse.transaction(async () => {
          await at.warehouse.run(`INSERT INTO s.t VALUES (1, 'x')`);
          await at.warehouse.run('UPDATE s.t SET note = pg_catalog.pg_sleep(60)::text');
        }));
        await sleep(300);
        network.cut();
        expect(await running).toMatchObject({ kind: 'transient_error', code: 'pg_connection_lost' });
        // The server finds out by itself, long before the statement would have ended.
        const stillThere = `SELECT count(*)::int AS n FROM pg_stat_activity WHERE query LIKE 'UPDATE s.t SET%' AND pid <> pg_backend_pid()`;
        await expect.poll(async () => (await database.query(stillThere))[0]!['n'], { timeout: 15_000, interval: 100 }).toBe(0);
        expect(await count()).toBe(0);
      }));

    test('is lost between two transactions: nobody notices', () =>
      through(async (at, network) => {
        await at.load(into, columns, `SELECT 1, 'x'`);
        network.cut();
        network.restore();
        await at.load(into, columns, `SELECT 2, 'y'`);
        await database.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'tapline %'`);
        await at.load(into, columns, `SELECT 3, 'z'`);
        expect(await count()).toBe(3);
      }));

    test('takes the answer of a commit away: it is made, and the writer says that it does not know', () =>
      through(async (at, network) => {
        network.latency(500);
        const committing = failure(at.warehouse.transaction(() => at.warehouse.run(`INSERT INTO s.t VALUES (1, 'x')`)));
        await expect.poll(count, { timeout: 20_000, interval: 20 }).toBe(1);
        network.cut();
        expect(await committing).toMatchObject({ kind: 'transient_error', code: 'commit_unknown', message: expect.stringContaining('is found out when the sync runs again') });
      }));
  });

  test.skipIf(!isRoot)('a full disk ends the load with a message that says so; with room the next one succeeds', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'warehouse-disk-'));
    await chmod(folder, 0o755);
    const small = join(folder, 'small');
    await mkdir(small);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', small]);
    try {
      const { uid, gid } = await stat(server.dataDir);
      await chown(small, uid, gid);
      await chmod(small, 0o700);
      await database.query(`CREATE TABLESPACE small LOCATION '${small}'`);
      await database.query('CREATE TABLE s.fat (id bigint, note text) TABLESPACE small');
      await using at = await openTestWarehouse(database);
      const rows = `SELECT i, repeat('x', 200) || i FROM range(100000) AS r(i)`;
      await expect(at.load({ schema: 's', table: 'fat' }, columns, rows)).rejects.toMatchObject({ kind: 'config_error', code: 'pg_disk_full', message: expect.stringMatching(/disk of the server is full.*"s"\."fat"/) });
      expect(await database.query('SELECT count(*)::int AS n FROM s.fat')).toEqual([{ n: 0 }]);
      execFileSync('mount', ['-o', 'remount,size=200m', small]);
      expect(await at.load({ schema: 's', table: 'fat' }, columns, rows)).toBe(100_000);
      for (const sql of ['DROP TABLE s.fat', 'DROP TABLESPACE small']) await database.query(sql);
    } finally {
      execFileSync('umount', ['-l', small]);
      await rm(folder, { recursive: true, force: true });
    }
  });

  test('a server that is killed in the middle of a transaction, and starts again, is waited for; what was not committed is gone', async () => {
    await database.query('TRUNCATE s.t');
    await using at = await openTestWarehouse(database, { start_timeout: 30 });
    await expect(at.warehouse.transaction(async () => {
      await at.warehouse.run(`INSERT INTO s.t VALUES (1, 'x')`);
      await server.kill9();
      await at.warehouse.run(`INSERT INTO s.t VALUES (2, 'y')`);
    })).rejects.toMatchObject({ kind: 'transient_error' });
    const loading = at.load(into, columns, `SELECT 3, 'z'`);
    await server.restart();
    expect(await loading).toBe(1);
    expect(await database.query('SELECT id::int FROM s.t')).toEqual([{ id: 3 }]);
  });

  test('a database that cannot hold every character names its encoding', async () => {
    await server.database('postgres').query(`CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0`);
    const latin = server.database('latin');
    await latin.query('CREATE SCHEMA s; CREATE TABLE s.t (id bigint, note text)');
    await using at = await openTestWarehouse(latin);
    expect(await at.load(into, columns, `SELECT 1, 'ü'`)).toBe(1);
    await expect(at.load(into, columns, `SELECT 1, '😀'`)).rejects.toMatchObject({ kind: 'config_error', code: 'pg_encoding', message: expect.stringContaining('UTF8') });
    expect(await latin.query('SELECT note FROM s.t')).toEqual([{ note: 'ü' }]);
  });
});

test.each([14, 18] as const)('a standby of PostgreSQL %i can only be read, and says so', async (version) => {
  const folder = await mkdtemp(join(tmpdir(), 'warehouse-standby-'));
  await chmod(folder, 0o755);
  try {
    const primary = await startPostgres({ version, dir: join(folder, 'primary') });
    await primary.stop();
    await promisify(execFile)('cp', ['-a', join(folder, 'primary'), join(folder, 'copy')]);
    await writeFile(join(folder, 'copy', 'data', 'standby.signal'), '');
    const standby = await startPostgres({ version, dir: join(folder, 'copy') });
    try {
      await expect(openTestWarehouse(standby.database('postgres'))).rejects.toMatchObject({ kind: 'config_error', code: 'pg_read_only', message: expect.stringContaining('primary') });
    } finally {
      await standby.stop();
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
