/**
 * kill -9 at random moments, of a random one of source, destination, runner, PostgreSQL and the store, while somebody writes
 * to the database. CHAOS_KILLS and CHAOS_SEED choose how many and which; `npm run chaos` sets them.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bucketLakeAt, folderLake, type Lake } from '../harness/lake.js';
import { isGone, signal, until, untilGone } from '../harness/processes.js';
import type { Outcome } from '../harness/tapline.js';
import { explain } from '../harness/workspace.js';
import { startPostgres, type PostgresServer } from '../services/postgres.js';
import { startS3, type S3Server } from '../services/s3.js';
import { randomOf, type Random } from './random.js';
import { createWorld, type World } from './world.js';

const kills = Number(process.env['CHAOS_KILLS'] ?? 4);
const seed = Number(process.env['CHAOS_SEED'] ?? Date.now() % 1_000_000);
const tell = (line: string): void => void process.stderr.write(`${line}\n`);

const victims = ['source', 'destination', 'runner', 'PostgreSQL', 'store'] as const;
type Victim = (typeof victims)[number];

describe.each(['folder', 'S3'] as const)('%s: after kill -9 at random moments and one more run, every row is there once', (kind) => {
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
        const line = await crash({ world, postgres, store, random, span });
        if (line.hit) done++;
        const what = line.hit ? line.victim : 'misses';
        tally.set(what, (tally.get(what) ?? 0) + 1);
        tell(`chaos ${kind} ${line.hit ? done : 'missed'}: ${line.text}`);
        expect(await world.duplicates(), `right after: ${line.text} (seed ${seed})`).toEqual([]);
      }
      span = await cleanRun(world);
      expect([...(await world.damage()), ...(await world.leftovers())], `seed ${seed}`).toEqual([]);
    }
  });
});

/** Gives how long it took, in milliseconds. */
async function cleanRun(world: World): Promise<number> {
  const began = Date.now();
  const outcome = await world.sync();
  expect(outcome.exitCode, explain(outcome)).toBe(0);
  return Date.now() - began;
}

interface Crash {
  readonly world: World;
  readonly postgres: PostgresServer;
  readonly store: S3Server | undefined;
  readonly random: Random;
  /** Milliseconds of a run that nobody kills. */
  readonly span: number;
}

async function crash({ world, postgres, store, random, span }: Crash): Promise<{ victim: Victim; hit: boolean; text: string }> {
  const victim = random.pick<Victim>(victims.filter((one) => one !== 'store' || store));
  const refresh = random.below(4) === 0;
  const heal = random.below(2) === 0;
  const writing = new AbortController();
  const writer = world.write(writing.signal);
  const run = world.start({ args: [...(refresh ? ['--full-refresh'] : []), '--retries', heal ? '3' : '0'] });
  const began = Date.now();
  // Connectors live for a part of the run only; the others may be hit at any moment, discovery and clean-up included.
  const role = victim === 'source' || victim === 'destination' ? victim : undefined;
  if (role) await until(`${role} runs`, () => run.connector(role) !== undefined || isGone(run.pid));
  await Promise.race([sleep(random.below(role ? span * 0.6 : span)), run.done]);
  const at = Date.now() - began;
  const pids = [run.connector('source')?.pid, run.connector('destination')?.pid].filter((pid) => pid !== undefined);
  const hit = await strike();

  async function strike(): Promise<boolean> {
    if (isGone(run.pid)) return false;
    if (victim === 'runner') return signal(run.pid, 'SIGKILL');
    if (victim === 'PostgreSQL' || victim === 'store') {
      const server = victim === 'store' ? store! : postgres;
      await server.kill9();
      await sleep(random.below(1500));
      await server.restart();
      return true;
    }
    const pid = run.connector(victim)?.pid;
    return pid !== undefined && signal(pid, 'SIGKILL');
  }

  const outcome = await run.done;
  writing.abort();
  await writer;
  await Promise.all(pids.map((pid) => untilGone(pid)));
  return { victim, hit, text: `kill -9 ${victim} after ${at} ms${refresh ? ' of a full refresh' : ''}: ${ended(outcome)}` };
}

const ended = ({ exitCode, signal: by, summary }: Outcome): string => `${by ?? `exit ${exitCode}`}${summary ? `, ${summary.records} records` : ''}`;
