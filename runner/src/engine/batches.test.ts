import { spawnSync } from 'node:child_process';
import { chownSync, existsSync, lstatSync, mkdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { identify } from '../store/process-identity.js';
import { folder, leftovers, linesOf, record, state, status, sync, tapline, upTo, visible, type Given, type Ran } from './fixtures/syncs.js';
import { BatchFolder } from './batch-folder.js';
import { PrivateFiles } from './private-files.js';
import { folderName, ramDisk, roomFor, sweepRamDisk } from './ram-disk.js';
import { batchFormatOf } from './transport.js';

const both = { source: ['parquet'], destination: ['parquet'] };
const run = (given: Given = {}): Promise<Ran> => sync({ session: true, formats: both, ...given });
const scripted = (...script: readonly unknown[]): Promise<Ran> => run({ source: { script: [...script, tapline({ type: 'END' })] } });
const done = status('a', 'COMPLETE');

interface Seen {
  readonly session: { readonly batch?: { readonly dir: string; readonly format: string; readonly max_bytes: number }; readonly extensions: readonly string[] };
}
const seen = (ran: Ran, name: string): Seen[] => ran.lines(name).map((line) => JSON.parse(line) as Seen);

describe('batches', () => {
  test('travel where both ends know their form: all rows arrive once, are counted like records, and no folder is left', async () => {
    const path = folder();
    const ran = await run({ path, source: { count: 95, streams: ['a', 'b'], seen: join(path, 'source') }, destination: { seen: join(path, 'destination'), log: join(path, 'log') } });
    expect([ran.exitCode, ran.summary.error]).toEqual([0, undefined]);
    expect(visible(path)).toEqual({ a: upTo(95), b: upTo(95) });
    expect(ran.summary.streams.map(({ records }) => records)).toEqual([95, 95]);
    const bytes = linesOf(join(path, 'log')).flatMap((line) => (line.includes('"BATCH"') ? [(JSON.parse(line) as { tapline: { bytes: number } }).tapline.bytes] : []));
    expect([bytes.length, ran.summary.bytes]).toEqual([20, bytes.reduce((a, b) => a + b)]);
    expect(await ran.states()).toMatchObject([{ stream: { stream_state: { n: 95 } } }, { stream: { stream_state: { n: 95 } } }]);
    const [source, destination] = [seen(ran, 'source')[0]!.session, seen(ran, 'destination')[0]!.session];
    expect(source.batch).toEqual(destination.batch);
    expect([source.extensions.includes('batch'), destination.extensions.includes('batch'), source.batch!.format]).toEqual([true, true, 'parquet']);
    expect(existsSync(join(source.batch!.dir, '..'))).toBe(false);
    expect(leftovers(path)).toEqual([]);
  });

  test('lie in a folder of their own, which nobody else may look into, empty for each run', async () => {
    const path = folder();
    const watched = join(path, 'modes');
    const given: Given = { path, source: { script: [{ batch: { ids: [1] } }, { modes: watched }, state('a', 1), done, tapline({ type: 'END' })], folders: join(path, 'folders') } };
    expect((await run(given)).exitCode).toBe(0);
    expect((await run(given)).exitCode).toBe(0);
    const folders = linesOf(join(path, 'folders')).map((line) => JSON.parse(line) as { dir: string; there: string[] });
    expect(folders.map(({ there }) => there)).toEqual([[], []]);
    expect(folders[0]!.dir).not.toBe(folders[1]!.dir);
    expect(linesOf(watched)).toEqual(['700 700', '700 700']);
  });

  test('and records of a stream keep the order of their lines', async () => {
    const ran = await scripted(record('a', 1), { batch: { ids: [2, 3] } }, record('a', 4), { batch: { ids: [5] } }, state('a', 5), done);
    expect([ran.exitCode, visible(ran.path), ran.summary.records]).toEqual([0, { a: [1, 2, 3, 4, 5] }, 5]);
  });

  test('fill a generation like records', async () => {
    const ran = await run({ extensions: { source: ['generation'] }, mode: 'full_refresh', write: 'overwrite', source: { script: [{ batch: { ids: [1, 2] } }, done, tapline({ type: 'END' })] } });
    expect([ran.exitCode, visible(ran.path)]).toEqual([0, { a: [1, 2] }]);
  });

  test('of a stream that is not selected are left out with one warning, and their files are gone', async () => {
    const path = folder();
    const ran = await run({ path, source: {
      folders: join(path, 'folders'),
      script: [{ batch: { stream: 'other', ids: [7] } }, { batch: { stream: 'other', ids: [8] } }, { batch: { ids: [1] } }, state('a', 1), done, tapline({ type: 'END' })],
    } });
    expect([ran.exitCode, visible(path), ran.summary.records]).toEqual([0, { a: [1] }, 1]);
    expect(ran.messages.filter((text) => text.includes('sends records of other, which is not among the selected streams')).length).toBe(1);
  });

  test('that no state covers are told, as records are', async () => {
    const ran = await scripted({ batch: { ids: [1] } }, state('a', 1), { batch: { ids: [2, 3] } }, done);
    expect(ran.messages).toContainEqual(expect.stringContaining('2 records of a came after its last state'));
  });
});

describe('after a failure', () => {
  test.each([
    ['the destination', 60, { destination: { dieAfter: 7 } }],
    ['the source', 2, { source: { scripts: [[{ batch: { ids: [1] } }, state('a', 1), { batch: { ids: [2] } }, { signal: 'SIGKILL' }], [{ batch: { ids: [2] } }, state('a', 2), done, tapline({ type: 'END' })]], script: [] } }],
  ] as const)('of %s the next attempt begins with an empty folder, and in the end every row is there once', async (_who, rows, given: Given) => {
    const path = folder();
    const ran = await run({ path, ...given, source: { count: 60, ...given.source, attempts: join(path, 'attempt'), folders: join(path, 'folders') } });
    const folders = linesOf(join(path, 'folders')).map((line) => JSON.parse(line) as { dir: string; there: string[] });
    const dirs = [...new Set(folders.map(({ dir }) => dir))];
    expect(dirs.length).toBeGreaterThan(1);
    for (const dir of dirs) expect(folders.find((one) => one.dir === dir)!.there).toEqual([]);
    expect(dirs.some((dir) => existsSync(dir))).toBe(false);
    expect([ran.exitCode, visible(path)]).toEqual([0, { a: upTo(rows) }]);
  });
});

describe('a broken batch ends the run with 76 and says what is wrong with it', () => {
  test.each<[string, object, RegExp]>([
    ['a path into another folder', { message: { path: '../000001.parquet' } }, /path: must be the name of a file/],
    ['an absolute path', { message: { path: '/etc/passwd' } }, /path: must be the name of a file/],
    ['the folder itself', { message: { path: '.' } }, /path: must be the name of a file/],
    ['a file that is not there', { message: { path: '000007.parquet' } }, /000007.parquet is not in the folder/],
    ['a link', { link: true }, /000001.parquet is not a regular file/],
    ['a file that is not whole', { message: { bytes: 1000 } }, /is said to have 1000 bytes, and has 3/],
    ['no rows', { message: { rows: 0 } }, /rows: /],
    ['another form', { message: { format: 'arrow' } }, /is arrow, and this run uses parquet/],
    ['an unknown form', { message: { format: 'xml' } }, /format: /],
    ['no columns', { message: { columns: null } }, /columns: /],
  ])('%s', async (_what, step, text) => {
    const ran = await run({ source: { script: [{ batch: { ids: [1], ...step } }, state('a', 1), done, tapline({ type: 'END' })] }, plan: { retries: 0 } });
    expect(ran.exitCode).toBe(76);
    expect(ran.summary.error!.message).toMatch(text);
    expect(await ran.states()).toEqual([]);
  });

  test('one that nobody asked for', async () => {
    const path = folder();
    const ran = await run({ path, plan: { transport: 'json', retries: 0 }, source: { folder: path, script: [{ batch: { ids: [1] } }, state('a', 1), done, tapline({ type: 'END' })] } });
    expect([ran.exitCode, ran.summary.error!.message]).toEqual([76, expect.stringContaining('a BATCH came, and this run does not use batches')]);
  });
});

describe('the transport', () => {
  const spec = (...formats: string[]) => ({ connectionSpecification: {}, tapline: { version: 1, extensions: ['end', ...(formats.length > 0 ? ['batch'] : [])], batch_formats: formats } });
  const ends = (source: string[], destination: string[]) => ({ source: { label: 'shop', spec: spec(...source) }, destination: { label: 'lake', spec: spec(...destination) } });

  test('json is never batches, auto is where both ends know a form, the one that the source likes best', () => {
    expect(batchFormatOf('json', ends(['parquet'], ['parquet']))).toBeUndefined();
    expect(batchFormatOf('auto', ends(['arrow', 'parquet'], ['parquet', 'arrow']))).toBe('arrow');
    expect(batchFormatOf('auto', ends(['later', 'parquet'], ['later', 'parquet']))).toBe('parquet');
    for (const [source, destination] of [[[], ['parquet']], [['parquet'], []], [['arrow'], ['parquet']]] as const) {
      expect(batchFormatOf('auto', ends([...source], [...destination]))).toBeUndefined();
    }
    expect(batchFormatOf('auto', { source: { label: 'x', spec: undefined }, destination: { label: 'y', spec: undefined } })).toBeUndefined();
  });

  test.each<[string[], string[], RegExp]>([
    [[], ['parquet'], /the source shop cannot send batches/],
    [['parquet'], [], /the destination lake cannot take batches/],
    [['arrow'], ['parquet'], /the source shop writes arrow, and the destination lake reads parquet/],
  ])('batch insists, and says which end does not (%j, %j)', (source, destination, text) => {
    expect(() => batchFormatOf('batch', ends(source, destination))).toThrow(text);
  });

  test('batch that is not possible is a config_error before anything is read or written', async () => {
    const path = folder();
    const ran = await run({ path, formats: { source: ['parquet'] }, plan: { transport: 'batch' }, source: { pidFile: join(path, 'pids') }, destination: { pidFile: join(path, 'pids') } });
    expect([ran.exitCode, ran.summary.error!.kind, existsSync(join(path, 'pids'))]).toEqual([78, 'config_error', false]);
    expect(ran.summary.error!.message).toContain('the destination fixture-destination cannot take batches');
  });

  test('json tells neither end of a folder', async () => {
    const path = folder();
    const ran = await run({ path, plan: { transport: 'json' }, source: { count: 3, seen: join(path, 'source') }, destination: { seen: join(path, 'destination') } });
    expect([ran.exitCode, visible(path)]).toEqual([0, { a: [1, 2, 3] }]);
    for (const name of ['source', 'destination']) expect([seen(ran, name)[0]!.session.batch, seen(ran, name)[0]!.session.extensions.includes('batch')]).toEqual([undefined, false]);
  });
});

describe('the folder', () => {
  test('is on the RAM disk, and another one for each attempt', async () => {
    const files = await PrivateFiles.in(join(folder(), 'run'));
    const batches = await BatchFolder.create('parquet', { files, id: 'test-place' });
    const first = await batches.fresh();
    writeFileSync(join(first.dir, '000001.parquet'), 'x');
    const second = await batches.fresh();
    expect([first.dir.startsWith(join(ramDisk, 'tapline-batches-')), existsSync(first.dir), existsSync(second.dir), second.dir === first.dir]).toEqual([true, false, true, false]);
    await batches.remove();
    expect(existsSync(join(second.dir, '..'))).toBe(false);
  });

  test.each([['no RAM disk', 'elsewhere'], ['none at all', 'nothing/there']])('is among the private files of the run where there is %s', async (_what, name) => {
    const path = folder();
    mkdirSync(join(path, 'elsewhere'));
    const files = await PrivateFiles.in(join(path, 'run'));
    const batches = await BatchFolder.create('parquet', { files, id: 'test-place', disk: join(path, name) });
    const { dir, max_bytes: most } = await batches.fresh();
    expect([dir.startsWith(files.folder), statSync(dir).mode & 0o777, most > 0 && most <= 256 * 2 ** 20]).toEqual([true, 0o700, true]);
    await files.remove();
    expect(existsSync(dir)).toBe(false);
  });
});

describe('room on a RAM disk', () => {
  const MB = 2 ** 20;
  test.each([
    ['a large machine: as much as helps', 12_000 * MB, { limit: 24_000 * MB, available: 20_000 * MB }, 256 * MB],
    ['a small cgroup: an eighth of its limit', 12_000 * MB, { limit: 1024 * MB, available: 20_000 * MB }, 128 * MB],
    ['little memory left: a quarter of that', 12_000 * MB, { limit: 24_000 * MB, available: 400 * MB }, 100 * MB],
    ['the 64 MB of a container: half of them', 64 * MB, { limit: 24_000 * MB, available: 20_000 * MB }, 32 * MB],
    ['a full disk: none', 40 * MB, { limit: 24_000 * MB, available: 20_000 * MB }, 0],
    ['a tiny cgroup: none', 12_000 * MB, { limit: 128 * MB, available: 20_000 * MB }, 0],
  ])('%s', (_what, free, memory, room) => {
    expect(roomFor(free, memory)).toBe(room);
  });
});

describe('folders that a dead run left on the RAM disk', () => {
  function made(name: string): string {
    const path = join(ramDisk, name);
    mkdirSync(join(path, '1'), { recursive: true, mode: 0o700 });
    writeFileSync(join(path, '1', '000001.parquet'), 'x');
    onTestFinished(() => rmSync(path, { recursive: true, force: true }));
    return path;
  }
  const dead = (() => {
    const { pid } = spawnSync('true');
    return { pid, start: '1', boot: '' };
  })();

  test('are removed when the next run of whatever sync starts', async () => {
    const path = made(folderName('test-dead', dead));
    // Its number lives on, in a process that began at another time.
    const reused = made(folderName('test-reused', { ...identify(process.pid), start: '1' }));
    expect((await sync({ source: { count: 1 } })).exitCode).toBe(0);
    expect([existsSync(path), existsSync(reused)]).toEqual([false, false]);
  });

  test('are left alone while their run is alive', async () => {
    const path = made(folderName('test-alive'));
    await sweepRamDisk();
    expect(existsSync(join(path, '1', '000001.parquet'))).toBe(true);
  });

  test('are left alone where the number of the process may mean another: in another container', async () => {
    const path = made(folderName('test-elsewhere', dead).replace(/tapline-batches-\d+/, 'tapline-batches-1'));
    await sweepRamDisk();
    expect(existsSync(path)).toBe(true);
  });

  test('are left alone where they are a link, or another user\'s', async () => {
    const target = made('tapline-test-target');
    const link = join(ramDisk, folderName('test-link', dead));
    symlinkSync(target, link);
    onTestFinished(() => rmSync(link));
    const theirs = made(folderName('test-theirs', dead));
    if (process.getuid?.() === 0) chownSync(theirs, 65_534, 65_534);
    await sweepRamDisk();
    expect([existsSync(join(target, '1')), lstatSync(link).isSymbolicLink()]).toEqual([true, true]);
    expect(existsSync(theirs)).toBe(process.getuid?.() === 0);
  });
});
