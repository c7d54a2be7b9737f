/** A warehouse that cannot take it: what the command line says, with which exit code, and what is there afterwards. */
import { execFileSync, spawn } from 'node:child_process';
import { chmod, chown, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { freePort } from '../services/free-port.js';
import { startNetwork } from '../services/network.js';
import { serverUser } from '../services/server-user.js';
import { fakeSource } from '../harness/fake-connector.js';
import { until } from '../harness/processes.js';
import type { Outcome } from '../harness/tapline.js';
import { queryDuckdb, rowsIn, type WarehouseKind } from '../harness/warehouse.js';
import { explain } from '../harness/workspace.js';
import { warehouseWorkspace, type WarehouseWorkspace } from './warehouse-workspace.js';

const quick = ['--retries', '0', '--sync', 'bad'];
const seed = `CREATE TABLE t (id int PRIMARY KEY, name text); INSERT INTO t SELECT i, 'name ' || i FROM generate_series(1, 100) i`;
/** 20 MB that no compression makes smaller. */
const fat = `CREATE TABLE fat AS SELECT i AS id, (SELECT string_agg(md5(random()::text), '') FROM generate_series(1, 30) WHERE i > 0) AS body FROM generate_series(1, 20000) i`;
const isRoot = process.getuid?.() === 0;

const message = (outcome: Outcome): string => outcome.summary?.error?.message ?? outcome.stderr;
const ended = (outcome: Outcome, exitCode: number, ...words: readonly (string | RegExp)[]): void => {
  expect(outcome.exitCode, explain(outcome)).toBe(exitCode);
  for (const word of words) expect(message(outcome)).toMatch(word);
};
const idsIn = async (at: WarehouseWorkspace, schema = 'public'): Promise<number> => (await rowsIn(at.warehouse, schema, 't', '"id"')).length;

/** A disk of that size, gone with the test. */
async function smallDisk(at: WarehouseWorkspace, size: string): Promise<string> {
  const small = join(at.directory, 'small');
  await mkdir(small);
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', small]);
  onTestFinished(() => void execFileSync('umount', ['-l', small]));
  return small;
}

/** The storage version stands in the first header, which begins with its own checksum. */
function ofVersion(bytes: Buffer, version: bigint): Buffer {
  const copy = Buffer.from(bytes);
  const header = copy.subarray(0, 4096);
  header.writeBigUInt64LE(version, 12);
  let checksum = 5381n;
  for (let at = 8; at < header.length; at += 8) checksum ^= BigInt.asUintN(64, header.readBigUInt64LE(at) * 0xbf58476d1ce4e5b9n);
  header.writeBigUInt64LE(checksum, 0);
  return copy;
}

describe('duckdb', () => {
  test('locked by another process: 75, with its pid; once it is gone, the run succeeds', async () => {
    const at = await warehouseWorkspace('duckdb', { seed });
    const hold = `const { DuckDBInstance } = require('@duckdb/node-api'); DuckDBInstance.create(process.argv[1]).then((instance) => { console.log('held'); setInterval(() => instance, 1000); })`;
    const holder = spawn(process.execPath, ['-e', hold, at.warehouse.path!], { cwd: import.meta.dirname, stdio: ['ignore', 'pipe', 'inherit'] });
    onTestFinished(() => void holder.kill('SIGKILL'));
    let told = '';
    holder.stdout.on('data', (chunk: Buffer) => (told += chunk.toString()));
    await until('the file is held', () => told.includes('held'));
    ended(await at.sync(quick), 75, new RegExp(`\\b${holder.pid}\\b`), /house\.db/);
    const check = await at.run(['check', '--dest', at.warehouse.uri]);
    expect(check.exitCode, explain(check)).not.toBe(0);
    expect(check.stdout + check.stderr).toContain(String(holder.pid));
    const gone = new Promise((resolve) => holder.once('exit', resolve));
    holder.kill('SIGKILL');
    await gone;
    ended(await at.sync(quick), 0);
    expect(await idsIn(at)).toBe(100);
  });

  test('a second run of another sync on the same file, while one runs, is 75 too', async () => {
    const at = await warehouseWorkspace('duckdb', { seed });
    const slow = await fakeSource(at.directory, { read: `record({ id: 1 }); await sleep(60000);` });
    const first = at.startSync(['--source', slow, '--sync', 'slow', '--mode', 'items=incremental:id']);
    const { destination } = await first.connectors();
    await until('it has opened the file', async () => (await readFile(at.warehouse.path!).catch(() => Buffer.alloc(0))).length > 0);
    ended(await at.sync(quick), 75, new RegExp(`\\b${destination}\\b`));
    first.kill('SIGKILL');
    await first.done;
  });

  test('a file or a folder that may not be written is a config_error with its name, and nothing is changed', async () => {
    const at = await warehouseWorkspace('duckdb', { seed });
    const { path, uri } = at.warehouse as { path: string; uri: string };
    const as = (dest: string) => at.sync(['--dest', dest, ...quick], { unprivileged: true });
    await queryDuckdb(path, 'CREATE TABLE mine (id int)');
    await chmod(path, 0o444);
    const before = await readFile(path);
    ended(await as(uri), 78, path, /permission|read-only|write/i);
    expect((await readFile(path)).equals(before)).toBe(true);
    const locked = join(at.directory, 'locked');
    await mkdir(locked, { mode: 0o555 });
    ended(await as(`duckdb://${locked}/house.db`), 78, locked, /permission|read-only|write/i);
  });

  test('a folder, a damaged file, one of a newer version and one that is no database at all: each a config_error that says which', async () => {
    const at = await warehouseWorkspace('duckdb', { seed });
    const { path, uri } = at.warehouse as { path: string; uri: string };
    const into = (file: string) => at.sync(['--dest', `duckdb://${file}`, ...quick]);
    ended(await into(at.directory), 78, at.directory, /folder|directory/i);
    const file = (name: string) => join(at.directory, name);
    const no = Buffer.from('id,name\n1,no database\n'.repeat(1000));
    await writeFile(file('rows.csv'), no);
    ended(await into(file('rows.csv')), 78, /rows\.csv/, /DuckDB/);
    expect((await readFile(file('rows.csv'))).equals(no), 'untouched').toBe(true);
    ended(await at.sync(quick), 0);
    const whole = await readFile(path);
    const damaged = Buffer.from(whole);
    damaged.fill(0xa5, 4096, 12_288);
    await writeFile(file('damaged.db'), damaged);
    ended(await into(file('damaged.db')), 78, /damaged\.db/);
    await writeFile(file('cut.db'), whole.subarray(0, whole.length / 2));
    ended(await into(file('cut.db')), 78, /cut\.db/);
    await writeFile(file('newer.db'), ofVersion(whole, 99n));
    ended(await into(file('newer.db')), 78, /newer\.db/, /version/i);
    ended(await at.sync(['--dest', uri, ...quick]), 0);
  });

  test.skipIf(!isRoot)('a full disk: the message says so, what was there stays readable, and with room the next run succeeds', async () => {
    const at = await warehouseWorkspace('duckdb', { seed: `${seed}; ${fat}` });
    const small = await smallDisk(at, '4m');
    const dest = ['--dest', `duckdb://${small}/house.db`];
    ended(await at.sync([...dest, ...quick, '--streams', 'public.t']), 0);
    const full = await at.sync([...dest, ...quick]);
    expect([75, 78], explain(full)).toContain(full.exitCode);
    expect(message(full)).toMatch(/space|full/i);
    expect(await queryDuckdb(join(small, 'house.db'), 'SELECT count(*) AS n FROM public.t')).toEqual([{ n: '100' }]);
    execFileSync('mount', ['-o', 'remount,size=100m', small]);
    const next = await at.sync([...dest, ...quick]);
    ended(next, 0);
    expect(await queryDuckdb(join(small, 'house.db'), 'SELECT count(*) AS n, count(DISTINCT id) AS d FROM public.fat')).toEqual([{ n: '20000', d: '20000' }]);
  });
});

describe('postgres18', () => {
  test('a wrong host, port, password or database says so, and never the password', async () => {
    const at = await warehouseWorkspace('postgres18', { seed });
    const wrong = (change: (url: URL) => void) => {
      const url = new URL(at.warehouse.uri);
      change(url);
      return at.sync(['--dest', url.href, ...quick]);
    };
    const closed = await freePort();
    const port = await wrong((url) => (url.port = String(closed)));
    expect([75, 78], explain(port)).toContain(port.exitCode);
    expect(message(port)).toContain(String(closed));
    const password = await wrong((url) => (url.password = 'guessed-it'));
    ended(password, 78, /password/i);
    expect(password.stdout + password.stderr).not.toContain('guessed-it');
    ended(await wrong((url) => (url.pathname = '/nowhere_at_all')), 78, /nowhere_at_all/);
  });

  test('a role that may not create a schema: which one, and what to grant; with the grant the run succeeds', async () => {
    const at = await warehouseWorkspace('postgres18', { seed });
    const { name } = at.warehouse.database!;
    await at.warehouse.query(`CREATE ROLE ${name} LOGIN PASSWORD 'loader'`);
    onTestFinished(async () => void (await at.database.query(`DROP ROLE IF EXISTS ${name}`)));
    onTestFinished(async () => void (await at.warehouse.query(`DROP OWNED BY ${name}`)));
    const url = new URL(at.warehouse.uri);
    [url.username, url.password] = [name, 'loader'];
    const sync = () => at.sync(['--dest', url.href, ...quick]);
    ended(await sync(), 78, /_tapline/, /GRANT|CREATE/);
    await at.warehouse.query(`GRANT CREATE ON DATABASE ${name} TO ${name}`);
    ended(await sync(), 78, /public/, /GRANT|CREATE/);
    await at.warehouse.query(`GRANT CREATE ON SCHEMA public TO ${name}`);
    ended(await sync(), 0);
    expect(await idsIn(at)).toBe(100);
  });

  test('connection lost in the middle of a merge: nothing half is there, and the retry brings every row once', async () => {
    const at = await warehouseWorkspace('postgres18', { seed: `CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL, name text); INSERT INTO t SELECT i, i, repeat('x', 200) FROM generate_series(1, 20000) i` });
    const network = await startNetwork(at.warehouse.database!);
    onTestFinished(() => network.stop());
    const url = new URL(at.warehouse.uri);
    url.port = String(network.port);
    const args = ['--dest', url.href, '--sync', 'lost', '--mode', 'public.t=incremental:n'];
    ended(await at.sync(args), 0);
    await at.database.query('UPDATE t SET n = n + 100000');
    // Somebody reads the table and will not let go of the rows: the merge waits in the middle of its transaction.
    const blocker = await at.warehouse.database!.connect();
    await blocker.query('BEGIN; LOCK TABLE public.t IN SHARE MODE');
    const running = at.startSync(args);
    await until('the merge waits', async () => Number((await at.warehouse.query(`SELECT count(*) AS n FROM pg_locks WHERE NOT granted`))[0]!['n']) > 0);
    network.cut();
    await blocker.end();
    network.restore();
    ended(await running.done, 0);
    expect(await at.warehouse.query('SELECT count(*) AS n, count(DISTINCT id) AS d, min(n) AS least FROM public.t')).toEqual([{ n: '20000', d: '20000', least: 100_001 }]);
  });

  test('a lock that nobody releases ends the wait in time: transient, with the table, and nothing is half done', async () => {
    const at = await warehouseWorkspace('postgres18', { seed });
    const args = [...quick, '--mode', 'public.t=incremental:id', ...(await at.destConfig({ lock_timeout: 1 }))];
    ended(await at.sync(args), 0);
    await at.database.query(`INSERT INTO t VALUES (101, 'new')`);
    const blocker = await at.warehouse.database!.connect();
    await blocker.query('BEGIN; LOCK TABLE public.t IN ACCESS EXCLUSIVE MODE');
    const outcome = await at.sync(args);
    await blocker.end();
    ended(outcome, 75, /lock/i, /public\.t|"t"/);
    expect(await idsIn(at)).toBe(100);
    ended(await at.sync(args), 0);
    expect(await idsIn(at)).toBe(101);
  });

  test.skipIf(!isRoot)('a full disk: the message says so, the old table stays, and with room the next run succeeds', async () => {
    const at = await warehouseWorkspace('postgres18', { seed: `${seed}; ${fat}` });
    const small = await smallDisk(at, '8m');
    const user = serverUser();
    if (user) await chown(small, user.uid, user.gid);
    // The tests' own folder admits its owner only.
    await chmod(at.directory, 0o755);
    const { name } = at.warehouse.database!;
    await at.database.query(`CREATE TABLESPACE ${name} LOCATION '${small}'`);
    onTestFinished(async () => void (await at.database.query(`DROP TABLESPACE ${name}`)));
    onTestFinished(() => at.warehouse.dispose());
    await at.database.query(`ALTER DATABASE ${name} SET default_tablespace = '${name}'`);
    ended(await at.sync([...quick, '--streams', 'public.t']), 0);
    const full = await at.sync(quick);
    expect([75, 78], explain(full)).toContain(full.exitCode);
    expect(message(full)).toMatch(/space|full/i);
    expect(await idsIn(at)).toBe(100);
    execFileSync('mount', ['-o', 'remount,size=200m', small]);
    ended(await at.sync(quick), 0);
    expect(await at.warehouse.query('SELECT count(*) AS n, count(DISTINCT id) AS d FROM public.fat')).toEqual([{ n: '20000', d: '20000' }]);
  });
});

describe.each(['duckdb', 'postgres18'] as readonly WarehouseKind[])('%s', (kind) => {
  test('a table of somebody else, and a view, where a stream wants to go: both are refused with the ways on, and stay as they were', async () => {
    const at = await warehouseWorkspace(kind, { seed });
    await at.warehouse.query(`CREATE SCHEMA IF NOT EXISTS public; CREATE TABLE public.t (other int, columns text); INSERT INTO public.t VALUES (1, 'mine')`);
    ended(await at.sync(quick), 78, /public\.t/, /table_name|schema_name|rename|drop/i);
    expect(await at.warehouse.query('SELECT * FROM public.t')).toEqual([{ other: 1, columns: 'mine' }]);
    await at.warehouse.query('DROP TABLE public.t; CREATE VIEW public.t AS SELECT 1 AS id');
    ended(await at.sync(quick), 78, /public\.t/, /view/i);
    expect(await at.warehouse.query('SELECT * FROM public.t')).toEqual([{ id: 1 }]);
    ended(await at.sync([...quick, ...(await at.destConfig({ table_name: 'raw_{stream}' }))]), 0);
    expect(await rowsIn(at.warehouse, 'public', 'raw_t', '"id"')).toHaveLength(100);
  });

  test('a table of ours that somebody changed by hand: a column taken away or of another type is told, or made good, never a wrong value', async () => {
    const at = await warehouseWorkspace(kind, { seed });
    const args = [...quick, '--mode', 'public.t=incremental:id'];
    ended(await at.sync(args), 0);
    await at.warehouse.query('ALTER TABLE public.t DROP COLUMN name');
    await at.database.query(`INSERT INTO t VALUES (101, 'new')`);
    const outcome = await at.sync(args);
    expect([0, 78], explain(outcome)).toContain(outcome.exitCode);
    if (outcome.exitCode === 78) expect(message(outcome)).toMatch(/public\.t/);
    else expect((await rowsIn(at.warehouse, 'public', 't', '"id"')).at(-1)).toMatchObject({ id: 101, name: 'new' });
    expect(message(outcome)).not.toMatch(/Binder Error|42703/);
  });

  test('a view that somebody made on a table outlives its replacement, and shows the new rows', async () => {
    const at = await warehouseWorkspace(kind, { seed });
    ended(await at.sync(quick), 0);
    await at.warehouse.query('CREATE SCHEMA marts; CREATE VIEW marts.names AS SELECT id, name FROM public.t WHERE id > 50');
    if (kind !== 'duckdb') await at.warehouse.query(`COMMENT ON TABLE public.t IS 'ours'; GRANT SELECT ON public.t TO PUBLIC`);
    await at.database.query(`DELETE FROM t WHERE id > 60; UPDATE t SET name = 'again'`);
    ended(await at.sync(quick), 0);
    expect(await at.warehouse.query('SELECT count(*) AS n, min(name) AS name FROM marts.names')).toEqual([{ n: '10', name: 'again' }]);
    if (kind !== 'duckdb') {
      expect(await at.warehouse.query(`SELECT obj_description('public.t'::regclass) AS comment, has_table_privilege('public', 'public.t', 'SELECT') AS granted`)).toEqual([{ comment: 'ours', granted: true }]);
    }
    expect(await idsIn(at)).toBe(60);
  });

  test('an option that is none, or has no such value, is 78 before anything is touched', async () => {
    const at = await warehouseWorkspace(kind, { seed });
    for (const [query, words] of [['deletes=maybe', /deletes/], ['bad_value=null', /bad_values/], ['schema=whatever', /schema/], ['history=scd3', /history/]] as const) {
      ended(await at.sync(['--dest', `${at.warehouse.uri}?${query}`, ...quick]), 78, words);
    }
    expect(await at.warehouse.query(`SELECT count(*) AS n FROM information_schema.tables WHERE table_schema = '_tapline'`)).toEqual([{ n: '0' }]);
  });
});
