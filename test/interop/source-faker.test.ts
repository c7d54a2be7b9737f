/** A source that nobody here wrote, as it is published (airbyte-source-faker 7.2.1, Python), into our destination. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { byTurns } from '../harness/everyday.js';
import { readStream } from '../harness/lake.js';
import { readParquet } from '../harness/parquet.js';
import { countOf } from '../harness/query.js';
import { explain, workspace } from '../harness/workspace.js';
import { pythonProgram } from './python.js';

/** One a day: a run of it takes seconds of Python. */
const today = byTurns(['folder', 'S3', 'incremental'] as const);

let faker: string;
beforeAll(async () => void (faker = await pythonProgram('faker', 'source-faker')), 600_000);

describe('airbyte-source-faker', () => {
  test('check and discover work as with ours', async () => {
    const at = await workspace();
    const config = join(at.directory, 'faker.json');
    await writeFile(config, JSON.stringify({ count: 10 }));
    const check = await at.run(['check', '--source', faker, '--source-config', config, '--dest', at.lake.uri]);
    expect(check.exitCode, explain(check)).toBe(0);
    const discover = await at.run(['discover', '--source', faker, '--source-config', config]);
    expect(discover.exitCode, explain(discover)).toBe(0);
    for (const stream of ['users', 'products', 'purchases']) expect(discover.stdout).toContain(stream);
  });

  test.each(today.filter((turn) => turn !== 'incremental'))('its three streams arrive in full (%s), and a second run replaces them', async (kind) => {
    const at = await workspace({ lake: kind });
    const config = join(at.directory, 'faker.json');
    await writeFile(config, JSON.stringify({ count: 700, seed: 7, records_per_slice: 100, always_updated: false, parallelism: 2 }));
    for (let run = 1; run <= 2; run++) {
      const outcome = await at.sync(['--source', faker, '--source-config', config]);
      expect(outcome.exitCode, explain(outcome)).toBe(0);
      expect(outcome.summary?.status).toBe('succeeded');
      expect(await countOf(at.lake, 'users/')).toBe('700 rows, 700 distinct id');
      expect(await countOf(at.lake, 'products/')).toBe('100 rows, 100 distinct id');
      const purchases = outcome.summary!.streams.find((stream) => stream.name === 'purchases')!.records;
      expect(purchases).toBeGreaterThan(0);
      expect(await countOf(at.lake, 'purchases/')).toBe(`${purchases} rows, ${purchases} distinct id`);
      expect(await countOf(at.lake, 'users/', '_airbyte_generation_id')).toBe('700 rows, 1 distinct _airbyte_generation_id');
    }
    const keys = (await at.lake.keys()).filter((key) => key.startsWith('users/') && key.endsWith('.parquet'));
    const { columns, rows } = await readParquet(await at.lake.read(keys[0]!));
    expect(columns).toMatchObject({ id: 'int64', age: 'int64', name: 'string', created_at: 'timestamptz', height: 'string', address: 'string' });
    expect(JSON.parse(String(rows[0]!['address']))).toMatchObject({ country_code: expect.any(String) as string });
    expect(String(rows[0]!['created_at'])).toMatch(/^\d{4}-\d\d-\d\dT/);
    expect(await readStream(at.lake, '', 'users')).toMatchObject({ rows: [] });
  });

  test.each(today.filter((turn) => turn === 'incremental'))('%s: its state comes back to it, and the second run adds nothing', async () => {
    const at = await workspace();
    const config = join(at.directory, 'faker.json');
    await writeFile(config, JSON.stringify({ count: 300, seed: 7, records_per_slice: 100, always_updated: false, parallelism: 1 }));
    const modes = ['users', 'products', 'purchases'].flatMap((stream) => ['--mode', `${stream}=incremental:updated_at`]);
    const args = ['--source', faker, '--source-config', config, '--sync', 'faker', ...modes];
    const first = await at.sync(args);
    expect(first.exitCode, explain(first)).toBe(0);
    expect(first.summary?.records).toBeGreaterThan(400);
    const before = await countOf(at.lake, 'users/');
    expect(before).toBe('300 rows, 300 distinct id');
    const second = await at.sync(args);
    expect(second.exitCode, explain(second)).toBe(0);
    expect(second.summary, explain(second)).toMatchObject({ records: 0 });
    expect(await countOf(at.lake, 'users/')).toBe(before);
    const states = (await at.state('faker'))['states'] as string[];
    expect(states.map((state) => (JSON.parse(state) as { stream: { stream_descriptor: { name: string } } }).stream.stream_descriptor.name).sort()).toEqual(['products', 'purchases', 'users']);
  });
});
