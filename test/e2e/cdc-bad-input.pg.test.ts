import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { parquetKeys, rowsOf } from '../harness/lake.js';
import { until } from '../harness/processes.js';
import type { Outcome } from '../harness/tapline.js';
import { explain, workspace, type Workspace } from '../harness/workspace.js';
import { startPostgres, type PostgresOptions, type PostgresServer, type TestDatabase } from '../services/index.js';
import { startPgbouncer } from '../services/pgbouncer.js';
import { runCommand } from '../services/run-command.js';

const message = (outcome: Outcome) => outcome.summary?.error?.message ?? `${outcome.stderr}\n${outcome.stdout}`;
const cdc = (url: string): string => `${url}?replication=cdc`;
const orders = `CREATE TABLE orders (id int PRIMARY KEY, word text); INSERT INTO orders SELECT i, 'order ' || i FROM generate_series(1, 20) i;`;

/** Runs the sync, and `check`; both must exit 78 with a message in which each of `say` is found. Nothing is left in the lake. */
async function refused(at: Workspace, say: readonly RegExp[], given: { source?: string; args?: readonly string[] } = {}): Promise<string> {
  const source = ['--source', given.source ?? cdc(at.database.url)];
  const outcome = await at.sync([...source, '--retries', '0', ...(given.args ?? [])]);
  expect(outcome.exitCode, explain(outcome)).toBe(78);
  expect(outcome.summary?.error?.kind, explain(outcome)).toBe('config_error');
  for (const each of say) expect(message(outcome)).toMatch(each);
  const check = await at.run(['check', ...source, '--dest', at.lake.uri, ...(given.args ?? [])]);
  expect(check.exitCode, explain(check)).toBe(78);
  for (const each of say) expect(check.stdout + check.stderr).toMatch(each);
  return message(outcome);
}

/** The statements of a message that begin so, each up to its semicolon: what a user would copy. */
const typed = (text: string, beginning: RegExp): string[] => [...text.matchAll(new RegExp(`${beginning.source}[^;]*;`, 'g'))].map(([statement]) => statement);

const slots = (database: TestDatabase) => database.query<{ slot_name: string }>('SELECT slot_name::text FROM pg_replication_slots WHERE database = current_database()');
const publications = (database: TestDatabase) => database.query('SELECT pubname::text FROM pg_publication');

async function serverWith(options: PostgresOptions): Promise<PostgresServer> {
  const server = await startPostgres(options);
  onTestFinished(() => server.stop());
  return server;
}

async function config(at: Workspace, content: object): Promise<readonly string[]> {
  const file = join(at.directory, 'source.json');
  await writeFile(file, JSON.stringify(content));
  return ['--source-config', file];
}

describe('a server that is not set up for it', () => {
  test('wal_level is not logical: 78, with what to set and that it takes a restart; nothing is made there', async () => {
    const at = await workspace();
    const server = await serverWith({ conf: { wal_level: 'replica' } });
    const database = await server.createDatabase();
    await database.query(orders);
    await refused(at, [/wal_level/, /wal_level = '?logical'?/, /restart/i], { source: cdc(database.url) });
    expect([await slots(database), await publications(database), await parquetKeys(at.lake)]).toEqual([[], [], []]);
  });

  test('no replication slot is free: 78, with who has them and what to type; with one free it goes on', async () => {
    const at = await workspace();
    const server = await serverWith({ conf: { max_replication_slots: 1 } });
    const database = await server.createDatabase();
    await database.query(orders);
    await server.database('postgres').query(`SELECT pg_create_physical_replication_slot('somebody_elses')`);
    const text = await refused(at, [/max_replication_slots/, /somebody_elses/, /pg_drop_replication_slot/], { source: cdc(database.url) });
    expect(text).not.toContain(server.password);
    expect(await slots(database)).toEqual([]);
    await server.database('postgres').query(`SELECT pg_drop_replication_slot('somebody_elses')`);
    const next = await at.sync(['--source', cdc(database.url)]);
    expect(next.exitCode, explain(next)).toBe(0);
    expect(await rowsOf(at.lake, 'public', 'orders')).toHaveLength(20);
  });

  test('a standby: 78, connect to the primary', async () => {
    const at = await workspace();
    const folder = await mkdtemp(join(tmpdir(), 'tapline-standby-'));
    await runCommand('chmod', ['755', folder]);
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    const [first, second] = [join(folder, 'primary'), join(folder, 'standby')];
    const before = await startPostgres({ dir: first });
    await (await before.createDatabase('shop')).query(orders);
    await before.stop();
    await runCommand('cp', ['-a', first, second]);
    await writeFile(join(second, 'data', 'standby.signal'), '');
    const primary = await serverWith({ dir: first });
    const standby = await serverWith({ dir: second, conf: { primary_conninfo: `host=127.0.0.1 port=${primary.port} user=${primary.user} password='${primary.password}'` } });
    expect(await standby.database('shop').query('SELECT pg_is_in_recovery() AS standby')).toEqual([{ standby: true }]);
    await refused(at, [/standby/, /primary/], { source: cdc(standby.database('shop').url) });
    const good = await at.sync(['--source', cdc(primary.database('shop').url)]);
    expect(good.exitCode, explain(good)).toBe(0);
  });

  test('PgBouncer in between: 78, it is named, and where to connect instead', async () => {
    const at = await workspace({ seed: orders });
    const bouncer = await startPgbouncer(at.database);
    onTestFinished(() => bouncer.stop());
    const url = new URL(at.database.url);
    url.port = String(bouncer.port);
    await refused(at, [/PgBouncer/, new RegExp(`:${bouncer.port}\\b`), /PostgreSQL itself|directly/], { source: cdc(url.href) });
    expect(await slots(at.database)).toEqual([]);
    const without = await at.sync(['--source', url.href]);
    expect(without.exitCode, `without cdc it will do\n${explain(without)}`).toBe(0);
  });
});

describe('a user without the rights', () => {
  async function roleOf(at: Workspace, attributes: string): Promise<{ url: string; role: string }> {
    const role = `o'${at.database.name} "x"`;
    const quoted = `"${role.replaceAll('"', '""')}"`;
    await at.database.query(`CREATE ROLE ${quoted} LOGIN PASSWORD 'apple' ${attributes}; GRANT CREATE ON DATABASE ${at.database.name} TO ${quoted}; GRANT USAGE ON SCHEMA public TO ${quoted}; GRANT SELECT ON ALL TABLES IN SCHEMA public TO ${quoted}`);
    onTestFinished(async () => {
      await at.database.query(`DROP OWNED BY ${quoted} CASCADE; DROP ROLE ${quoted}`).catch(() => {});
    });
    const url = new URL(at.database.url);
    url.username = encodeURIComponent(role);
    url.password = 'apple';
    return { url: url.href, role: quoted };
  }

  test('no REPLICATION: 78, and the ALTER ROLE of the message is all it takes', async () => {
    const at = await workspace({ seed: orders });
    const { url, role } = await roleOf(at, '');
    await at.database.query(`ALTER TABLE orders OWNER TO ${role}`);
    const text = await refused(at, [/REPLICATION/], { source: cdc(url) });
    expect(text).not.toContain('apple');
    const [statement] = typed(text, /ALTER ROLE/);
    await at.database.query(statement ?? '');
    const next = await at.sync(['--source', cdc(url)]);
    expect(next.exitCode, explain(next)).toBe(0);
    expect(await rowsOf(at.lake, 'public', 'orders')).toHaveLength(20);
  });

  test('tables of another owner: 78, with the publication that an owner can make and how to name it', async () => {
    const at = await workspace({ seed: orders });
    const { url } = await roleOf(at, 'REPLICATION');
    const outcome = await at.sync(['--source', cdc(url), '--retries', '0']);
    expect(outcome.exitCode, explain(outcome)).toBe(78);
    expect(message(outcome)).toMatch(/owner/i);
    const [statement] = typed(message(outcome), /CREATE PUBLICATION/);
    expect(statement, message(outcome)).toContain('orders');
    await at.database.query(statement ?? '');
    const name = /CREATE PUBLICATION ("[^"]+"|\S+)/.exec(statement ?? '')?.[1]?.replaceAll('"', '');
    const next = await at.sync(['--source', cdc(url), ...(await config(at, { publication: name }))]);
    expect(next.exitCode, explain(next)).toBe(0);
    expect(await rowsOf(at.lake, 'public', 'orders')).toHaveLength(20);
  });
});

describe('tables and publications that do not fit', () => {
  test('a table without a key: 78, it is named with the ALTER TABLE; its owner’s work is not disturbed; typed, it goes on', async () => {
    const at = await workspace({ seed: `${orders} CREATE TABLE "Heap of things" (id int, word text); INSERT INTO "Heap of things" VALUES (1, 'one'), (2, 'two')` });
    const outcome = await at.sync(['--source', cdc(at.database.url), '--retries', '0']);
    expect(outcome.exitCode, explain(outcome)).toBe(78);
    const text = `${message(outcome)}\n${outcome.stderr}`;
    expect(text).toMatch(/Heap of things/);
    const [statement] = typed(text, /ALTER TABLE/);
    expect(statement, text).toMatch(/REPLICA IDENTITY FULL/);
    // A table without an identity in a publication that sends updates could not be updated any more.
    await at.database.query(`UPDATE "Heap of things" SET word = 'uno' WHERE id = 1; DELETE FROM "Heap of things" WHERE id = 2`);
    const others = await at.sync(['--source', cdc(at.database.url), '--streams', 'public.*,!public."Heap of things"']);
    expect(others.exitCode, explain(others)).toBe(0);
    await at.database.query(statement ?? '');
    const next = await at.sync(['--source', cdc(at.database.url)]);
    expect(next.exitCode, explain(next)).toBe(0);
    await at.database.query(`DELETE FROM "Heap of things"`);
    expect((await at.sync(['--source', cdc(at.database.url)])).exitCode).toBe(0);
    const rows = await rowsOf(at.lake, 'public', 'Heap of things');
    expect(rows.map((row) => [row['id'], row['word'], row['_ab_cdc_deleted_at'] !== null])).toEqual([[1, 'uno', false], [1, 'uno', true]]);
  });

  test('a publication of the user’s own for other tables: 78 with the ALTER PUBLICATION, and it is not touched', async () => {
    const at = await workspace({ seed: `${orders} CREATE TABLE other (id int PRIMARY KEY); CREATE PUBLICATION mine FOR TABLE other` });
    const args = await config(at, { publication: 'mine' });
    const outcome = await at.sync(['--source', cdc(at.database.url), '--streams', 'public.orders', '--retries', '0', ...args]);
    expect(outcome.exitCode, explain(outcome)).toBe(78);
    const [statement] = typed(message(outcome), /ALTER PUBLICATION/);
    expect(statement, message(outcome)).toMatch(/mine.*ADD TABLE.*orders/);
    expect(await at.database.query('SELECT tablename::text FROM pg_publication_tables')).toEqual([{ tablename: 'other' }]);
    expect(await parquetKeys(at.lake)).toEqual([]);
    await at.database.query(statement ?? '');
    const next = await at.sync(['--source', cdc(at.database.url), '--streams', 'public.orders', ...args]);
    expect(next.exitCode, explain(next)).toBe(0);
    expect(await rowsOf(at.lake, 'public', 'orders')).toHaveLength(20);
  });

  test('a publication that leaves out deletes, and one that is not there: 78 with what to type', async () => {
    const at = await workspace({ seed: `${orders} CREATE PUBLICATION mine FOR TABLE orders WITH (publish = 'insert, update')` });
    const run = async (publication: string) => at.sync(['--source', cdc(at.database.url), '--retries', '0', ...(await config(at, { publication }))]);
    const partial = await run('mine');
    expect(partial.exitCode, explain(partial)).toBe(78);
    const [statement] = typed(message(partial), /ALTER PUBLICATION/);
    expect(statement, message(partial)).toMatch(/mine.*SET.*publish.*delete/);
    const missing = await run('not_there');
    expect(missing.exitCode, explain(missing)).toBe(78);
    expect(typed(message(missing), /CREATE PUBLICATION/)[0], message(missing)).toMatch(/not_there.*orders/);
    await at.database.query(statement ?? '');
    const next = await run('mine');
    expect(next.exitCode, explain(next)).toBe(0);
  });
});

describe('a slot that somebody else drops', () => {
  const drop = async (database: TestDatabase): Promise<string> => {
    const [slot] = await slots(database);
    // A source that is cut off comes back at once: both in one statement's time, until it is gone.
    await until('the slot is dropped', async () => {
      await database
        .query(`SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE database = current_database() AND active; SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = current_database()`)
        .catch(() => {});
      return (await slots(database)).length === 0;
    });
    return slot?.slot_name ?? '';
  };

  test('between two runs: 78, the slot is named, nothing is skipped in silence; --full-refresh brings everything', async () => {
    const at = await workspace({ seed: orders });
    const args = ['--source', cdc(at.database.url), '--sync', 'shop', '--retries', '0'];
    expect((await at.sync(args)).exitCode).toBe(0);
    const name = await drop(at.database);
    await at.database.query(`UPDATE orders SET word = 'missed' WHERE id = 1; DELETE FROM orders WHERE id = 2`);
    const outcome = await at.sync(args);
    expect(outcome.exitCode, explain(outcome)).toBe(78);
    expect(message(outcome)).toContain(name);
    expect(message(outcome)).toMatch(/--full-refresh/);
    expect(message(outcome)).toMatch(/on_lost/);
    expect(await slots(at.database), 'none is made behind the user’s back').toEqual([]);
    const anew = await at.sync([...args, '--full-refresh']);
    expect(anew.exitCode, explain(anew)).toBe(0);
    await at.database.query(`INSERT INTO orders VALUES (21, 'after')`);
    expect((await at.sync(args)).summary).toMatchObject({ records: 1 });
    const rows = await rowsOf(at.lake, 'public', 'orders');
    expect(rows.map(({ id, word }) => [id, word]).sort((a, b) => Number(a[0]) - Number(b[0])).filter(([id]) => Number(id) < 4 || Number(id) > 20)).toEqual([[1, 'missed'], [3, 'order 3'], [21, 'after']]);
    expect(rows).toHaveLength(20);
  });

  test('dropped and made anew by somebody: what lies between is lost, and that is told with 78, not passed over', async () => {
    const at = await workspace({ seed: orders });
    const args = ['--source', cdc(at.database.url), '--sync', 'shop', '--retries', '0'];
    expect((await at.sync(args)).exitCode).toBe(0);
    const name = await drop(at.database);
    await at.database.query(`UPDATE orders SET word = 'missed' WHERE id = 1`);
    await at.database.query(`SELECT pg_create_logical_replication_slot('${name}', 'pgoutput')`);
    const outcome = await at.sync(args);
    expect(outcome.exitCode, explain(outcome)).toBe(78);
    expect(message(outcome)).toContain(name);
    expect(message(outcome)).toMatch(/--full-refresh/);
  });

  test('with on_lost=resnapshot the tables are read anew by themselves', async () => {
    const at = await workspace({ seed: orders });
    const args = ['--source', cdc(at.database.url), '--sync', 'shop', '--retries', '0', ...(await config(at, { on_lost: 'resnapshot' }))];
    expect((await at.sync(args)).exitCode).toBe(0);
    await drop(at.database);
    await at.database.query(`UPDATE orders SET word = 'missed' WHERE id = 1`);
    const outcome = await at.sync(args);
    expect(outcome.exitCode, explain(outcome)).toBe(0);
    expect(outcome.stderr).toMatch(/slot/);
    const rows = await rowsOf(at.lake, 'public', 'orders');
    expect(rows).toHaveLength(20);
    expect(rows.find(({ id }) => id === 1)).toMatchObject({ word: 'missed' });
  });

  test('in the middle of a run that stays: it ends with 78 and says so, instead of trying for ever', async () => {
    const at = await workspace({ seed: orders });
    const run = at.startSync(['--source', cdc(at.database.url), '--sync', 'shop', '--continuous', '--flush', '200ms']);
    await until('the copy is there', async () => (await parquetKeys(at.lake)).length > 0, 60_000);
    await at.database.query(`INSERT INTO orders VALUES (21, 'streamed')`);
    await until('the stream runs', async () => (await rowsOf(at.lake, 'public', 'orders')).length === 21);
    const name = await drop(at.database);
    const outcome = await run.done;
    expect(outcome.exitCode, explain(outcome)).toBe(78);
    expect(message(outcome)).toContain(name);
    expect(message(outcome)).toMatch(/--full-refresh/);
  });
});
