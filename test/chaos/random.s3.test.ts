/**
 * kill -9 at random moments, of a random one of source, destination, runner, PostgreSQL and the store, while somebody writes
 * to the database. CHAOS_KILLS and CHAOS_SEED choose how many and which; `npm run chaos` sets them.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bucketLakeAt, folderLake, type Lake } from '../harness/lake.js';
import { byTurns } from '../harness/everyday.js';
import { startPostgres, type PostgresServer } from '../services/postgres.js';
import { startS3, type S3Server } from '../services/s3.js';
import { cleanRun, crash, killed, settledDamage } from './crash.js';
import { randomOf } from './random.js';
import { createWorld, type World } from './world.js';

const kills = Number(process.env['CHAOS_KILLS'] ?? 1);
const seed = Number(process.env['CHAOS_SEED'] ?? Date.now() % 1_000_000);
const tell = (line: string): void => void process.stderr.write(`${line}\n`);

const victims = ['source', 'destination', 'runner', 'PostgreSQL', 'store'] as const;

describe.each(byTurns(['folder', 'S3'] as const))('%s: after kill -9 at random moments and one more run, every row is there once', (kind) => {
  const random = randomOf(`${seed} ${kind}`);
  let postgres: PostgresServer;
  let store: S3Server | undefined;
  let world: World;
  const tally = new Map<string, number>();

  beforeAll(async () => {
    postgres = await startPostgres();
    store = kind === 'S3' ? await startS3() : undefined;
    const lake: Lake = store ? await bucketLakeAt(store) : await folderLake();
    world = await createWorld({ lake, database: await postgres.createDatabase() });
  });

  afterAll(async () => {
    tell(`chaos ${kind}: ${[...tally].map(([what, count]) => `${count} ${what}`).join(', ')}; seed ${seed}`);
    await world?.dispose();
    await store?.stop();
    await postgres?.stop();
  });

  test(`${Math.ceil(kills / 2)} kills, seed ${seed}`, { timeout: 60_000 + kills * 30_000 }, async () => {
    let span = await cleanRun(world);
    for (let done = 0; done < Math.ceil(kills / 2); ) {
      // One to three crashes in a row: what one left behind must not trip the next.
      for (let left = 1 + random.below(3); left > 0 && done < Math.ceil(kills / 2); left--) {
        await world.change();
        const line = await crash({
          world, random, span,
          victims: victims.filter((one) => one !== 'store' || store),
          strikes: { PostgreSQL: killed(postgres, random), ...(store && { store: killed(store, random) }) },
        });
        if (line.hit) done++;
        const what = line.hit ? line.victim : 'misses';
        tally.set(what, (tally.get(what) ?? 0) + 1);
        tell(`chaos ${kind} ${line.hit ? done : 'missed'}: ${line.text}`);
        expect(await world.duplicates(), `right after: ${line.text} (seed ${seed})`).toEqual([]);
      }
      span = await cleanRun(world);
      expect([...(await settledDamage(world)), ...(await world.leftovers())], `seed ${seed}`).toEqual([]);
    }
  });
});
