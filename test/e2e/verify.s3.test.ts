/** `runner verify`: equal is found equal, whatever the values are; and whatever differs is named. */
import { join } from 'node:path';
import { writeFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { everyday } from '../harness/everyday.js';
import { fakeDestination, fakeSource } from '../harness/fake-connector.js';
import { differencesById, verified, type Verified, type VerifiedTable } from '../harness/verified.js';
import { explain, succeeded, workspace, type Workspace } from '../harness/workspace.js';
import { availableTypes } from './available-types.js';
import { matrix, settings } from './types-matrix.js';
import { shop } from './seed.js';
import { tamper } from './verify-tampering.js';

const verify = (at: Workspace, args: readonly string[] = []): Promise<Verified> => verified(at, { dest: at.lake.uri, args });
const synced = (at: Workspace, args: readonly string[] = []): Promise<unknown> => succeeded(at.sync(args));
const tableOf = ({ tables }: Verified, name: string): VerifiedTable => tables.find((table) => table.name === name && table.namespace === 'public')!;

describe('equal', () => {
  test.each(everyday(['folder', 'S3'] as const, ['S3']))('what was just synced is equal, exit 0: %s', async (lake) => {
    const at = await workspace({ lake, seed: shop });
    await synced(at);
    const outcome = await verify(at);
    expect(outcome.exitCode, explain(outcome)).toBe(0);
    expect(outcome.tables.map(({ namespace, name, equal, source_rows, destination_rows, differing_keys }) => ({ name: `${namespace}.${name}`, equal, source_rows, destination_rows, differing_keys }))).toEqual([
      { name: 'billing.orders', equal: true, source_rows: 64, destination_rows: 64, differing_keys: [] },
      { name: 'public.customers', equal: true, source_rows: 500, destination_rows: 500, differing_keys: [] },
      { name: 'public.nothing_yet', equal: true, source_rows: 0, destination_rows: 0, differing_keys: [] },
      { name: 'public.orders', equal: true, source_rows: 3000, destination_rows: 3000, differing_keys: [] },
    ]);
  });

  test.each(everyday([18, 14] as const, [14]))('a value of every type is equal at both ends, and what Parquet cannot hold counts as equal and is told: PostgreSQL %i', async (version) => {
    const at = await workspace({ version });
    const { seed } = matrix(version, await availableTypes(at.database));
    await at.database.query(`${settings} ${seed}`);
    await synced(at);
    const outcome = await verify(at);
    expect(outcome.tables).toMatchObject([{ name: 'matrix', equal: true, differing_keys: [] }]);
    expect(outcome.tables[0]!.notes!.join()).toMatch(/\d+ rows hold a null where the destination cannot hold the value/);
    expect(outcome.exitCode, explain(outcome)).toBe(0);
  });

  test('each column counts: where two rows of all types differ, every column that differs is named', async () => {
    const at = await workspace();
    const types = matrix(18, await availableTypes(at.database));
    await at.database.query(`${settings} ${types.seed}`);
    await synced(at);
    const columns = types.cases.map(({ column }) => `"${column}"`).join(', ');
    await at.database.query(`UPDATE matrix SET (${columns}) = (SELECT ${columns} FROM matrix WHERE id = 1) WHERE id = 0`);
    const table = tableOf(await verify(at), 'matrix');
    expect(table.differing_keys).toEqual([{ id: 0 }]);
    expect(table.differences).toEqual([{ kind: 'changed', columns: types.cases.map(({ column }) => column) }]);
  });

  test('columns may have the names that the comparison uses itself', async () => {
    const names = ['k', 'h', 'ord', 'gone', 'nulled', 'copies', 'cols', 'vals', 'r', 's', 'd', 'n', 'checksum', '_tapline_key_hash', 'digested', 'value'];
    const at = await workspace({ seed: `CREATE TABLE t (${names.map((name) => `"${name}" int`).join(', ')}, PRIMARY KEY (k)); INSERT INTO t SELECT ${names.map((_, i) => `i * ${i + 1}`).join(', ')} FROM generate_series(1, 500) i` });
    await synced(at);
    expect(tableOf(await verify(at), 't')).toMatchObject({ equal: true, source_rows: 500 });
    await at.database.query('UPDATE t SET vals = 0 WHERE k = 9');
    expect(tableOf(await verify(at), 't')).toMatchObject({ differing_keys: [{ k: 9 }], differences: [{ kind: 'changed', columns: ['vals'] }] });
  });

  test('keys of any type: text under ICU, uuid, timestamps, two columns', async () => {
    const at = await workspace({
      seed: `CREATE TABLE a (id text COLLATE "und-x-icu" PRIMARY KEY); INSERT INTO a SELECT 'é' || i FROM generate_series(1, 300) i;
        CREATE TABLE b (id uuid PRIMARY KEY, t text); INSERT INTO b SELECT md5(i::text)::uuid, NULL FROM generate_series(1, 300) i;
        CREATE TABLE c ("Odd ""name" timestamptz, n numeric(10,2), b bytea, PRIMARY KEY (n, "Odd ""name")); INSERT INTO c SELECT now() + i * interval '1 day', i / 4.0, '\\x00ff' FROM generate_series(1, 300) i;`,
    });
    await synced(at);
    expect((await verify(at)).tables.map(({ equal, source_rows }) => [equal, source_rows])).toEqual([[true, 300], [true, 300], [true, 300]]);
    await at.database.query(`DELETE FROM c WHERE n = 1.25; UPDATE a SET id = 'new' WHERE id = 'é7'`);
    const outcome = await verify(at);
    expect(tableOf(outcome, 'c')).toMatchObject({ differing_keys: [{ n: '1.25', 'Odd "name': expect.stringMatching(/^\d{4}-\d\d-\d\dT.*\+00:00$/) as string }], differences: [{ kind: 'extra' }] });
    expect(tableOf(outcome, 'a').differing_keys).toHaveLength(2);
    expect(tableOf(outcome, 'a').differing_keys).toEqual(expect.arrayContaining([{ id: 'new' }, { id: 'é7' }]));
  });

  test('incremental: of several versions of a row the last one counts', async () => {
    const at = await workspace({ seed: `CREATE TABLE t (id int PRIMARY KEY, v text, at int NOT NULL); INSERT INTO t SELECT i, 'one', i FROM generate_series(1, 1000) i` });
    const mode = ['--mode', 'public.t=incremental:at'];
    await synced(at, mode);
    for (const round of [1, 2]) {
      await at.database.query(`UPDATE t SET v = 'round ${round}', at = at + 1000 WHERE id % 3 = 0`);
      await synced(at, mode);
    }
    const outcome = await verify(at, mode);
    expect(outcome.exitCode, explain(outcome)).toBe(0);
    expect(tableOf(outcome, 't')).toMatchObject({ equal: true, source_rows: 1000, destination_rows: 1000 });
  });

  test('of appended full refreshes the last one counts', async () => {
    const at = await workspace({ seed: `CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 100)` });
    const mode = ['--mode', 'public.t=full_refresh/append'];
    await synced(at, mode);
    await at.database.query('DELETE FROM t WHERE id > 90');
    await synced(at, mode);
    expect(tableOf(await verify(at, mode), 't')).toMatchObject({ equal: true, source_rows: 90, destination_rows: 90 });
  });

  test('columns that were left out and streams that were not selected do not count', async () => {
    const at = await workspace({ seed: `CREATE TABLE t (id int PRIMARY KEY, kept int, secret text); INSERT INTO t VALUES (1, 2, 'x'); CREATE TABLE other (id int PRIMARY KEY); INSERT INTO other VALUES (1)` });
    await writeFile(join(at.directory, 'tapline.yaml'), `syncs:\n  mine:\n    source: ${JSON.stringify(at.database.url)}\n    destination: ${JSON.stringify(at.lake.uri)}\n    streams:\n      public.t: { columns: { exclude: [secret] } }\n`);
    const run = await at.run(['sync', 'mine', '--json']);
    expect(run.exitCode, explain(run)).toBe(0);
    await at.database.query(`UPDATE t SET secret = 'y'; DELETE FROM other`);
    const outcome = await at.run(['verify', 'mine']);
    expect(outcome.exitCode, explain(outcome)).toBe(0);
    expect(outcome.stdout).toBe('public.t: equal, 1 rows\n1 of 1 table equal\n');
  });
});

describe('different', () => {
  test.each(everyday(['folder', 'S3'] as const, ['folder']))('a missing, a doubled and a changed row are each noticed, and exactly those keys are named: %s', async (lake) => {
    const at = await workspace({ lake, seed: `CREATE TABLE t (id bigint PRIMARY KEY, a text, b float8, c timestamptz); INSERT INTO t SELECT i, 'row ' || i, i / 3.0, '2026-01-01'::timestamptz + i * interval '1 s' FROM generate_series(1, 20000) i; ANALYZE t` });
    await synced(at);
    await tamper(at.lake, 't', `SELECT * REPLACE (CASE WHEN id = 15000 THEN b + 1e-12 ELSE b END AS b) FROM lake WHERE id <> 5 UNION ALL SELECT * FROM lake WHERE id = 777`);
    const outcome = await verify(at);
    expect(outcome.exitCode).toBe(1);
    const table = tableOf(outcome, 't');
    expect(table).toMatchObject({ equal: false, source_rows: 20000, destination_rows: 20000 });
    expect(differencesById(table)).toEqual([[5, { kind: 'missing' }], [777, { kind: 'doubled' }], [15000, { kind: 'changed', columns: ['b'] }]]);
  });

  test('a row that is only in the destination, and a null for a value, are noticed', async () => {
    const at = await workspace({ seed: `CREATE TABLE t (id int PRIMARY KEY, a text, b text); INSERT INTO t SELECT i, 'a', '' FROM generate_series(1, 100) i` });
    await synced(at);
    await tamper(at.lake, 't', `SELECT * REPLACE (CASE WHEN id = 7 THEN NULL ELSE b END AS b) FROM lake UNION ALL SELECT * REPLACE (101 AS id) FROM lake WHERE id = 100`);
    const table = tableOf(await verify(at), 't');
    expect(table.differing_keys).toHaveLength(2);
    expect(table.differing_keys.map((key, i) => ({ ...(key as object), ...table.differences[i]! }))).toEqual(expect.arrayContaining([{ id: 7, kind: 'changed', columns: ['b'] }, { id: 101, kind: 'extra' }]));
  });

  test('incremental: a doubled version of a row is noticed, though only the last one counts', async () => {
    const at = await workspace({ seed: `CREATE TABLE t (id int PRIMARY KEY, at int NOT NULL); INSERT INTO t SELECT i, i FROM generate_series(1, 100) i` });
    const mode = ['--mode', 'public.t=incremental:at'];
    await synced(at, mode);
    await tamper(at.lake, 't', `FROM lake UNION ALL SELECT * REPLACE (left(_tapline_order, 31) || 'f' AS _tapline_order) FROM lake WHERE id = 42`);
    const outcome = await verify(at, mode);
    expect(outcome.exitCode).toBe(1);
    expect(tableOf(outcome, 't')).toMatchObject({ differing_keys: [{ id: 42 }], differences: [{ kind: 'doubled' }] });
  });

  test('without a key rows are counted and summed, doubled ones included; that they cannot be named is said', async () => {
    const at = await workspace({ seed: `CREATE TABLE t (line text, n int); INSERT INTO t SELECT 'same', 1 FROM generate_series(1, 50); INSERT INTO t VALUES (NULL, 2)` });
    await synced(at);
    expect(tableOf(await verify(at), 't')).toMatchObject({ equal: true, source_rows: 51, destination_rows: 51 });
    await at.database.query(`DELETE FROM t WHERE ctid = (SELECT min(ctid) FROM t)`);
    const one = await verify(at);
    expect(one.exitCode).toBe(1);
    expect(tableOf(one, 't')).toMatchObject({ equal: false, source_rows: 50, destination_rows: 51, differing_keys: [] });
    expect(tableOf(one, 't').notes!.join()).toContain('without a key the rows that differ cannot be named');
    await at.database.query(`INSERT INTO t VALUES ('other', 1)`);
    expect(tableOf(await verify(at), 't')).toMatchObject({ equal: false, source_rows: 51, destination_rows: 51 });
  });

  test('at most 100 keys are named, and that there are more is said', async () => {
    const at = await workspace({ seed: `CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t SELECT i, i FROM generate_series(1, 5000) i` });
    await synced(at);
    await at.database.query('UPDATE t SET v = v + 1');
    const table = tableOf(await verify(at), 't');
    expect([table.differing_keys.length, new Set(table.differing_keys.map((key) => (key as { id: number }).id)).size, table.more]).toEqual([100, 100, true]);
    const shown = await at.run(['verify', '--source', at.database.url, '--dest', at.lake.uri, '--state-dir', at.stateDir]);
    expect(shown.stdout).toContain('public.t: DIFFERENT, 5,000 rows');
    expect(shown.stdout).toMatch(/\n {2}id=\d+: differs in v\n/);
    expect(shown.stdout).toContain('… and more');
    expect(shown.stdout).toMatch(/0 of 1 table equal\n$/);
  });
});

describe('cannot be compared', () => {
  test('an end that offers no digest is a config_error that says which', async () => {
    const at = await workspace({ seed: 'CREATE TABLE t (id int PRIMARY KEY)' });
    const destination = await at.run(['verify', '--source', at.database.url, '--dest', await fakeDestination(at.directory, {}), '--json']);
    expect(destination.exitCode).toBe(78);
    expect(destination.messages.at(-1)).toMatchObject({ type: 'error', error: { kind: 'config_error', message: expect.stringMatching(/^the destination .*destination-fake offers no digest of its tables/) as string } });
    const source = await at.run(['verify', '--source', await fakeSource(at.directory, {}), '--dest', at.lake.uri]);
    expect(source.exitCode).toBe(78);
    expect(source.stderr).toMatch(/config_error: the source .*source-fake offers no digest of its tables/);
  });

  test('a sync that has not run is a config_error that says so', async () => {
    const at = await workspace({ seed: 'CREATE TABLE t (id int PRIMARY KEY)' });
    const outcome = await at.run(['verify', '--source', at.database.url, '--dest', at.lake.uri, '--state-dir', at.stateDir, '--json']);
    expect(outcome.exitCode).toBe(78);
    expect(outcome.stderr).toMatch(/config_error: there is nothing of the sync '.*' at .*: run it first/);
  });

  test('one table that cannot be read does not keep the others from being compared', async () => {
    const at = await workspace({ seed: `CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE u (id int PRIMARY KEY); INSERT INTO u VALUES (1); CREATE VIEW v AS SELECT 1 / id AS x FROM u; ` });
    await synced(at);
    await at.database.query('UPDATE u SET id = 0');
    const outcome = await verify(at);
    expect(outcome.exitCode).toBe(1);
    expect(tableOf(outcome, 't')).toMatchObject({ equal: true });
    expect(tableOf(outcome, 'u')).toMatchObject({ equal: false });
    expect(tableOf(outcome, 'v').error).toBeDefined();
  });
});
