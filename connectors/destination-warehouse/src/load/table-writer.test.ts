import { afterAll, beforeAll, describe } from 'vitest';
import { duckdbAt, scratch, Staging, type Scratch } from './load.test.support.js';
import type { Place } from './random-histories.test.support.js';
import { writerSuite } from './writer-suite.test.support.js';

const seeds = Array.from({ length: Number(process.env['SEEDS'] ?? 3) }, (_, i) => i + 1);

describe('DuckDB', () => {
  let folder: Scratch;
  let place: Place;

  beforeAll(async () => {
    folder = await scratch();
    place = { warehouse: await duckdbAt(folder.path), staging: await Staging.open(folder.path) };
  });
  afterAll(async () => {
    await place.staging[Symbol.asyncDispose]();
    await place.warehouse[Symbol.asyncDispose]();
    await folder[Symbol.asyncDispose]();
  });

  writerSuite(() => place, seeds);
});
