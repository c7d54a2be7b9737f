import { spawnSync } from 'node:child_process';
import { chmod, link, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { check } from './check.js';
import { config } from './config.js';
import { rowsIn, storeFor, Writer } from './fixtures/writer.js';
import { localError } from './local-errors.js';
import { LocalStore } from './local-store.js';

const orders = { namespace: 'public', name: 'orders' };
let folder: string;
let lake: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tapline-local-'));
  await chmod(folder, 0o755);
  lake = join(folder, 'lake');
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const headFolder = (): string => join(lake, '_tapline', 'shop', 'head');
const numbers = async (): Promise<number[]> => (await readdir(headFolder())).map((name) => Number(name.replace('.json', ''))).sort((a, b) => a - b);
const replaceTimes = async (store: LocalStore, times: number, version?: string): Promise<string | undefined> => {
  for (let count = 0; count < times; count++) {
    const outcome = await store.replaceHead('_tapline/shop/', { text: `{"count":${count}}`, nonce: 'n' }, version);
    expect(outcome.replaced).toBe(true);
    if (outcome.replaced) version = outcome.version;
  }
  return version;
};

describe('the head in a folder', () => {
  test('is the highest number; the last twenty stay, and nothing temporary', async () => {
    const store = new LocalStore({ path: lake, fencing: 'conditional' });
    await replaceTimes(store, 50);
    expect(await numbers()).toEqual(Array.from({ length: 20 }, (_, index) => index + 31));
    expect(await store.readHead('_tapline/shop/')).toEqual({ text: '{"count":49}', version: '50' });
    expect(await readdir(headFolder())).toContain('00000000000000000050.json');
  });

  test('an old writer whose next number was pruned long ago makes a head that does not count', async () => {
    const store = new LocalStore({ path: lake, fencing: 'conditional' });
    const old = await replaceTimes(store, 3);
    await replaceTimes(store, 50, old);
    expect(await numbers()).not.toContain(4);
    expect(await store.replaceHead('_tapline/shop/', { text: '{"old":true}', nonce: 'old' }, old)).toEqual({ replaced: false });
    expect((await store.readHead('_tapline/shop/'))?.version).toBe('53');
  });

  test('an old writer that was killed right after that changes nothing, and its file is pruned', async () => {
    const store = new LocalStore({ path: lake, fencing: 'conditional' });
    const newest = await replaceTimes(store, 50);
    await writeFile(join(folder, 'stale'), '{"old":true}');
    await link(join(folder, 'stale'), join(headFolder(), '00000000000000000004.json'));
    expect((await store.readHead('_tapline/shop/'))?.version).toBe('50');
    await replaceTimes(store, 1, newest);
    expect(await numbers()).not.toContain(4);
  });

  test('a writer whose head a newer one goes back to did commit, and learns at the next that it was replaced', async () => {
    const first = await Writer.make({ place: { path: lake } });
    await first.open();
    // The next writer takes over between link and listing: as if it had been stopped there.
    const store = await storeFor({ path: lake }) as LocalStore;
    const head = JSON.parse((await store.readHead('_tapline/shop-to-lake/'))!.text) as { nonce: string };
    const put = (number: number, nonce: string, previous: string): Promise<void> =>
      writeFile(join(lake, '_tapline/shop-to-lake/head', `${String(number).padStart(20, '0')}.json`), JSON.stringify({ ...head, nonce, previous }));
    await put(3, 'theirs', 'mine');
    expect(await store.replaceHead('_tapline/shop-to-lake/', { text: JSON.stringify({ ...head, nonce: 'mine', previous: head.nonce }), nonce: 'mine' }, '1')).toEqual({ replaced: true, version: '2' });
    expect((await store.replaceHead('_tapline/shop-to-lake/', { text: '{}', nonce: 'mine too' }, '2')).replaced).toBe(false);
    await first[Symbol.asyncDispose]();
  });
});

describe('check of a folder', () => {
  test('succeeds, and leaves nothing behind: not even the folder', async () => {
    await check({ config: config.parse({ path: lake }) });
    await expect(stat(lake)).rejects.toMatchObject({ code: 'ENOENT' });
    await mkdir(lake);
    await check({ config: config.parse({ path: lake }) });
    expect(await readdir(lake)).toEqual([]);
  });

  test('a file where the folder should be', async () => {
    await writeFile(lake, '');
    await expect(check({ config: config.parse({ path: lake }) })).rejects.toMatchObject({ kind: 'config_error', code: 'not_a_folder' });
  });

  test('no permission to write', async () => {
    await mkdir(lake, { mode: 0o555 });
    // Root may write anywhere: then it becomes somebody else, once the code is loaded (the checkout may be private to root).
    const probe = `import(${JSON.stringify(fileURLToPath(new URL('../dist/local-store.js', import.meta.url)))}).then(({ LocalStore }) => {
      if (process.getuid() === 0) { process.setgroups([]); process.setgid(65534); process.setuid(65534); }
      return new LocalStore({ path: ${JSON.stringify(lake)}, fencing: 'conditional' }).probeFencing();
    }).catch((error) => console.log(error.kind, error.code))`;
    const { stdout } = spawnSync(process.execPath, ['-e', probe], { encoding: 'utf8', cwd: '/' });
    expect(stdout.trim()).toBe('config_error not_writable');
  });
});

describe('a disk that fails', () => {
  test.each([
    ['ENOSPC', 'config_error', 'disk_full', /disk is full.*\/lake\/x/],
    ['EDQUOT', 'config_error', 'disk_full', /disk is full/],
    ['EACCES', 'config_error', 'not_writable', /permission/],
    ['EROFS', 'config_error', 'not_writable', /read-only/],
    ['ENAMETOOLONG', 'config_error', 'name_too_long', /too long/],
    ['EMFILE', 'transient_error', 'disk_unavailable', /at the moment/],
    ['EIO', 'system_error', 'disk_failed', /cannot write to/],
  ])('%s says what to do', (code, kind, ours, message) => {
    const error = Object.assign(new Error(`${code}: of the system`), { code });
    expect(localError(error, 'write to', '/lake/x')).toMatchObject({ kind, code: ours, message: expect.stringMatching(message) });
  });

  test('a full one leaves no half file behind, and the next run goes on once there is room', async (context) => {
    await mkdir(lake);
    const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=512k', 'tmpfs', lake]).status === 0;
    if (!mounted) context.skip();
    try {
      const writer = await Writer.make({ place: { path: lake } });
      await writer.open();
      await writer.write(orders, ['o1'], { stateId: 1 });
      await expect(writer.stage(orders, ['x'.repeat(600_000)])).rejects.toMatchObject({ kind: 'config_error', code: 'disk_full' });
      await writer.write(orders, ['o2'], { stateId: 2 });
      expect(await rowsIn(await storeFor({ path: lake }))).toEqual(['o1', 'o2']);
      await writer[Symbol.asyncDispose]();
    } finally {
      spawnSync('umount', [lake]);
    }
  });

  test('a folder that somebody removes meanwhile is made again', async () => {
    const writer = await Writer.make({ place: { path: lake } });
    await writer.open();
    await writer.write(orders, ['o1'], { stateId: 1 });
    await rm(join(lake, 'public'), { recursive: true });
    await writer.write(orders, ['o2'], { stateId: 2 });
    expect(await rowsIn(await storeFor({ path: lake }))).toEqual(['o2']);
    await writer[Symbol.asyncDispose]();
  });

  test('a disk without hard links is written with fencing: none', async () => {
    const place = { path: lake, fencing: 'none' } as const;
    const first = await Writer.make({ place });
    await first.open();
    await first.write(orders, ['o1'], { stateId: 1 });
    const second = await Writer.make({ place });
    expect((await second.open()).checkpoint?.state_id).toBe(1);
    await expect(first.commit({ stateId: 2 })).rejects.toMatchObject({ code: 'fenced' });
    for (const writer of [first, second]) await writer[Symbol.asyncDispose]();
  });
});

test('a staged file is a second name of the local one: nothing is copied on one disk', async () => {
  const store = new LocalStore({ path: lake, fencing: 'conditional' });
  const path = join(folder, 'made');
  await writeFile(path, 'content');
  await store.putFile('_tapline/shop/staged/1/a.staged', path, 7);
  expect((await stat(join(lake, '_tapline/shop/staged/1/a.staged'))).ino).toBe((await stat(path)).ino);
  await rm(path);
  expect(await readFile(join(lake, '_tapline/shop/staged/1/a.staged'), 'utf8')).toBe('content');
});
