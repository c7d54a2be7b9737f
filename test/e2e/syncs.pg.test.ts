import { join } from 'node:path';
import { readdir } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { parquetKeys, rowsOf } from '../harness/lake.js';
import { explain, workspace } from '../harness/workspace.js';
import { shop } from './seed.js';

describe('the name of a sync', () => {
  test('without --sync comes from where the data lie, never from user, password, streams, options or state directory', async () => {
    const at = await workspace({ seed: shop });
    await at.database.query(`DROP ROLE IF EXISTS ${at.database.name}; CREATE ROLE ${at.database.name} SUPERUSER LOGIN PASSWORD 'x'`);
    const name = async (args: string[]) => {
      const outcome = await at.sync(['--streams', 'billing.*', ...args]);
      expect(outcome.exitCode, explain(outcome)).toBe(0);
      return outcome.summary!.sync;
    };
    const first = await name([]);
    expect(first).toMatch(/^postgres-to-s3-[0-9a-f]{8}$/);
    const other = new URL(at.database.url);
    other.username = at.database.name;
    other.password = 'x';
    other.search = '?sslmode=disable&schemas=billing';
    expect(await name(['--source', other.href, '--streams', 'billing.orders', '--state-dir', join(at.directory, 'elsewhere'), '--from-destination'])).toBe(first);
    expect(await name(['--dest', `${at.lake.uri}/below`])).not.toBe(first);
    expect(await name(['--dest', `file://${at.lake.uri}`]), 'a path and its file: URI are one place').toBe(first);
    expect(await readdir(at.stateDir)).toContain(first);
    await at.database.query(`DROP OWNED BY ${at.database.name}; DROP ROLE ${at.database.name}`);
  });

  test('two syncs in one folder replace only their own files, and the second is told of the first', async () => {
    const at = await workspace({ seed: shop });
    const streams = ['--streams', 'public.customers'];
    await at.sync(['--sync', 'one', ...streams]);
    const ofOne = await parquetKeys(at.lake);
    const second = await at.sync(['--sync', 'two', ...streams]);
    expect(second.exitCode, explain(second)).toBe(0);
    expect(second.stderr).toMatch(/one/);
    await at.sync(['--sync', 'two', ...streams]);
    expect(await parquetKeys(at.lake)).toEqual(expect.arrayContaining(ofOne));
    expect(await rowsOf(at.lake, 'public', 'customers')).toHaveLength(1000);
    await at.sync(['--sync', 'one', ...streams]);
    expect(await rowsOf(at.lake, 'public', 'customers')).toHaveLength(1000);
  });

  test('two runs of one sync at once: the second exits 75, names the first, and the first is not harmed', async () => {
    const at = await workspace({ seed: `CREATE TABLE big AS SELECT i AS id, repeat('x', 300) AS body FROM generate_series(1, 200000) i` });
    const first = at.startSync(['--sync', 'twice']);
    await first.connectors();
    const second = await at.sync(['--sync', 'twice']);
    expect(second.exitCode, explain(second)).toBe(75);
    expect(second.summary?.error?.message).toContain(String(first.pid));
    const outcome = await first.done;
    expect(outcome.exitCode, explain(outcome)).toBe(0);
    expect(outcome.summary).toMatchObject({ records: 200_000 });
  });
});
