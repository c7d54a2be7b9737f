/** A warehouse that cannot take it: what the command line says, with which exit code, and what is there afterwards. */
import { execFileSync, spawn } from 'node:child_process';
import { chmod, chown, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { everyday } from '../harness/everyday.js';
import { freePort } from '../services/free-port.js';
import { startNetwork } from '../services/network.js';
import { serverUser } from '../services/server-user.js';
import { fakeSource } from '../harness/fake-connector.js';
import { until } from '../harness/processes.js';
import type { Outcome, RunOptions } from '../harness/tapline.js';
import { queryDuckdb, rowsIn, type WarehouseKind } from '../harness/warehouse.js';
import { explain } from '../harness/workspace.js';
import { warehouseWorkspace, type WarehouseWorkspace } from './warehouse-workspace.js';

/** A source that costs nothing to start: so many rows of `items`. */
const rows = (count: number, more = ''): string => `for (let id = 1; id <= ${count}; id++) record({ id, word: 'name ' + id${more} }); state({ id: ${count} }); status('COMPLETE');`;
/** 12 MB, which no compression makes less than six. */
const fat = rows(12_000, `, body: require('node:crypto').randomBytes(500).toString('hex')`);
const isRoot = process.getuid?.() === 0;

const message = (outcome: Outcome): string => outcome.summary?.error?.message ?? outcome.stderr;
const ended = (outcome: Outcome, exitCode: number, ...words: readonly (string | RegExp)[]): void => {
  expect(outcome.exitCode, explain(outcome)).toBe(exitCode);
  for (const word of words) expect(message(outcome)).toMatch(word);
};
async function bad(kind: WarehouseKind, mode?: string) {
  const at = await warehouseWorkspace(kind);
  const home = kind === 'duckdb' ? 'main' : 'public';
  let source = await fakeSource(at.directory, { read: rows(100) });
  const args = ['--sync', 'bad', '--retries', '0', ...(mode === undefined ? [] : ['--mode', `items=${mode}`])];
  return {
    at, home,
    /** What the source gives from now on. */
    async gives(read: string) {
      source = await fakeSource(at.directory, { read });
    },
    sync: (given: readonly string[] = [], options?: RunOptions) => at.sync(['--source', source, ...args, ...given], options),
    start: (given: readonly string[] = []) => at.startSync(['--source', source, ...args, ...given]),
    count: async () => (await rowsIn(at.warehouse, home, 'items', '"id"')).length,
  };
}

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
    const { at, sync, count } = await bad('duckdb');
    const hold = `const { DuckDBInstance } = require('@duckdb/node-api'); DuckDBInstance.create(process.argv[1]).then((instance) => { console.log('held'); setInterval(() => instance, 1000); })`;
    const holder = spawn(process.execPath, ['-e', hold, at.warehouse.path!], { cwd: import.meta.dirname, stdio: ['ignore', 'pipe', 'inherit'] });
    onTestFinished(() => void holder.kill('SIGKILL'));
    let told = '';
    holder.stdout.on('data', (chunk: Buffer) => (told += chunk.toString()));
    await until('the file is held', () => told.includes('held'));
    ended(await sync(), 75, new RegExp(`\\b${holder.pid}\\b`), /house\.db/);
    const check = await at.run(['check', '--dest', at.warehouse.uri]);
    expect(check.exitCode, explain(check)).not.toBe(0);
    expect(check.stdout + check.stderr).toContain(String(holder.pid));
    const gone = new Promise((resolve) => holder.once('exit', resolve));
    holder.kill('SIGKILL');
    await gone;
    ended(await sync(), 0);
    expect(await count()).toBe(100);
  });

  test('held by another sync that runs: 75 with the pid of its destination', async () => {
    const { at, sync, start, gives } = await bad('duckdb');
    await gives(`record({ id: 1 }); await sleep(60000);`);
    const first = start(['--sync', 'slow']);
    const { destination } = await first.connectors();
    await until('it has opened the file', async () => (await readFile(at.warehouse.path!).catch(() => Buffer.alloc(0))).length > 0);
    ended(await sync(), 75, new RegExp(`\\b${destination}\\b`));
    first.kill('SIGKILL');
    await first.done;
  });

  test('a file or a folder that may not be written is a config_error with its name, and nothing is changed', async () => {
    const { at, sync } = await bad('duckdb');
    const { path, uri } = at.warehouse as { path: string; uri: string };
    const as = (dest: string) => sync(['--dest', dest], { unprivileged: true });
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
    const { at, sync } = await bad('duckdb');
    const file = (name: string) => join(at.directory, name);
    const into = (path: string) => sync(['--dest', `duckdb://${path}`]);
    ended(await into(at.directory), 78, at.directory, /folder|directory/i);
    const no = Buffer.from('id,name\n1,no database\n'.repeat(1000));
    await writeFile(file('rows.csv'), no);
    ended(await into(file('rows.csv')), 78, /rows\.csv/, /DuckDB/);
    expect((await readFile(file('rows.csv'))).equals(no), 'untouched').toBe(true);
    await at.warehouse.query('CREATE TABLE numbers AS SELECT range AS n FROM range(100000)');
    const whole = await readFile(at.warehouse.path!);
    const damaged = Buffer.from(whole);
    damaged.fill(0xa5, 4096, 12_288);
    await writeFile(file('damaged.db'), damaged);
    ended(await into(file('damaged.db')), 78, /damaged\.db/);
    await writeFile(file('newer.db'), ofVersion(whole, 99n));
    ended(await into(file('newer.db')), 78, /newer\.db/, /version/i);
  });

  test.skipIf(!isRoot)('a full disk: the message says so, what was there stays readable, and with room the next run succeeds', async () => {
    const { at, sync, gives } = await bad('duckdb');
    const small = await smallDisk(at, '4m');
    const dest = ['--dest', `duckdb://${small}/house.db`];
    ended(await sync(dest), 0);
    await gives(fat);
    const full = await sync(dest);
    expect([75, 78], explain(full)).toContain(full.exitCode);
    expect(message(full)).toMatch(/space|full/i);
    expect(await queryDuckdb(join(small, 'house.db'), 'SELECT count(*) AS n FROM items')).toEqual([{ n: '100' }]);
    execFileSync('mount', ['-o', 'remount,size=200m', small]);
    ended(await sync(dest), 0);
    expect(await queryDuckdb(join(small, 'house.db'), 'SELECT count(*) AS n, count(DISTINCT id) AS d FROM items')).toEqual([{ n: '12000', d: '12000' }]);
  });

  test('an option that is none, or has no such value, is 78 before anything is touched', async () => {
    const { at, sync } = await bad('duckdb');
    for (const [query, words] of [['deletes=maybe', /deletes/], ['bad_value=null', /bad_values/]] as const) ended(await sync(['--dest', `${at.warehouse.uri}?${query}`]), 78, words);
    expect(await at.warehouse.query(`SELECT count(*) AS n FROM information_schema.tables WHERE table_schema = '_tapline'`)).toEqual([{ n: '0' }]);
  });
});

describe('postgres18', () => {
  test('a wrong port, password or database says so, and never the password', async () => {
    const { at, sync } = await bad('postgres18');
    const impatient = await at.destConfig({ start_timeout: 0 });
    const wrong = (change: (url: URL) => void) => {
      const url = new URL(at.warehouse.uri);
      change(url);
      return sync(['--dest', url.href, ...impatient]);
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

  test('a role that may not create a schema, nor a table: what to grant; with the grants the run succeeds', async () => {
    const { at, sync, count } = await bad('postgres18');
    const { name } = at.warehouse.database!;
    await at.warehouse.query(`CREATE ROLE ${name} LOGIN PASSWORD 'loader'`);
    onTestFinished(async () => void (await at.database.query(`DROP ROLE IF EXISTS ${name}`)));
    onTestFinished(async () => void (await at.warehouse.query(`DROP OWNED BY ${name}`)));
    const url = new URL(at.warehouse.uri);
    [url.username, url.password] = [name, 'loader'];
    const dest = ['--dest', url.href];
    ended(await sync(dest), 78, /schema/, /GRANT CREATE ON DATABASE/);
    await at.warehouse.query(`GRANT CREATE ON DATABASE ${name} TO ${name}`);
    ended(await sync(dest), 78, /GRANT USAGE, CREATE ON SCHEMA "public"/);
    await at.warehouse.query(`GRANT CREATE ON SCHEMA public TO ${name}`);
    ended(await sync(dest), 0);
    expect(await count()).toBe(100);
  });

  test('connection lost in the middle of a merge: nothing half is there, and the retry brings every row once', async () => {
    const { at, sync, start, gives } = await bad('postgres18', 'incremental:id/append_dedup');
    const network = await startNetwork(at.warehouse.database!);
    onTestFinished(() => network.stop());
    const url = new URL(at.warehouse.uri);
    url.port = String(network.port);
    ended(await sync(['--dest', url.href]), 0);
    await gives(rows(20_000));
    // Somebody reads the table and will not let go of it: the merge waits in the middle of its transaction.
    const blocker = await at.warehouse.database!.connect();
    await blocker.query('BEGIN; LOCK TABLE public.items IN SHARE MODE');
    const running = start(['--dest', url.href, '--retries', '5']);
    await until('the merge waits', async () => Number((await at.warehouse.query(`SELECT count(*) AS n FROM pg_locks WHERE NOT granted`))[0]!['n']) > 0);
    network.cut();
    await blocker.end();
    network.restore();
    ended(await running.done, 0);
    expect(await at.warehouse.query('SELECT count(*) AS n, count(DISTINCT id) AS d FROM public.items')).toEqual([{ n: '20000', d: '20000' }]);
  });

  test('a lock that nobody releases ends the wait in time: transient, with the table, and nothing is half done', async () => {
    const { at, sync, gives, count } = await bad('postgres18', 'incremental:id/append_dedup');
    const patience = await at.destConfig({ lock_timeout: 1 });
    ended(await sync(patience), 0);
    await gives(rows(101));
    const blocker = await at.warehouse.database!.connect();
    await blocker.query('BEGIN; LOCK TABLE public.items IN ACCESS EXCLUSIVE MODE');
    const outcome = await sync(patience);
    await blocker.end();
    ended(outcome, 75, /lock/i, /public\.items|"items"/);
    expect(await count()).toBe(100);
    ended(await sync(patience), 0);
    expect(await count()).toBe(101);
  });

  test.skipIf(!isRoot)('a full disk: the message says so, the old table stays, and with room the next run succeeds', async () => {
    const { at, sync, gives, count } = await bad('postgres18');
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
    ended(await sync(), 0);
    await gives(fat);
    const full = await sync();
    expect([75, 78], explain(full)).toContain(full.exitCode);
    expect(message(full)).toMatch(/space|full/i);
    expect(await count()).toBe(100);
    execFileSync('mount', ['-o', 'remount,size=200m', small]);
    ended(await sync(), 0);
    expect(await at.warehouse.query('SELECT count(*) AS n, count(DISTINCT id) AS d FROM public.items')).toEqual([{ n: '12000', d: '12000' }]);
  });
});

describe.each(everyday<WarehouseKind>(['duckdb', 'postgres18'], ['postgres18']))('%s', (kind) => {
  test('a table of somebody else, and a view, where a stream wants to go: both are refused with the ways on, and stay as they were', async () => {
    const { at, home, sync } = await bad(kind);
    const table = `${home}.items`;
    await at.warehouse.query(`CREATE TABLE ${table} (other int, columns text); INSERT INTO ${table} VALUES (1, 'mine')`);
    ended(await sync(), 78, new RegExp(table.replace('.', '"?\\."?')), /table_name|schema_name|rename|drop/i);
    expect(await at.warehouse.query(`SELECT * FROM ${table}`)).toEqual([{ other: 1, columns: 'mine' }]);
    await at.warehouse.query(`DROP TABLE ${table}; CREATE VIEW ${table} AS SELECT 1 AS id`);
    ended(await sync(), 78, new RegExp(table.replace('.', '"?\\."?')), /view/i);
    expect(await at.warehouse.query(`SELECT * FROM ${table}`)).toEqual([{ id: 1 }]);
  });

  test('a table of ours that somebody changed by hand: a column taken away is told, or made good, never a wrong value', async () => {
    const { at, home, sync, gives, count } = await bad(kind, 'incremental:id/append_dedup');
    ended(await sync(), 0);
    await at.warehouse.query(`ALTER TABLE ${home}.items DROP COLUMN word`);
    await gives(rows(101));
    const outcome = await sync();
    expect([0, 78], explain(outcome)).toContain(outcome.exitCode);
    if (outcome.exitCode === 78) expect(message(outcome)).toMatch(/items.*word/);
    else expect((await rowsIn(at.warehouse, home, 'items', '"id"')).at(-1)).toMatchObject({ id: '101', word: 'name 101' });
    expect(await count()).toBe(outcome.exitCode === 78 ? 100 : 101);
  });

  test('a view that somebody made on a table outlives its replacement, and shows the new rows', async () => {
    const { at, home, sync, gives, count } = await bad(kind);
    ended(await sync(), 0);
    await at.warehouse.query(`CREATE SCHEMA marts; CREATE VIEW marts.names AS SELECT id, word FROM ${home}.items WHERE id > 50`);
    if (kind !== 'duckdb') await at.warehouse.query(`COMMENT ON TABLE public.items IS 'ours'; GRANT SELECT ON public.items TO PUBLIC`);
    await gives(rows(60).replace('name ', 'again '));
    ended(await sync(), 0);
    expect(await at.warehouse.query('SELECT count(*) AS n, min(word) AS word FROM marts.names')).toEqual([{ n: '10', word: 'again 51' }]);
    if (kind !== 'duckdb') {
      expect(await at.warehouse.query(`SELECT obj_description('public.items'::regclass) AS comment, has_table_privilege('public', 'public.items', 'SELECT') AS granted`)).toEqual([{ comment: 'ours', granted: true }]);
    }
    expect(await count()).toBe(60);
  });
});
