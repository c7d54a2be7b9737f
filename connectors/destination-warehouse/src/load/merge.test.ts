import { afterAll, beforeAll, test } from 'vitest';
import { duckdbAt, scratch, Staging, type Scratch } from './load.test.support.js';
import { deletionsKept, generationsMerged, historiesKept, type Place } from './random-histories.test.support.js';

const seeds = Array.from({ length: Number(process.env['SEEDS'] ?? 6) }, (_, i) => i + 1);
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

test('a merged table is the source\'s, whatever its history, its batches and the place of copied rows among them', { timeout: 300_000 }, async () => {
  for (const seed of seeds) await generationsMerged(seed, place);
});

test('with soft deletes a row that is gone has its last values and the time it went', { timeout: 300_000 }, async () => {
  for (const seed of seeds) await deletionsKept(seed, place);
});

test('a history has every version of every key, none overlapping, one current', { timeout: 300_000 }, async () => {
  for (const seed of seeds) await historiesKept(seed, place);
});
