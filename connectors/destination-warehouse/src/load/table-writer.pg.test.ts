import { testDatabase } from '@tapline/test/shared';
import type { TestDatabase } from '@tapline/test/services';
import { afterAll, beforeAll, describe } from 'vitest';
import { postgresAt, scratch, Staging, type Scratch } from './load.test.support.js';
import type { Place } from './random-histories.test.support.js';
import { writerSuite } from './writer-suite.test.support.js';

const seeds = Array.from({ length: Number(process.env['SEEDS'] ?? 1) }, (_, i) => i + 101);

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

  // The oldest version has the same statements: what it has to show is that it takes them.
  writerSuite(() => place, seeds, version === 18);
});
