/**
 * Faults at random while several writers work: whatever fails, and however often, each row of the lake went 1, 2, 3, 4, deleted,
 * 6, 7, 8. CHAOS_CDC_FAULTS and CHAOS_SEED choose how many and which; `npm run chaos -- --cdc` sets them.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Outcome, Running } from '../harness/tapline.js';
import { explain } from '../harness/workspace.js';
import { arm, chooseFault, nameOf, strikeNow, untilStruck, type Fault } from './cdc-faults.js';
import { createCdcWorld, startCdcServer, type CdcServer, type CdcWorld } from './cdc-world.js';
import { randomOf, type Random } from './random.js';

const full = process.env['CHAOS'] === 'full';
const faults = Number(process.env['CHAOS_CDC_FAULTS'] ?? 20);
const seed = Number(process.env['CHAOS_SEED'] ?? Date.now() % 1_000_000);
/** A new database, slot and lake after so many, so that the copy is hit as well. */
const perWorld = 10;
const worlds = Math.ceil(faults / perWorld);
const tell = (line: string): void => void process.stderr.write(`${line}\n`);

let server: CdcServer;
beforeAll(async () => {
  server = await startCdcServer({ network: true });
});
afterAll(() => server?.stop());

describe(`change data capture under random load and ${faults} faults loses, doubles and reorders nothing, seed ${seed}`, () => {
  const random = randomOf(`${seed} cdc`);
  const tally = new Map<string, number>();
  let serial = 0;

  afterAll(() => tell(`chaos cdc: ${[...tally].map(([what, count]) => `${count} ${what}`).join(', ')}; seed ${seed}`));

  test.each(Array.from({ length: worlds }, (_, i) => i + 1))('database %i', { timeout: 120_000 + perWorld * 60_000 }, async (number) => {
    const world = await createCdcWorld(server, { seed: `${seed} ${number}`, pauseMs: 150 });
    const stop = new AbortController();
    await world.load.transactions(full ? 60 : 15);
    const writing = world.load.write(stop.signal);
    try {
      const due = Math.min(perWorld, faults - (number - 1) * perWorld);
      let life: Life | undefined;
      for (let done = 0, misses = 0; done < due; ) {
        expect(misses, 'faults that hit nothing').toBeLessThan(20);
        const phases = await world.phases();
        const copying = phases.length === 0 || phases.some((phase) => phase !== 'streaming');
        const fault = chooseFault(random, { copying: copying && !life, serial, network: server.network !== undefined });
        const began = Date.now();
        const result = await bring(fault, { world, random, life });
        life = result.life;
        if (result.hit) {
          done++;
          serial++;
        } else misses++;
        const what = result.hit ? nameOf(fault).replace(/@\d+/, '') : 'misses';
        tally.set(what, (tally.get(what) ?? 0) + 1);
        tell(`chaos cdc ${result.hit ? `${serial}/${faults}` : 'missed'}: ${nameOf(fault)}: ${result.text} (${Date.now() - began} ms)`);
        // Nobody writes the lake now: what a reader sees has to be right, as far as it goes.
        if (!life) expect(await world.damage(), `right after ${nameOf(fault)} (seed ${seed})`).toEqual([]);
      }
      if (life) await end(life);
      const between = await world.sync();
      expect(between.exitCode, explain(between)).toBe(0);
      await world.copied();
      // While the copy is long over, the load goes on for a moment: every step of its new rows has to come by the stream.
      await sleep(300);
      stop.abort();
      await writing;
      await world.load.finish();
      const last = await world.sync();
      expect(last.exitCode, explain(last)).toBe(0);
      expect(await world.finalDamage(), `seed ${seed}`).toEqual([]);
      const { transactions, changes, largest, rollbacks, lostConnections } = world.load.tally;
      tell(`chaos cdc database ${number}: ${transactions} transactions, ${changes} changes, the largest ${largest}, ${rollbacks} rolled back, ${lostConnections} connections lost; all there once, in order`);
    } finally {
      stop.abort();
      await writing.catch(() => {});
      await world.dispose();
    }
  });
});

/** A run that goes on. */
interface Life {
  readonly run: Running;
  /** It began with the destination in a wrapper, or with a failpoint that has fired: good for a further strike from outside. */
  readonly continuous: true;
}

interface At {
  readonly world: CdcWorld;
  readonly random: Random;
  readonly life: Life | undefined;
}

/** Brings the fault about and waits until the sync has healed, if the run still lives; else it is the next run's. */
async function bring(fault: Fault, { world, random, life }: At): Promise<{ life?: Life; hit: boolean; text: string }> {
  const continuous = random.below(3) > 0;
  if (fault.kind === 'strike') {
    const run = life?.run ?? world.start({ continuous });
    if (!life) await Promise.race([run.connectors().catch(() => {}), run.done]);
    await Promise.race([sleep(random.below(600)), run.done]);
    const since = await world.stateId();
    const hit = await strikeNow(fault.strike, { run, server, random });
    return { hit, ...(await healed({ world, run, since, continuous: life !== undefined || continuous })) };
  }
  // It has to be armed before the start: another run.
  if (life) await end(life);
  const { struck, ...options } = await arm(fault, world);
  const since = await world.stateId();
  const run = world.start({ continuous, ...options });
  const hit = await untilStruck({ struck }, run, 20_000);
  return { hit, ...(await healed({ world, run, since: hit ? await world.stateId() : since, continuous })) };
}

async function healed({ world, run, since, continuous }: { world: CdcWorld; run: Running; since: number; continuous: boolean }): Promise<{ life?: Life; text: string }> {
  if (continuous && (await world.progress(run, since))) return { life: { run, continuous }, text: 'goes on' };
  const outcome = await run.done;
  // What a killed runner left behind goes by itself.
  await world.connectorsGone();
  // Whatever a fault does to a run, it is no fault of the user's, and the lake was not touched by anybody else.
  expect(outcome.exitCode, explain(outcome)).not.toBe(78);
  return { text: ended(outcome) };
}

/** The clean stop of a run that goes on. If the fault shows only now, it is interrupted while it waits to try again. */
async function end({ run }: Life): Promise<void> {
  run.kill('SIGTERM');
  const outcome = await run.done;
  expect(outcome.exitCode, explain(outcome)).toBe(outcome.summary?.error ? 143 : 0);
}

const ended = ({ exitCode, signal: by, summary }: Outcome): string => `${by ?? `exit ${exitCode}`}${summary ? `, ${summary.records} records` : ''}${summary?.error ? `: ${summary.error.message.slice(0, 120)}` : ''}`;
