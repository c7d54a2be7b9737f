import { spawn } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Engine } from '@tapline/columnar';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Pipe } from './pipe.js';
import { copyTextOf } from './postgres-load.js';

const columns = [{ name: 'id', type: { kind: 'int', bits: 64 } as const }, { name: 'body', type: { kind: 'bytes' } as const }];

describe('rows on their way into a COPY', () => {
  let folder: string;
  let engine: Engine;
  const path = process.env['PATH'];
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'warehouse-text-'));
    engine = new Engine({ directory: join(folder, 'engine'), workers: 1 });
  });
  afterEach(async () => {
    process.env['PATH'] = path;
    await engine[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  let told = 0;
  const open = (select: string) => copyTextOf(select, columns, { run: (sql) => engine.run(sql, 0), folder, onRows: (rows) => (told = rows) });
  const all = async (select: string): Promise<string> => {
    const chunks: Buffer[] = [];
    for await (const chunk of open(select)) chunks.push(chunk);
    return Buffer.concat(chunks).toString();
  };
  const select = `SELECT * FROM (VALUES (1, 'a'::BLOB), (2, NULL), (NULL, ''::BLOB)) AS v`;
  const text = '1\t\\\\x61\n2\t\\N\n\\N\t\\\\x\n';
  const leftOver = async (): Promise<string[]> => (await readdir(folder)).filter((name) => name !== 'engine');

  test('come through a pipe, and are counted', async () => {
    expect(await all(select)).toBe(text);
    expect(told).toBe(3);
    expect(await leftOver()).toEqual([]);
  });

  test('have a backslash before what separates rows and values, and before itself', async () => {
    const chunks: Buffer[] = [];
    const texts = [{ name: 'a', type: { kind: 'text' } as const }, { name: 'b', type: { kind: 'json', embedded: false } as const }];
    const rows = String.raw`SELECT E'\\N', E'a\tb\nc\rd\\.' UNION ALL SELECT '', NULL UNION ALL SELECT '\.', '"a,b"'`;
    for await (const chunk of copyTextOf(rows, texts, { run: (sql) => engine.run(sql, 0), folder, onRows: () => undefined })) chunks.push(chunk);
    expect(Buffer.concat(chunks).toString()).toBe('\\\\N\ta\\tb\\nc\\rd\\\\.\n\t\\N\n\\\\.\t"a,b"\n');
  });

  test('come through a file where the system makes no pipes', async () => {
    process.env['PATH'] = folder;
    expect(await Pipe.make(join(folder, 'p'))).toBeUndefined();
    expect(await all(select)).toBe(text);
    expect(told).toBe(3);
    expect(await leftOver()).toEqual([]);
  });

  test('none at all is an end, too', async () => expect(await all('SELECT 1, NULL::BLOB WHERE false')).toBe(''));

  test.each([['at once', 'SELECT nothing'], ['in the middle', `SELECT i, CASE WHEN i = 500000 THEN error('x') END::BLOB FROM range(1000000) AS r(i)`]])(
    'a query that fails %s rejects, and nobody waits for the other end', async (_when, failing) => {
      await expect(all(failing)).rejects.toMatchObject({ name: 'Error' });
      expect(await leftOver()).toEqual([]);
      expect(await all(select)).toBe(text);
    },
  );

  test('a reader that stops early stops the query: it would never end by itself', async () => {
    for await (const chunk of open(`SELECT i, repeat('x', 100)::BLOB FROM range(100000000000) AS r(i)`)) {
      expect(chunk.length).toBeGreaterThan(0);
      break;
    }
    expect(await leftOver()).toEqual([]);
    expect(await all(select)).toBe(text);
  });

  test.each(['in the middle of it', 'before the writer'])('a process that ends %s does end, though a thread of its own waits at the pipe', async (when) => {
    const program = fileURLToPath(new URL('../../dist/fixtures/exit-in-load.js', import.meta.url));
    const code = await new Promise((resolve) => spawn(process.execPath, [program, folder, when], { stdio: 'inherit', timeout: 15_000 }).on('exit', resolve));
    expect(code).toBe(3);
    expect(await leftOver()).toEqual([]);
  });
});
