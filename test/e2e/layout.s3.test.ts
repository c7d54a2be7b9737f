import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { everyday } from '../harness/everyday.js';
import { parquetKeys } from '../harness/lake.js';
import { readParquet } from '../harness/parquet.js';
import { countOf } from '../harness/query.js';
import { explain, workspace, type Workspace } from '../harness/workspace.js';

const visits = `CREATE TABLE visits (id int PRIMARY KEY, at timestamptz, day date);
  INSERT INTO visits SELECT i, '2026-11-19T22:30:00Z'::timestamptz + i * interval '20 minutes', date '2026-11-20' + i % 3 FROM generate_series(0, 99) i;
  INSERT INTO visits VALUES (100, NULL, NULL), (101, 'infinity', 'infinity')`;

async function configured(at: Workspace, config: object): Promise<string[]> {
  const file = join(at.directory, 'dest.json');
  await writeFile(file, JSON.stringify(config));
  return ['--dest-config', file];
}

describe.each(everyday(['folder', 'S3'] as const, ['S3']))('how files lie (%s)', (kind) => {
  test('hive partitions by day and hour of a column, in UTC; every row in the folder that its value says', async () => {
    const at = await workspace({ lake: kind, seed: visits });
    const outcome = await at.sync(await configured(at, { partition: { column: 'at', by: 'hour' } }));
    expect(outcome.exitCode, explain(outcome)).toBe(0);
    const keys = await parquetKeys(at.lake, 'public/visits/');
    let seen = 0;
    for (const key of keys) {
      const folder = /^public\/visits\/(?:date=([^/]+)\/hour=([^/]+)\/)?[0-9a-f]{8}-g\d{4}-\d{12}-\d{3}\.parquet$/.exec(key);
      expect(folder, key).not.toBeNull();
      const { rows } = await readParquet(await at.lake.read(key));
      seen += rows.length;
      for (const row of rows) {
        if (row['at'] === null) continue;
        expect(`${folder![1]}T${folder![2]}`).toBe(String(row['at']).slice(0, 13));
      }
    }
    expect(seen).toBe(102);
    expect(keys.filter((key) => key.includes('/date=2026-11-19/hour=22/'))).toHaveLength(1);
  });

  test('by day of a date column; streams without the column are not partitioned; an overwrite leaves no old folder with rows', async () => {
    const at = await workspace({ lake: kind, seed: `${visits}; CREATE TABLE plain (id int); INSERT INTO plain VALUES (1)` });
    const config = await configured(at, { partition: { column: 'day' } });
    for (let run = 0; run < 2; run++) expect((await at.sync(config)).exitCode).toBe(0);
    const keys = await parquetKeys(at.lake);
    expect(keys.filter((key) => /^public\/visits\/date=2026-11-2[012]\/[^/]+\.parquet$/.test(key))).toHaveLength(3);
    expect(keys.filter((key) => key.startsWith('public/plain/'))).toEqual([expect.stringMatching(/^public\/plain\/[^/]+\.parquet$/)]);
    expect(await countOf(at.lake, 'public/visits/')).toBe('102 rows, 102 distinct id');
  });

  test('many commits of one table: files rise by sequence and part, and by _tapline_order', async () => {
    const at = await workspace({ lake: kind, seed: `CREATE TABLE long (id bigint PRIMARY KEY, v text); INSERT INTO long SELECT i, repeat(md5(i::text), 8) FROM generate_series(1, 150000) i` });
    const outcome = await at.sync(['--flush', '200ms', '--mode', 'public.long=incremental:id']);
    expect(outcome.exitCode, explain(outcome)).toBe(0);
    const keys = await parquetKeys(at.lake, 'public/long/');
    expect(keys.length).toBeGreaterThan(1);
    expect(await countOf(at.lake, 'public/long/', '_tapline_order')).toBe('150000 rows, 150000 distinct _tapline_order');
    let before = '';
    let last = 0n;
    for (const key of keys.slice(0, 4)) {
      for (const row of (await readParquet(await at.lake.read(key))).rows.slice(0, 2000)) {
        expect(String(row['_tapline_order']) > before).toBe(true);
        expect((row['id'] as bigint) > last, 'a cursor is read in its order').toBe(true);
        before = String(row['_tapline_order']);
        last = row['id'] as bigint;
      }
    }
  });
});
