import { testDatabase } from '@tapline/test/shared';
import type { TestDatabase } from '@tapline/test/services';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { postgresAt, scratch, Staging, type Scratch } from './load.test.support.js';
import { deletionsKept, generationsMerged, historiesKept, type Place } from './random-histories.test.support.js';

const seeds = Array.from({ length: Number(process.env['SEEDS'] ?? 4) }, (_, i) => i + 101);

describe.each([18, 14] as const)('PostgreSQL %i', (version) => {
  let folder: Scratch;
  let database: TestDatabase;
  let place: Place;

  beforeAll(async () => {
    folder = await scratch();
    database = await testDatabase(version);
    place = { warehouse: await postgresAt(folder.path, database), staging: await Staging.open(folder.path) };
  });
  afterAll(async () => {
    await place.staging[Symbol.asyncDispose]();
    await place.warehouse[Symbol.asyncDispose]();
    await database.drop();
    await folder[Symbol.asyncDispose]();
  });

  test('a merged table is the source\'s, whatever its history, its batches and the place of copied rows among them', { timeout: 300_000 }, async () => {
    for (const seed of seeds) await generationsMerged(seed, place);
  });

  test('with soft deletes a row that is gone has its last values and the time it went', { timeout: 300_000 }, async () => {
    for (const seed of seeds) await deletionsKept(seed, place);
  });

  test('a history has every version of every key, none overlapping, one current', { timeout: 300_000 }, async () => {
    for (const seed of seeds) await historiesKept(seed, place);
  });
});
