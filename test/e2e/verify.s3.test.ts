/** `runner verify`: equal is found equal, whatever the values are; and whatever differs is named. */
import { join } from 'node:path';
import { writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { byTurns, everyday } from '../harness/everyday.js';
import { fakeDestination, fakeSource } from '../harness/fake-connector.js';
import { differencesById, verified, type Verified, type VerifiedTable } from '../harness/verified.js';
import { explain, openWorkspace, succeeded, workspace, type Workspace } from '../harness/workspace.js';
import { availableTypes } from './available-types.js';
import { matrix, settings, type Matrix } from './types-matrix.js';
import { shop } from './seed.js';
import { tamper } from './verify-tampering.js';

const verify = (at: Workspace, args: readonly string[] = []): Promise<Verified> => verified(at, { dest: at.lake.uri, args });
const synced = (at: Workspace, args: readonly string[] = []): Promise<unknown> => succeeded(at.sync(args));
const tableOf = ({ tables }: Verified, name: string): VerifiedTable => tables.find((table) => table.name === name && table.namespace === 'public')!;

/** Of one sync: what is compared at once, and again after somebody worked with both ends. */
describe.each(byTurns([18, 14] as const))('tables of every kind, PostgreSQL %i', (version) => {
  const helpers = ['k', 'h', 'ord', 'gone', 'nulled', 'copies', 'cols', 'vals', 'r', 's', 'd', 'n', 'checksum', '_tapline_key_hash', 'digested', 'value'];
  const columns = ({ cases }: Matrix): string => cases.map(({ column }) => `"${column}"`).join(', ');
  let at: Workspace & AsyncDisposable;
  let types: Matrix;
  let equal: Verified;
  let different: Verified;

  beforeAll(async () => {
    at = await openWorkspace({
      version,
      seed: `CREATE TABLE helpers (${helpers.map((name) => `"${name}" int`).join(', ')}, PRIMARY KEY (k)); INSERT INTO helpers SELECT ${helpers.map((_, i) => `i * ${i + 1}`).join(', ')} FROM generate_series(1, 500) i;
        CREATE TABLE a (id text COLLATE "und-x-icu" PRIMARY KEY); INSERT INTO a SELECT 'é' || i FROM generate_series(1, 300) i;
        CREATE TABLE b (id uuid PRIMARY KEY, t text); INSERT INTO b SELECT md5(i::text)::uuid, NULL FROM generate_series(1, 300) i;
        CREATE TABLE c ("Odd ""name" timestamptz, n numeric(10,2), b bytea, PRIMARY KEY (n, "Odd ""name")); INSERT INTO c SELECT now() + i * interval '1 day', i / 4.0, '\\x00ff' FROM generate_series(1, 300) i;
        CREATE TABLE keyless (line text, n int); INSERT INTO keyless SELECT 'same', 1 FROM generate_series(1, 50); INSERT INTO keyless VALUES (NULL, 2);
        CREATE TABLE keyless2 AS TABLE keyless;
        CREATE TABLE altered (id int PRIMARY KEY, a text, b text); INSERT INTO altered SELECT i, 'a', '' FROM generate_series(1, 100) i;
        CREATE TABLE many (id int PRIMARY KEY, v int); INSERT INTO many SELECT i, i FROM generate_series(1, 5000) i`,
    });
    types = matrix(version, await availableTypes(at.database));
    await at.database.query(`${settings} ${types.seed}`);
    await synced(at);
    equal = await verify(at);
    await at.database.query(`UPDATE helpers SET vals = 0 WHERE k = 9; DELETE FROM c WHERE n = 1.25; UPDATE a SET id = 'new' WHERE id = 'é7'; UPDATE many SET v = v + 1;
      UPDATE matrix SET (${columns(types)}) = (SELECT ${columns(types)} FROM matrix WHERE id = 1) WHERE id = 0;
      DELETE FROM keyless WHERE ctid = (SELECT min(ctid) FROM keyless);
      DELETE FROM keyless2 WHERE ctid = (SELECT min(ctid) FROM keyless2); INSERT INTO keyless2 VALUES ('other', 1)`);
    await tamper(at.lake, 'altered', `SELECT * REPLACE (CASE WHEN id = 7 THEN NULL ELSE b END AS b) FROM lake UNION ALL SELECT * REPLACE (101 AS id) FROM lake WHERE id = 100`);
    different = await verify(at);
  });
  afterAll(() => at?.[Symbol.asyncDispose]());

  test('each is equal that nobody changed, and each is different that somebody did', () => {
    expect([equal.exitCode, ...equal.tables.filter((table) => !table.equal)], explain(equal)).toEqual([0]);
    expect([different.exitCode, ...different.tables.filter((table) => table.equal).map(({ name }) => name)], explain(different)).toEqual([1, 'b']);
  });

  test.each([version])('a value of every type is equal at both ends, and what Parquet cannot hold counts as equal and is told: PostgreSQL %i', () => {
    expect(tableOf(equal, 'matrix')).toMatchObject({ equal: true, differing_keys: [] });
    expect(tableOf(equal, 'matrix').notes!.join()).toMatch(/\d+ rows hold a null where the destination cannot hold the value/);
  });

  test('each column counts: where two rows of all types differ, every column that differs is named', () => {
    expect(differencesById(tableOf(different, 'matrix'))).toEqual([[0, { kind: 'changed', columns: types.cases.map(({ column }) => column) }]]);
  });

  test('columns may have the names that the comparison uses itself', () => {
    expect(tableOf(equal, 'helpers')).toMatchObject({ equal: true, source_rows: 500 });
    expect(tableOf(different, 'helpers')).toMatchObject({ differing_keys: [{ k: 9 }], differences: [{ kind: 'changed', columns: ['vals'] }] });
  });

  test('keys of any type: text under ICU, uuid, timestamps, two columns', () => {
    expect(['a', 'b', 'c'].map((name) => tableOf(equal, name)).map(({ equal: same, source_rows }) => [same, source_rows])).toEqual([[true, 300], [true, 300], [true, 300]]);
    expect(tableOf(different, 'c')).toMatchObject({ differing_keys: [{ n: '1.25', 'Odd "name': expect.stringMatching(/^\d{4}-\d\d-\d\dT.*\+00:00$/) as string }], differences: [{ kind: 'extra' }] });
    expect(tableOf(different, 'a').differing_keys).toHaveLength(2);
    expect(tableOf(different, 'a').differing_keys).toEqual(expect.arrayContaining([{ id: 'new' }, { id: 'é7' }]));
  });

  test('a row that is only in the destination, and a null for a value, are noticed', () => {
    expect(differencesById(tableOf(different, 'altered'))).toEqual([[7, { kind: 'changed', columns: ['b'] }], [101, { kind: 'extra' }]]);
  });

  test('without a key rows are counted and summed, doubled ones included; that they cannot be named is said', () => {
    expect(tableOf(equal, 'keyless')).toMatchObject({ equal: true, source_rows: 51, destination_rows: 51 });
    expect(tableOf(different, 'keyless')).toMatchObject({ equal: false, source_rows: 50, destination_rows: 51, differing_keys: [] });
    expect(tableOf(different, 'keyless').notes!.join()).toContain('without a key the rows that differ cannot be named');
    expect(tableOf(different, 'keyless2')).toMatchObject({ equal: false, source_rows: 51, destination_rows: 51 });
  });

  test('at most 100 keys are named, and that there are more is said', async () => {
    const table = tableOf(different, 'many');
    expect([table.differing_keys.length, new Set(table.differing_keys.map((key) => (key as { id: number }).id)).size, table.more]).toEqual([100, 100, true]);
    const shown = await at.run(['verify', '--source', at.database.url, '--dest', at.lake.uri, '--state-dir', at.stateDir, '--streams', 'public.many']);
    expect(shown.stdout).toContain('public.many: DIFFERENT, 5,000 rows');
    expect(shown.stdout).toMatch(/\n {2}id=\d+: differs in v\n/);
    expect(shown.stdout).toContain('… and more');
    expect(shown.stdout).toMatch(/0 of 1 table equal\n$/);
  });
});

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

  test('incremental: a doubled version of a row is noticed, though only the last one counts', async () => {
    const at = await workspace({ seed: `CREATE TABLE t (id int PRIMARY KEY, at int NOT NULL); INSERT INTO t SELECT i, i FROM generate_series(1, 100) i` });
    const mode = ['--mode', 'public.t=incremental:at'];
    await synced(at, mode);
    await tamper(at.lake, 't', `FROM lake UNION ALL SELECT * REPLACE (left(_tapline_order, 31) || 'f' AS _tapline_order) FROM lake WHERE id = 42`);
    const outcome = await verify(at, mode);
    expect(outcome.exitCode).toBe(1);
    expect(tableOf(outcome, 't')).toMatchObject({ differing_keys: [{ id: 42 }], differences: [{ kind: 'doubled' }] });
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
