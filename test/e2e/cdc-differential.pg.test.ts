/**
 * The folded stream equals a fresh copy, value for value: random DML and DDL over every type, some of it while a run goes on,
 * some between runs. CHAOS=full takes more seeds; DIFFERENTIAL_SEED one.
 */
import { describe, expect, onTestFinished, test } from 'vitest';
import { randomOf } from '../chaos/random.js';
import { folderLake } from '../harness/lake.js';
import { succeeded } from '../harness/workspace.js';
import { changingSource } from './changing-source.js';
import { foldedDifferences } from './fold.js';

const full = process.env['CHAOS'] === 'full';
const given = process.env['DIFFERENTIAL_SEED'];
const seed = given ?? String(Date.now() % 1_000_000);
const versions = full || given ? [18, 14] : [[18, 14][Number(seed) % 2]!];
const cases = versions.flatMap((version) => Array.from({ length: full && !given ? 6 : 1 }, (_, i) => ({ version: version as 14 | 18, seed: given ?? `${seed}${i === 0 ? '' : `-${i}`}` })));

describe('under random changes of rows and of tables, the folded stream equals a fresh copy, value for value', () => {
  test.each(cases)('PostgreSQL $version, seed $seed', async ({ version, seed: chosen }) => {
    const binary = randomOf(`${chosen} form`).below(2) === 0;
    const { at, client, tables, work, workDuring, explained } = await changingSource(version, randomOf(`${chosen} ${version}`), { few: [200, 2][randomOf(chosen).below(2)]!, binary });
    const args = ['--sync', 'stream', '--flush', '200ms'];

    await work(40);
    await succeeded(at.sync(args));
    await work(20);
    // Every value of the list, and one that the type has not had before, by the stream.
    await client.query(`ALTER TYPE mood ADD VALUE 'of a new kind'`);
    await client.query(`UPDATE matrix SET mood = 'of a new kind' WHERE id = 5; UPDATE matrix SET id = -1 - id`);
    await succeeded(at.sync(args));
    // In the middle of a transaction a column comes whose type is read in text alone: from there on so is all of the log.
    const told = await workDuring(args, 40, async () => {
      await client.query(`BEGIN; UPDATE matrix SET id = id - 1000; ALTER TABLE matrix ADD later interval; UPDATE matrix SET later = '1 day', id = id - 1000; UPDATE plain SET id = id; COMMIT`);
      await work(20);
    });
    await work(20);
    await succeeded(at.sync(args));
    expect(binary || !told.includes('in text alone'), told).toBe(true);

    const fresh = await folderLake();
    onTestFinished(() => fresh.dispose());
    await succeeded(at.sync(['--sync', 'fresh', '--source', `${at.database.url}?schemas=public`, '--dest', fresh.uri]));
    expect(await foldedDifferences(at.lake, fresh, tables), explained(chosen)).toEqual([]);
  });
});
