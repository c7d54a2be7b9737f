import assert from 'node:assert/strict';
import { megabytes, seconds } from '../bench/report.js';
import { until } from '../harness/processes.js';
import type { Figures } from './figures.js';
import { createWorld, endWell, position, type World } from './world.js';

export interface IdleDatabaseOptions {
  /** Of log that the neighbour writes, at each of the two times. */
  readonly size?: number;
  /** Until the slot must have moved. */
  readonly limitSeconds?: number;
}

/**
 * Nothing happens in the database that is followed, and much beside it: in another database of the server, and in a table that is not
 * selected. The slot must move all the same, or it holds the log of the others until the disk is full.
 */
export async function idleDatabase({ size = 500, limitSeconds = 60 }: IdleDatabaseOptions = {}): Promise<Figures> {
  await using world = await createWorld({ seed: `CREATE TABLE quiet (id int PRIMARY KEY, word text); INSERT INTO quiet VALUES (1, 'one'); CREATE TABLE noisy (id bigserial PRIMARY KEY, body text)` });
  const neighbour = await world.server.createDatabase('neighbour');
  await neighbour.query('CREATE TABLE noisy (id bigserial PRIMARY KEY, body text)');
  const noise = (megabytesOfLog: number) => `INSERT INTO noisy (body) SELECT repeat(md5(i::text), 8) FROM generate_series(1, ${Math.ceil(megabytesOfLog * 2600)}) AS i`;
  const streams = ['--streams', 'public.quiet'];
  const figures: Record<string, string> = {};
  const moved = async (what: string): Promise<void> => {
    const goal = await position(world.database);
    const before = await world.slot();
    const begin = performance.now();
    await until(`the slot moves past ${what}`, async () => (await world.slot()).confirmed >= goal, limitSeconds * 1000);
    const after = await world.slot();
    figures[what] = `held ${megabytes(before.retained)}; confirmed after ${seconds((performance.now() - begin) / 1000)}`;
    assert(['reserved', 'extended'].includes(after.walStatus), after.walStatus);
  };

  const run = world.follow([...streams, '--flush', '500ms']);
  await until('the first copy is there', async () => (await world.countFiles()) > 0, 60_000);
  await neighbour.query(noise(size));
  await moved('another database that is busy');
  await world.database.query(noise(size));
  await moved('a table that is not selected');
  // Alive all the while, and nothing invented: the next real change arrives.
  await world.database.query(`UPDATE quiet SET word = 'two'`);
  await until('the change arrives', async () => (await words(world)).includes('two'), 60_000);
  await endWell(run);
  assert.deepEqual(await words(world), ['one', 'two']);

  // A run that ends moves it, too, without a change of its own.
  await neighbour.query(noise(size));
  const goal = await position(world.database);
  const short = await world.sync(streams);
  assert.equal(short.records, 0);
  assert((await world.slot()).confirmed >= goal, 'after a run with nothing to do the slot stands behind the log of the others');
  figures['a run that ends'] = seconds(short.wallSeconds);
  return figures;
}

const words = async (world: World): Promise<string[]> =>
  (await world.ask<{ word: string }>(`SELECT word FROM '${world.files('quiet')}' ORDER BY _tapline_order`)).map(({ word }) => word);
