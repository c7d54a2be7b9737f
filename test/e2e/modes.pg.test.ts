import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { rowsOf } from '../harness/lake.js';
import { countOf } from '../harness/query.js';
import { explain, workspace } from '../harness/workspace.js';

const upTo = (n: number) => Array.from({ length: n }, (_, i) => i + 1);

describe('modes', () => {
  test('incremental without a key: rows at the boundary may repeat, none is lost, and the run says so', async () => {
    const at = await workspace({ seed: `CREATE TABLE log (at int NOT NULL, line text); INSERT INTO log SELECT i / 10, 'line ' || i FROM generate_series(1, 100) i` });
    const args = ['--mode', 'public.log=incremental:at'];
    const first = await at.sync(args);
    expect(first.exitCode, explain(first)).toBe(0);
    await at.database.query(`INSERT INTO log VALUES (10, 'at the boundary'), (11, 'later')`);
    const second = await at.sync(args);
    expect(second.exitCode, explain(second)).toBe(0);
    expect(first.stderr + second.stderr).toMatch(/public\.log.*(key|repeat)/i);
    const lines = (await rowsOf(at.lake, 'public', 'log')).map((row) => String(row['line']));
    expect([...new Set(lines)].sort()).toEqual([...upTo(100).map((i) => `line ${i}`), 'at the boundary', 'later'].sort());
  });

  test('the boundary is remembered by key, whatever its type: text under ICU, uuid, two columns', async () => {
    const tables = { by_text: `'k' || i`, by_uuid: `md5(i::text)::uuid`, by_two: 'i' };
    const at = await workspace({
      seed: `CREATE TABLE by_text (id text COLLATE "und-x-icu" PRIMARY KEY, cur int NOT NULL); CREATE TABLE by_uuid (id uuid PRIMARY KEY, cur int NOT NULL);
        CREATE TABLE by_two (id int, b text DEFAULT 'b', cur int NOT NULL, PRIMARY KEY (b, id))`,
    });
    const insert = (from: number, to: number, cursor: string) =>
      at.database.query(Object.entries(tables).map(([table, key]) => `INSERT INTO ${table} (id, cur) SELECT ${key}, ${cursor} FROM generate_series(${from}, ${to}) i`).join(';'));
    const args = Object.keys(tables).flatMap((table) => ['--mode', `public.${table}=incremental:cur`]);
    await insert(1, 200, 'i / 50');
    expect((await at.sync(args)).summary).toMatchObject({ records: 600 });
    await insert(201, 210, '4');
    const second = await at.sync(args);
    expect(second.summary, explain(second)).toMatchObject({ records: 30 });
    for (const table of Object.keys(tables)) expect(await countOf(at.lake, `public/${table}/`), table).toBe('210 rows, 210 distinct id');
  });

  test('a cursor of any type that has an order resumes to the digit; one of floats is refused', async () => {
    const cursors: Record<string, readonly [type: string, value: string]> = {
      tz: ['timestamptz', `'2026-01-01T00:00:00.000001Z'::timestamptz + i * interval '1 microsecond'`],
      ts: ['timestamp', `'2026-01-01 00:00:00.000001'::timestamp + i * interval '1 microsecond'`],
      num: ['numeric', 'i * 0.000000000000000001::numeric'],
      big: ['bigint', '9007199254740993 + i'],
      txt: ['text COLLATE "C"', `lpad(i::text, 6, '0')`],
      day: ['date', `date '2026-01-01' + i / 100`],
      uid: ['uuid', `lpad(to_hex(i), 32, '0')::uuid`],
    };
    const at = await workspace({ seed: Object.entries(cursors).map(([table, [type]]) => `CREATE TABLE ${table} (id int PRIMARY KEY, cur ${type} NOT NULL)`).join(';') });
    const insert = (from: number, to: number) =>
      at.database.query(Object.entries(cursors).map(([table, [, value]]) => `INSERT INTO ${table} SELECT i, ${value} FROM generate_series(${from}, ${to}) i`).join(';'));
    const args = Object.keys(cursors).flatMap((table) => ['--mode', `public.${table}=incremental:cur`]);
    await insert(1, 500);
    const first = await at.sync(args);
    expect(first.summary, explain(first)).toMatchObject({ records: 7 * 500 });
    await insert(501, 700);
    expect((await at.sync(args)).summary).toMatchObject({ records: 7 * 200 });
    for (const table of Object.keys(cursors)) expect(await countOf(at.lake, `public/${table}/`), table).toBe('700 rows, 700 distinct id');

    await at.database.query('CREATE TABLE approximate (id int PRIMARY KEY, cur float8)');
    const refused = await at.sync(['--streams', 'public.approximate', '--mode', 'public.approximate=incremental:cur']);
    expect(refused.exitCode, explain(refused)).toBe(78);
    expect(refused.summary?.error?.message).toMatch(/cannot be a cursor/);
  });

  test('a changed cursor, or a changed mode, starts the stream over in a new generation', async () => {
    const at = await workspace({ seed: `CREATE TABLE t (id int PRIMARY KEY, a int NOT NULL, b int NOT NULL); INSERT INTO t SELECT i, i, 1000 - i FROM generate_series(1, 100) i` });
    const sync = (mode: string) => at.sync(['--sync', 'changing', '--mode', `public.t=${mode}`]);
    expect((await sync('incremental:a')).summary).toMatchObject({ records: 100 });
    for (const mode of ['incremental:b', 'full_refresh/append', 'incremental:a']) {
      const outcome = await sync(mode);
      expect(outcome.exitCode, explain(outcome)).toBe(0);
      expect(outcome.summary, mode).toMatchObject({ records: 100 });
      expect(await countOf(at.lake, 'public/t/'), mode).toBe('100 rows, 100 distinct id');
    }
    expect((await sync('incremental:a')).summary).toMatchObject({ records: 0 });
  });

  test('a full refresh that was interrupted goes on after the last key, and one generation is visible in the end', async () => {
    const at = await workspace({ seed: `CREATE TABLE big (id bigint PRIMARY KEY, body text); INSERT INTO big SELECT i, repeat(md5(i::text), 10) FROM generate_series(1, 100000) i` });
    await at.sync(['--sync', 'big']);
    const marker = join(at.directory, 'fired');
    await at.sync(['--sync', 'big', '--flush', '100ms', '--retries', '0'], { env: { TAPLINE_FAILPOINTS: `dest.after_echo@1:kill>${marker}` } });
    await readFile(marker, 'utf8');
    expect(await countOf(at.lake, 'public/big/', '_airbyte_generation_id'), 'the old one, whole').toBe('100000 rows, 1 distinct _airbyte_generation_id');
    const next = await at.sync(['--sync', 'big']);
    expect(next.exitCode, explain(next)).toBe(0);
    expect(next.summary!.records, 'not from the start').toBeLessThan(100_000);
    expect(await countOf(at.lake, 'public/big/')).toBe('100000 rows, 100000 distinct id');
    expect(await countOf(at.lake, 'public/big/', '_airbyte_generation_id')).toBe('100000 rows, 1 distinct _airbyte_generation_id');
  });

  test('views, materialized views, partitioned tables and foreign keys: the root is the stream, its partitions only when named', async () => {
    const at = await workspace({
      seed: `CREATE TABLE parted (id int, day date, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
        CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM ('2026-01-01') TO ('2026-02-01'); CREATE TABLE parted_2 PARTITION OF parted DEFAULT;
        INSERT INTO parted SELECT i, date '2026-01-20' + i FROM generate_series(1, 30) i;
        CREATE VIEW seen AS SELECT id * 2 AS twice FROM parted; CREATE MATERIALIZED VIEW kept AS SELECT count(*) AS n FROM parted`,
    });
    const outcome = await at.sync();
    expect(outcome.exitCode, explain(outcome)).toBe(0);
    expect(outcome.summary?.streams.map((stream) => `${stream.name} ${stream.records}`).sort()).toEqual(['kept 1', 'parted 30', 'seen 30']);
    const named = await at.sync(['--streams', 'public.parted_1']);
    expect(named.exitCode, explain(named)).toBe(0);
    expect(named.summary?.streams).toMatchObject([{ name: 'parted_1', records: 11 }]);
  });

  test('a table that changes between runs: an added column comes, a dropped one stays away, and nothing fails', async () => {
    const at = await workspace({ seed: `CREATE TABLE t (id int PRIMARY KEY, old text); INSERT INTO t VALUES (1, 'x')` });
    const args = ['--sync', 'ddl', '--mode', 'public.t=incremental:id'];
    await at.sync(args);
    await at.database.query(`ALTER TABLE t DROP COLUMN old, ADD COLUMN new numeric(5,2); INSERT INTO t VALUES (2, 1.5)`);
    const outcome = await at.sync(args);
    expect(outcome.exitCode, explain(outcome)).toBe(0);
    const rows = await rowsOf(at.lake, 'public', 't');
    expect(rows.map((row) => [row['id'], row['old'], row['new']])).toEqual([[1, 'x', undefined], [2, undefined, '1.50']]);
  });
});
