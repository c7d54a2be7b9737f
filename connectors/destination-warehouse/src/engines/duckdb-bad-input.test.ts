import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmod, copyFile, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Warehouse } from '../warehouse.js';
import { openDuckdb } from './duckdb.js';

let folder: string;
/** A sound file, for copies. */
let sound: string;
let places = 0;
const fresh = async (): Promise<string> => {
  const place = join(folder, String(++places));
  await mkdir(place);
  return join(place, 'w.db');
};
const scratch = (): string => join(folder, 'scratch');
const opened = (path: string, memoryBytes = 64_000_000): Promise<Warehouse> => openDuckdb({ path, scratch: scratch(), log: () => undefined, memoryBytes });
const program = JSON.stringify(new URL('../../dist/engines/duckdb.js', import.meta.url).href);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tapline-duckdb-bad-'));
  // Somebody else has to get through to what it may not write.
  await chmod(folder, 0o755);
  sound = await fresh();
  await using warehouse = await opened(sound);
  await warehouse.run("CREATE TABLE facts AS SELECT i AS id, md5(i::VARCHAR) AS word FROM range(200000) t(i)");
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** A copy of the sound file that was changed. */
async function changed(change: (bytes: Buffer) => Buffer): Promise<string> {
  const path = await fresh();
  await writeFile(path, change(await readFile(sound)));
  return path;
}

describe('a file that another has open', { timeout: 60_000 }, () => {
  test('is locked: the message names the process, and once that is gone the run goes on', async () => {
    const path = await fresh();
    const holder = spawn(process.execPath, ['--input-type=module', '-e', `
      import { openDuckdb } from ${program};
      await openDuckdb({ path: ${JSON.stringify(path)}, scratch: ${JSON.stringify(`${path}.scratch`)}, log() {} });
      console.log('open');
      setInterval(() => {}, 1000);`], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(holder.stdout, 'data');
    await expect(opened(path)).rejects.toMatchObject({ kind: 'transient_error', code: 'locked', message: expect.stringMatching(new RegExp(`${path} is open in another process \\(pid ${holder.pid}, .*node`)) });
    holder.kill('SIGKILL');
    await once(holder, 'exit');
    await using _open = await opened(path);
  });

  test('is locked within one process, too, and whatever it is called', async () => {
    const path = await fresh();
    await using _first = await opened(path);
    await expect(opened(join(path, '..', '..', String(places), 'w.db'))).rejects.toMatchObject({ kind: 'transient_error', code: 'locked', message: expect.stringContaining(`pid ${process.pid}`) });
  });
});

describe('what is no DuckDB file', () => {
  test.each([
    ['text', Buffer.from('hello world '.repeat(1000))], ['one byte', Buffer.from('x')], ['zeros', Buffer.alloc(20_000)], ['nothing', Buffer.alloc(0)],
  ])('%s: is left as it is', async (_, content) => {
    const path = await fresh();
    await writeFile(path, content);
    await expect(opened(path)).rejects.toMatchObject({ kind: 'config_error', code: 'not_duckdb', message: expect.stringContaining(path) });
    expect(await readFile(path)).toEqual(content);
    expect(await readdir(join(path, '..'))).toEqual(['w.db']);
  });

  test('a folder: the message says to name a file in it', async () => {
    const path = await fresh();
    await mkdir(path);
    await expect(opened(path)).rejects.toMatchObject({ kind: 'config_error', code: 'not_a_file', message: expect.stringContaining(join(path, 'warehouse.db')) });
  });

  test('a file where a folder should be', async () => {
    const path = await fresh();
    await writeFile(path, '');
    await expect(opened(join(path, 'w.db'))).rejects.toMatchObject({ kind: 'config_error', code: 'not_writable', message: expect.stringMatching(/cannot make the folder .*w\.db.*a file/) });
  });
});

describe('a damaged or a newer file', () => {
  test('its first block, its middle, and its end', async () => {
    const header = await changed((bytes) => bytes.fill(0x55, 4096 + 100, 8192 + 4096));
    await expect(opened(header)).rejects.toMatchObject({ kind: 'config_error', code: 'damaged', message: expect.stringContaining(header) });
    const short = await changed((bytes) => bytes.subarray(0, bytes.length / 2));
    await expect(opened(short)).rejects.toMatchObject({ kind: 'config_error', code: 'damaged' });
    const middle = await changed((bytes) => bytes.fill(0x55, 12_288, 12_288 + 262_144));
    await using warehouse = await opened(middle);
    await expect(warehouse.run('SELECT max(word), sum(id) FROM facts')).rejects.toMatchObject({ kind: 'config_error', code: 'damaged' });
  });

  test('of a later storage version: the message says so, and with what to go on', async () => {
    const path = await changed((bytes) => sealed(bytes, (header) => header.writeBigUInt64LE(99n, 12)));
    await expect(opened(path)).rejects.toMatchObject({ kind: 'config_error', code: 'newer_version', message: expect.stringMatching(/storage version 99.*update Tapline/) });
  });

  test('a log without its file is not thrown away', async () => {
    const path = await fresh();
    await writeFile(`${path}.wal`, 'what was committed last');
    await expect(opened(path)).rejects.toMatchObject({ kind: 'config_error', code: 'damaged', message: expect.stringContaining(`${path}.wal`) });
    expect(await readFile(`${path}.wal`, 'utf8')).toBe('what was committed last');
  });
});

describe('a place without rights', { timeout: 60_000 }, () => {
  /** What each gives to somebody who may not write there: root may write anywhere. */
  function asAnother(paths: readonly string[]): string[] {
    const probe = `
      import { openDuckdb } from ${program};
      await import('@duckdb/node-api');
      for (const path of ${JSON.stringify(paths)}) {
        await openDuckdb({ path, scratch: process.env.TMPDIR ?? '/tmp', log() {} }).then(() => console.log('opened'), (error) => console.log(error.kind, error.code, error.message));
      }
      process.exit(0);`;
    // Root without its powers over file permissions: another user could not read this program where its folder is root's alone.
    const drop = process.getuid?.() === 0 ? ['setpriv', '--inh-caps=-all', '--bounding-set=-all', '--no-new-privs'] : [];
    const [command, ...rest] = [...drop, process.execPath, '--input-type=module', '-e', probe];
    return spawnSync(command!, rest, { encoding: 'utf8', cwd: join(import.meta.dirname, '..', '..') }).stdout.trim().split('\n');
  }

  test('a file that may not be written, a folder that may not, and one in which none can be made', async () => {
    const file = await changed((bytes) => bytes);
    await chmod(join(file, '..'), 0o777);
    await chmod(file, 0o444);
    const inFolder = await changed((bytes) => bytes);
    await chmod(inFolder, 0o666);
    await chmod(join(inFolder, '..'), 0o555);
    expect(asAnother([file, inFolder, join(inFolder, '..', 'new.db'), join(inFolder, '..', 'new', 'new.db')])).toEqual([
      expect.stringMatching(/^config_error not_writable .*this user may not write to it/),
      expect.stringMatching(/^config_error not_writable .*its folder .*, where its log is kept/),
      expect.stringMatching(/^config_error not_writable /),
      expect.stringMatching(/^config_error not_writable cannot make the folder/),
    ]);
    await chmod(join(inFolder, '..'), 0o755);
  });
});

describe('disks and memory', () => {
  /** A disk of its own; skipped where this user may not mount one. */
  async function disk(size: string, context: { skip(): void }): Promise<AsyncDisposable & { readonly at: string; remount(options: string): void }> {
    const at = join(await fresh(), '..');
    if (spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', at]).status !== 0) context.skip();
    return {
      at,
      remount: (options) => void spawnSync('mount', ['-o', `remount,${options}`, at]),
      [Symbol.asyncDispose]: async () => void spawnSync('umount', ['-l', at]),
    };
  }
  const fill = (warehouse: Warehouse, rows: number): Promise<unknown> =>
    warehouse.transaction(() => warehouse.run(`CREATE OR REPLACE TABLE facts AS SELECT i AS id, md5(i::VARCHAR) || md5((i + 1)::VARCHAR) AS word FROM range(${rows}) t(i)`));

  test('a full disk: nothing of the commit is there, and with room the next run goes on', async (context) => {
    await using small = await disk('4m', context);
    const path = join(small.at, 'w.db');
    {
      await using warehouse = await opened(path);
      await warehouse.run("CREATE TABLE kept AS SELECT 'kept' AS word");
      await expect(fill(warehouse, 300_000)).rejects.toMatchObject({ kind: 'config_error', code: 'disk_full', message: expect.stringContaining(path) });
    }
    await expect(opened(path).then(async (warehouse) => {
      await using again = warehouse;
      expect(await again.run('SELECT word FROM kept')).toEqual([{ word: 'kept' }]);
      await fill(again, 300_000);
    })).rejects.toMatchObject({ kind: 'config_error', code: 'disk_full' });
    small.remount('size=100m');
    await using warehouse = await opened(path);
    expect(await warehouse.run("SELECT word FROM kept UNION ALL SELECT table_name FROM duckdb_tables() WHERE table_name = 'facts'")).toEqual([{ word: 'kept' }]);
    await fill(warehouse, 300_000);
    expect(await warehouse.run('SELECT count(*)::INTEGER AS n FROM facts')).toEqual([{ n: 300_000 }]);
  });

  test('a disk too small for an empty file, and one that is mounted read-only', async (context) => {
    await using small = await disk('8k', context);
    await expect(opened(join(small.at, 'w.db'))).rejects.toMatchObject({ kind: 'config_error', code: 'disk_full' });
    expect(await readdir(small.at)).toEqual([]);
    small.remount('size=10m');
    await copyFile(sound, join(small.at, 'w.db')).catch(() => undefined);
    small.remount('ro');
    await expect(opened(join(small.at, 'w.db'))).rejects.toMatchObject({ kind: 'config_error', code: 'not_writable', message: expect.stringContaining('read-only') });
    await expect(opened(join(small.at, 'new.db'))).rejects.toMatchObject({ kind: 'config_error', code: 'not_writable', message: expect.stringContaining('read-only') });
  });

  test('a full disk under what is spilled is told by its own place', async (context) => {
    await using small = await disk('1m', context);
    await using warehouse = await openDuckdb({ path: await fresh(), scratch: small.at, log: () => undefined, memoryBytes: 48_000_000 });
    const sorted = warehouse.run('CREATE TABLE sorted AS SELECT md5(i::VARCHAR) AS word FROM range(4000000) t(i) ORDER BY 1');
    await expect(sorted).rejects.toMatchObject({ kind: 'config_error', code: 'staging', message: expect.stringContaining(small.at) });
  });

  test('too little memory: the message says which option gives more', async () => {
    await using warehouse = await opened(await fresh(), 12_000_000);
    const listed = warehouse.run('CREATE TABLE sorted AS SELECT list(md5(i::VARCHAR)) AS word FROM range(4000000) t(i)');
    await expect(listed).rejects.toMatchObject({ kind: 'config_error', code: 'memory', message: expect.stringMatching(/12 MB.*memory_mb/) });
  });
});

test('names and values that an error quotes are not taken for its words', async () => {
  await using warehouse = await opened(await fresh());
  for (const sql of ['SELECT checksum FROM corrupt', "SELECT 'out of memory'::DATE", 'SELECT "encrypt" FROM (SELECT 1 AS a)', "SELECT 1 AS a WHERE 'corrupt' = 1"]) {
    await expect(warehouse.run(sql), sql).rejects.toMatchObject({ kind: 'system_error' });
  }
});

describe('a file that is not there', () => {
  test('is made, with its folder, and nothing lies beside it', async () => {
    const path = join(await fresh(), 'a', 'b.db');
    await (await opened(path))[Symbol.asyncDispose]();
    expect(await readdir(join(path, '..'))).toEqual(['b.db']);
    expect((await stat(path)).size).toBeGreaterThan(0);
  });
});

test('what depends on a table is named as the reason, where the engine cannot change the table', async () => {
  await using warehouse = await opened(await fresh());
  await warehouse.run('CREATE TABLE facts (id INTEGER, n INTEGER); CREATE INDEX by_n ON facts (n)');
  await warehouse.run('CREATE TABLE ours (id INTEGER PRIMARY KEY); CREATE TABLE theirs (id INTEGER REFERENCES ours (id))');
  for (const sql of ['ALTER TABLE facts ALTER COLUMN n TYPE BIGINT', 'ALTER TABLE facts RENAME TO more', 'DROP TABLE ours']) {
    await expect(warehouse.run(sql), sql).rejects.toMatchObject({ kind: 'config_error', code: 'depended_on' });
  }
});

test('no message quotes what a row holds', async () => {
  await using warehouse = await opened(await fresh());
  await warehouse.run('CREATE TABLE facts (id INTEGER PRIMARY KEY, word VARCHAR CHECK (length(word) < 9))');
  await warehouse.run("INSERT INTO facts VALUES (4711, 'a')");
  for (const sql of ["INSERT INTO facts VALUES (4711, 'a')", "INSERT INTO facts VALUES ('geheim', 'a')", "SELECT error('geheim')", "SELECT 'geheim'::DATE", "INSERT INTO facts VALUES (1, 'geheim geheim')"]) {
    const error = (await warehouse.run(sql).catch((thrown: unknown) => thrown)) as Error;
    expect(error.message, sql).not.toMatch(/4711|geheim/);
    expect(error, sql).toMatchObject({ kind: 'system_error' });
  }
});

/** The first header of a file with a change, and the checksum that belongs to it. */
function sealed(bytes: Buffer, change: (header: Buffer) => void): Buffer {
  const header = bytes.subarray(0, 4096);
  change(header);
  const mask = (1n << 64n) - 1n;
  let checksum = 5381n;
  for (let at = 8; at < header.length; at += 8) checksum ^= (header.readBigUInt64LE(at) * 0xbf58476d1ce4e5b9n) & mask;
  header.writeBigUInt64LE(checksum, 0);
  return bytes;
}
