/** `--continuous` over change data capture: what appears without a restart, and how it ends. */
import { rm } from 'node:fs/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { until } from '../harness/processes.js';
import { folderLake, rowsOf, type Lake } from '../harness/lake.js';
import type { Row } from '../harness/parquet.js';
import { dropSlots } from '../harness/slots.js';
import { start, tapline } from '../harness/tapline.js';
import { explain, workspace } from '../harness/workspace.js';
import { startPostgres } from '../services/postgres.js';

/** Waits until the rows of a stream are as wanted. A file that is replaced while we look is looked for again. */
const eventually = (lake: Lake, name: string, wanted: (rows: Row[]) => boolean): Promise<Row[]> =>
  until(`${name} is as wanted`, async () => {
    const rows = await rowsOf(lake, 'public', name).catch(() => []);
    return wanted(rows) && rows;
  }, 40_000);

const ids = (rows: readonly Row[]): string => rows.map((row) => Number(row['id'])).sort((a, b) => a - b).join(' ');

describe('a run that goes on', () => {
  test('takes a new column, a new table, a table made again and a TRUNCATE without a restart, and ends cleanly on SIGTERM', async () => {
    const at = await workspace({ query: '?schemas=public&replication=cdc&discover_interval=1', seed: 'CREATE TABLE a (id int PRIMARY KEY); INSERT INTO a VALUES (1)' });
    onTestFinished(() => dropSlots(at.database));
    const args = ['--sync', 'on', '--flush', '200ms'];
    const run = at.startSync([...args, '--continuous']);
    onTestFinished(() => run.kill('SIGKILL'));
    await eventually(at.lake, 'a', (rows) => ids(rows) === '1');
    await at.database.query(`ALTER TABLE a ADD note text; INSERT INTO a VALUES (2, 'of the new column')`);
    await eventually(at.lake, 'a', (rows) => rows.some((row) => row['note'] === 'of the new column'));

    await at.database.query('CREATE TABLE b (id int PRIMARY KEY); INSERT INTO b VALUES (1)');
    await eventually(at.lake, 'b', (rows) => ids(rows) === '1');
    await at.database.query('INSERT INTO b VALUES (2)');
    await eventually(at.lake, 'b', (rows) => ids(rows) === '1 2');
    await at.database.query('DROP TABLE b; CREATE TABLE b (id int PRIMARY KEY, n int); INSERT INTO b VALUES (10, 5)');
    await eventually(at.lake, 'b', (rows) => ids(rows) === '10' && rows[0]!['n'] === 5);
    await at.database.query('UPDATE b SET n = 6');
    await eventually(at.lake, 'b', (rows) => rows.some((row) => row['n'] === 6));

    await at.database.query('TRUNCATE a; INSERT INTO a VALUES (3)');
    await eventually(at.lake, 'a', (rows) => ids(rows) === '3');
    await at.database.query('INSERT INTO a VALUES (4)');
    run.kill('SIGTERM');
    const outcome = await run.done;
    expect(outcome.exitCode, explain(outcome)).toBe(0);
    expect(outcome.summary).toMatchObject({ status: 'succeeded' });
    expect(outcome.messages.some((message) => typeof message['lag_bytes'] === 'number' && typeof message['lag_seconds'] === 'number')).toBe(true);
    await until('the slot is free', async () => (await at.database.query('SELECT FROM pg_replication_slots WHERE active AND database = current_database()')).length === 0);

    const after = await at.sync(args);
    expect(after.exitCode, explain(after)).toBe(0);
    expect(ids(await rowsOf(at.lake, 'public', 'a'))).toBe('3 4');
    expect(ids(await rowsOf(at.lake, 'public', 'b'))).toBe('10 10');
  });

  test('connects again by itself when PostgreSQL is restarted, which does not have to wait for it', async () => {
    const postgres = await startPostgres();
    onTestFinished(() => postgres.stop());
    const database = await postgres.createDatabase();
    const lake = await folderLake();
    const stateDir = `${lake.path}.state`;
    onTestFinished(() => rm(stateDir, { recursive: true, force: true }));
    onTestFinished(() => lake.dispose());
    await database.query('CREATE TABLE a (id int PRIMARY KEY); INSERT INTO a VALUES (1)');
    const args = ['sync', '--source', `${database.url}?schemas=public&replication=cdc`, '--dest', lake.uri, '--sync', 'on', '--state-dir', stateDir, '--flush', '200ms', '--json'];
    const run = start([...args, '--continuous']);
    onTestFinished(() => run.kill('SIGKILL'));
    await eventually(lake, 'a', (rows) => ids(rows) === '1');
    for (const id of [2, 3]) {
      await postgres.restart();
      await database.query(`INSERT INTO a VALUES (${id})`);
      await eventually(lake, 'a', (rows) => rows.some((row) => row['id'] === id));
    }
    run.kill('SIGTERM');
    const outcome = await run.done;
    expect(outcome.exitCode, explain(outcome)).toBe(0);
    const after = await tapline(args);
    expect(after.exitCode, explain(after)).toBe(0);
    expect(ids(await rowsOf(lake, 'public', 'a'))).toBe('1 2 3');
  });
});
