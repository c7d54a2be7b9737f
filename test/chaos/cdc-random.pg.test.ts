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
/** With those of cdc.pg.test.ts twenty in `npm test`. */
const faults = Number(process.env['CHAOS_CDC_FAULTS'] ?? 14);
const seed = Number(process.env['CHAOS_SEED'] ?? Date.now() % 1_000_000);
/** A new database, slot and lake after so many, so that the copy is hit as well. */
const perWorld = full ? 10 : 7;
const worlds = Math.ceil(faults / perWorld);
const tell = (line: string): void => void process.stderr.write(`${line}\n`);

/** One database after the other on the newest version and on the oldest. */
const versions = [18, 14] as const;
let servers: CdcServer[] = [];
beforeAll(async () => {
  servers = await Promise.all(versions.slice(0, worlds).map((version) => startCdcServer({ version, network: true })));
});
afterAll(async () => void (await Promise.all(servers.map((server) => server.stop()))));

describe(`change data capture under random load and ${faults} faults loses, doubles and reorders nothing, seed ${seed}`, () => {
  const random = randomOf(`${seed} cdc`);
  const tally = new Map<string, number>();
  let serial = 0;

  afterAll(() => tell(`chaos cdc: ${[...tally].map(([what, count]) => `${count} ${what}`).join(', ')}; seed ${seed}`));

  test.each(Array.from({ length: worlds }, (_, i) => ({ number: i + 1, version: versions[i % versions.length] })))('database $number, PostgreSQL $version', { timeout: 120_000 + perWorld * 60_000 }, async ({ number }) => {
    const server = servers[(number - 1) % servers.length]!;
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
        const fault = chooseFault(random, { copying: copying && !life, serial });
        const began = Date.now();
        const result = await bring(fault, { world, server, random, life });
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
}

interface At {
  readonly world: CdcWorld;
  readonly server: CdcServer;
  readonly random: Random;
  readonly life: Life | undefined;
}

/** Brings the fault about and waits until the sync has healed, if the run still lives; else it is the next run's. */
async function bring(fault: Fault, { world, server, random, life }: At): Promise<{ life?: Life; hit: boolean; text: string }> {
  const continuous = random.below(3) > 0;
  if (fault.kind === 'strike') {
    const run = life?.run ?? world.start({ continuous });
    if (!life) await Promise.race([run.connectors().catch(() => {}), run.done]);
    await Promise.race([sleep(random.below(600)), run.done]);
    const since = await world.stateId();
    const hit = await strikeNow(fault.strike, { run, server, random });
    return { hit, ...(await healed({ world, run, fault, since, continuous: life !== undefined || continuous })) };
  }
  // It has to be armed before the start: another run.
  if (life) await end(life);
  const { struck, ...options } = await arm(fault, world);
  const since = await world.stateId();
  const run = world.start({ continuous, ...options });
  const hit = await untilStruck({ struck }, run, 20_000);
  // What the destination holds back is answered when the source has long been connected anew.
  if (hit && fault.kind === 'destination' && random.below(2) === 0) await strikeNow('cut network', { run, server, random });
  return { hit, ...(await healed({ world, run, fault, since: hit ? await world.stateId() : since, continuous })) };
}

interface Struck {
  readonly world: CdcWorld;
  readonly run: Running;
  readonly fault: Fault;
  readonly since: number;
  readonly continuous: boolean;
}

async function healed({ world, run, fault, since, continuous }: Struck): Promise<{ life?: Life; text: string }> {
  if (continuous && (await world.progress(run, since))) return { life: { run }, text: 'goes on' };
  const outcome = await run.done;
  // What a killed runner left behind goes by itself.
  await world.connectorsGone();
  if (outcome.signal === null) {
    // A connector that was killed says nothing, or half a line; whatever else happens is known to pass.
    expect(killsConnector(fault) ? [0, 1, 75, 76] : [0, 75], explain(outcome)).toContain(outcome.exitCode);
  }
  return { text: ended(outcome) };
}

const killsConnector = (fault: Fault): boolean =>
  fault.kind === 'point' || (fault.kind === 'strike' ? /source|destination/.test(fault.strike) : fault.fault === 'dies after writing');

/** The clean stop of a run that goes on. If the fault shows only now, it is interrupted while it waits to try again, or ends with it. */
async function end({ run }: Life): Promise<void> {
  run.kill('SIGTERM');
  const outcome = await run.done;
  expect(outcome.summary?.error ? [1, 75, 76, 143] : [0], explain(outcome)).toContain(outcome.exitCode);
}

const ended = ({ exitCode, signal: by, summary }: Outcome): string => `${by ?? `exit ${exitCode}`}${summary ? `, ${summary.records} records` : ''}${summary?.error ? `: ${summary.error.message.slice(0, 120)}` : ''}`;
