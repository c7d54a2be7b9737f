/** `runner verify` of a sync by change data capture: both ends at one position of the log. */
import { describe, expect, test } from 'vitest';
import { everyday } from '../harness/everyday.js';
import { until } from '../harness/processes.js';
import { differencesById, verified, type Verified } from '../harness/verified.js';
import { explain, succeeded, workspace, type Workspace } from '../harness/workspace.js';
import { tamper } from './verify-tampering.js';

const query = '?replication=cdc';
const verify = (at: Workspace): Promise<Verified> => verified(at, { dest: at.lake.uri, query });
const synced = (at: Workspace): Promise<unknown> => succeeded(at.sync());

const seed = `CREATE TABLE t (id int PRIMARY KEY, v text, n numeric(10,2), at timestamptz DEFAULT now()); INSERT INTO t SELECT i, 'v' || i, i / 4.0 FROM generate_series(1, 2000) i`;

describe('change data capture', () => {
  test('folds to the table as it is: after inserts, updates, deletes, changed keys and a truncate', async () => {
    const at = await workspace({ query, seed: `${seed}; CREATE TABLE emptied (id int PRIMARY KEY); INSERT INTO emptied SELECT generate_series(1, 50)` });
    await synced(at);
    expect((await verify(at)).tables).toMatchObject([{ name: 'emptied', equal: true, source_rows: 50 }, { name: 't', equal: true, source_rows: 2000, destination_rows: 2000 }]);
    await at.database.query(`UPDATE t SET v = v || '!' WHERE id % 3 = 0; DELETE FROM t WHERE id % 7 = 0; INSERT INTO t SELECT i, NULL, NULL, NULL FROM generate_series(3000, 3100) i;
      UPDATE t SET id = id + 10000 WHERE id BETWEEN 10 AND 20; UPDATE t SET n = 'NaN', at = 'infinity' WHERE id = 100; TRUNCATE emptied; INSERT INTO emptied VALUES (1)`);
    await synced(at);
    const outcome = await verify(at);
    expect(outcome.exitCode, explain(outcome)).toBe(0);
    const [rows] = await at.database.query<{ count: string }>('SELECT count(*) FROM t');
    expect(outcome.tables).toMatchObject([{ name: 'emptied', equal: true, source_rows: 1, destination_rows: 1 }, { name: 't', equal: true, source_rows: Number(rows!.count), destination_rows: Number(rows!.count) }]);
    expect(outcome.position).toMatch(/^[0-9A-F]+\/[0-9A-F]+$/);
  });

  test('a lost, a doubled and an altered change are noticed, and exactly those keys are named', async () => {
    const at = await workspace({ query, seed, lake: 'S3' });
    await synced(at);
    await at.database.query(`UPDATE t SET v = 'new' WHERE id IN (5, 6, 7); DELETE FROM t WHERE id = 8`);
    await synced(at);
    await tamper(at.lake, 't', `SELECT * REPLACE (CASE WHEN id = 7 AND v = 'new' THEN 'other' ELSE v END AS v) FROM lake WHERE NOT (id = 5 AND v = 'new') AND NOT (id = 8 AND _ab_cdc_deleted_at IS NOT NULL)
      UNION ALL SELECT * FROM lake WHERE id = 6 AND v = 'v6'`);
    const outcome = await verify(at);
    expect(outcome.exitCode).toBe(1);
    expect(differencesById(outcome.tables[0]!)).toEqual([[5, { kind: 'changed', columns: ['v'] }], [6, { kind: 'doubled' }], [7, { kind: 'changed', columns: ['v'] }], [8, { kind: 'extra' }]]);
  });

  test('where the destination has not come so far it is said', async () => {
    const at = await workspace({ query, seed });
    await synced(at);
    await at.database.query('DELETE FROM t WHERE id = 1');
    const outcome = await verify(at);
    expect(outcome.exitCode).toBe(1);
    expect(outcome.tables[0]).toMatchObject({ differing_keys: [{ id: 1 }], differences: [{ kind: 'extra' }] });
    expect(outcome.notes!.join()).toMatch(/the destination is .* of log behind the source: run the sync, then verify again/);
  });

  test('while a sync runs and the source is written to, what is equal is found equal, time and again', { timeout: 180_000 }, async () => {
    const at = await workspace({ query, seed });
    const running = at.startSync(['--continuous', '--flush', '200ms'], { timeoutMs: 170_000 });
    await until('the table is copied', async () => (await at.lake.keys()).some((key) => key.startsWith('public/t/') && key.endsWith('.parquet')));
    const client = await at.database.connect();
    let stop = false;
    const writing = (async () => {
      for (let n = 0; !stop; n++) {
        await client.query(`BEGIN; UPDATE t SET v = 'round ${n}' WHERE id % 50 = ${n % 50}; DELETE FROM t WHERE id = ${(n % 2000) + 1}; INSERT INTO t VALUES (${10_000 + n}, 'n'); COMMIT`);
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    })();
    try {
      for (const _round of everyday([1, 2, 3, 4], [1, 2])) {
        const outcome = await verify(at);
        expect(outcome.tables, explain(outcome)).toMatchObject([{ name: 't', equal: true }]);
        expect(outcome.exitCode).toBe(0);
      }
    } finally {
      stop = true;
      await writing;
      await client.end();
      running.kill('SIGTERM');
    }
    expect((await running.done).exitCode).toBe(0);
  });
});
