/**
 * The folded stream equals a fresh copy, value for value: random DML and DDL over every type, some of it while a run goes on,
 * some between runs. CHAOS=full takes more seeds; DIFFERENTIAL_SEED one.
 */
import { describe, expect, onTestFinished, test } from 'vitest';
import { randomOf } from '../chaos/random.js';
import { dropSlots } from '../harness/slots.js';
import { folderLake } from '../harness/lake.js';
import { explain, workspace } from '../harness/workspace.js';
import { availableTypes } from './available-types.js';
import { foldedDifferences } from './fold.js';
import { randomChanges } from './random-changes.js';
import { matrix, settings } from './types-matrix.js';

const full = process.env['CHAOS'] === 'full';
const given = process.env['DIFFERENTIAL_SEED'];
const seed = given ?? String(Date.now() % 1_000_000);
const versions = full || given ? [18, 14] : [[18, 14][Number(seed) % 2]!];
const cases = versions.flatMap((version) => Array.from({ length: full && !given ? 6 : 1 }, (_, i) => ({ version: version as 14 | 18, seed: given ?? `${seed}${i === 0 ? '' : `-${i}`}` })));

describe('under random changes of rows and of tables, the folded stream equals a fresh copy, value for value', () => {
  test.each(cases)('PostgreSQL $version, seed $seed', async ({ version, seed: chosen }) => {
    const random = randomOf(`${chosen} ${version}`);
    const at = await workspace({ version, query: '?schemas=public&replication=cdc' });
    onTestFinished(() => dropSlots(at.database));
    const { cases: types, seed: prepare } = matrix(version, await availableTypes(at.database));
    const changes = randomChanges(types, random);
    // The types of the matrix, and its table beside ours: every value of the list, by the copy.
    await at.database.query(`${settings} ${prepare} ${changes.seed}`);
    const client = await at.database.connect();
    onTestFinished(() => client.end().catch(() => {}));
    await client.query(settings);
    const work = async (count: number): Promise<void> => {
      for (let i = 0; i < count; i++) await changes.transaction(client);
    };
    const args = ['--sync', 'stream', '--flush', '200ms'];
    const catchUp = async (): Promise<void> => {
      const outcome = await at.sync(args);
      expect(outcome.exitCode, explain(outcome)).toBe(0);
    };

    await work(40);
    await catchUp();
    await work(20);
    // Every value of the list, and one that the type has not had before, by the stream.
    await client.query(`ALTER TYPE mood ADD VALUE 'of a new kind'`);
    await client.query(`UPDATE matrix SET mood = 'of a new kind' WHERE id = 5; UPDATE matrix SET id = -1 - id`);
    await catchUp();
    const going = at.startSync([...args, '--continuous']);
    await going.connectors();
    for (let i = 0; i < 4; i++) await work(10);
    going.kill('SIGTERM');
    const stopped = await going.done;
    expect(stopped.exitCode, explain(stopped)).toBe(0);
    await work(20);
    await catchUp();

    const fresh = await folderLake();
    onTestFinished(() => fresh.dispose());
    const outcome = await at.sync(['--sync', 'fresh', '--source', `${at.database.url}?schemas=public`, '--dest', fresh.uri]);
    expect(outcome.exitCode, explain(outcome)).toBe(0);
    const found = await foldedDifferences(at.lake, fresh, ['matrix', ...changes.tables]);
    expect(found, `DIFFERENTIAL_SEED=${chosen} repeats it. What was done:\n${changes.history.filter((one) => !/^(INSERT|UPDATE|DELETE)/.test(one)).join('\n')}`).toEqual([]);
  });
});
