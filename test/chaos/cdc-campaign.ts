/** Faults one after another while several writers work, and what must hold after each of them and in the end. */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import type { Outcome, Running } from '../harness/tapline.js';
import { explain } from '../harness/workspace.js';
import { arm, chooseFault, nameOf, strikeNow, untilStruck, type Fault, type Menu } from './cdc-faults.js';
import type { CdcServer, CdcWorld } from './cdc-world.js';
import type { Random } from './random.js';

/** What is hit. */
export interface Field {
  readonly world: CdcWorld;
  readonly server: CdcServer;
  /** Where the changes arrive, if that is a server. */
  readonly warehouse?: CdcServer;
  readonly random: Random;
}

export interface Campaign extends Field {
  readonly menu: Menu;
  /** How many faults have to hit. */
  readonly due: number;
  /** Transactions a writer before the first run. */
  readonly before: number;
  /** For messages. */
  readonly seed: number;
  /** How many faults have hit so far, in the whole test. */
  serial(): number;
  /** After each fault, also one that missed. */
  onFault(fault: Fault, result: { readonly hit: boolean; readonly text: string; readonly ms: number }): void;
}

/** Nothing is lost, doubled or reordered when it resolves. */
export async function runCampaign({ menu, due, before, seed, serial, onFault, ...given }: Campaign): Promise<void> {
  const { world, random } = given;
  const stop = new AbortController();
  await world.load.transactions(before);
  const writing = world.load.write(stop.signal);
  try {
    let life: Life | undefined;
    for (let done = 0, misses = 0; done < due; ) {
      expect(misses, 'faults that hit nothing').toBeLessThan(20);
      const phases = await world.phases();
      const copying = phases.length === 0 || phases.some((phase) => phase !== 'streaming');
      const fault = chooseFault(random, { copying: copying && !life, serial: serial(), menu });
      const began = Date.now();
      const result = await bring(fault, { ...given, life });
      life = result.life;
      if (result.hit) done++;
      else misses++;
      onFault(fault, { hit: result.hit, text: result.text, ms: Date.now() - began });
      // Nobody writes to the destination now: what a reader sees has to be right, as far as it goes.
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
  } finally {
    stop.abort();
    await writing.catch(() => {});
  }
}

/** A run that goes on. */
interface Life {
  readonly run: Running;
}

type At = Field & { readonly life: Life | undefined };

/** Brings the fault about and waits until the sync has healed, if the run still lives; else it is the next run's. */
async function bring(fault: Fault, { life, ...field }: At): Promise<{ life?: Life; hit: boolean; text: string }> {
  const { world, random } = field;
  const continuous = random.below(3) > 0;
  if (fault.kind === 'strike') {
    const run = life?.run ?? world.start({ continuous });
    if (!life) await Promise.race([run.connectors().catch(() => {}), run.done]);
    await Promise.race([sleep(random.below(600)), run.done]);
    const since = await world.stateId();
    const hit = await strikeNow(fault.strike, { ...field, run });
    return { hit, ...(await healed({ world, run, fault, since, continuous: life !== undefined || continuous })) };
  }
  // It has to be armed before the start: another run.
  if (life) await end(life);
  const { struck, ...options } = await arm(fault, world);
  const since = await world.stateId();
  const run = world.start({ continuous, ...options });
  const hit = await untilStruck({ struck }, run, 20_000);
  // What the destination holds back is answered when the source has long been connected anew.
  if (hit && fault.kind === 'destination' && random.below(2) === 0) await strikeNow('cut network', { ...field, run });
  return { hit, ...(await healed({ world, run, fault, since: hit ? await world.stateId() : since, continuous })) };
}

interface Healing {
  readonly world: CdcWorld;
  readonly run: Running;
  readonly fault: Fault;
  readonly since: number;
  readonly continuous: boolean;
}

async function healed({ world, run, fault, since, continuous }: Healing): Promise<{ life?: Life; text: string }> {
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
