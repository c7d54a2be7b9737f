/** One crash of the spine's random tests: a run that is hit at some moment by something, under load. */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { isGone, signal, until, untilGone } from '../harness/processes.js';
import type { Outcome, Running } from '../harness/tapline.js';
import { explain } from '../harness/workspace.js';
import type { Random } from './random.js';
import type { StartOptions } from './world.js';

/** What can be hit besides our own processes. Resolves once it is as it was. */
export type Strikes<Victim extends string> = Partial<Readonly<Record<Victim, () => Promise<void>>>>;

export interface CrashWorld {
  write(signal: AbortSignal): Promise<unknown>;
  start(options?: StartOptions): Running;
  sync(): Promise<Outcome>;
}

export interface CrashRequest<Victim extends string> {
  readonly world: CrashWorld;
  readonly victims: readonly Victim[];
  readonly strikes: Strikes<Victim>;
  readonly random: Random;
  /** Milliseconds of a run that nobody kills. */
  readonly span: number;
}

export interface Crashed<Victim extends string> {
  readonly victim: Victim;
  /** It was there to be hit. */
  readonly hit: boolean;
  readonly text: string;
  readonly outcome: Outcome;
}

/** A server that is killed and started again after a while. */
export const killed = (server: { kill9(): Promise<void>; restart(): Promise<void> }, random: Random) => async (): Promise<void> => {
  await server.kill9();
  await sleep(random.below(1500));
  await server.restart();
};

export async function crash<Victim extends string>({ world, victims, strikes, random, span }: CrashRequest<Victim>): Promise<Crashed<Victim>> {
  const victim = random.pick(victims);
  const refresh = random.below(4) === 0;
  const heal = random.below(2) === 0;
  const writing = new AbortController();
  const writer = world.write(writing.signal);
  const run = world.start({ args: [...(refresh ? ['--full-refresh'] : []), '--retries', heal ? '3' : '0'] });
  const began = Date.now();
  // Connectors live for a part of the run only; the others may be hit at any moment, discovery and clean-up included.
  const role = roles.find((one) => one === (victim as string));
  if (role) await until(`${role} runs`, () => run.connector(role) !== undefined || isGone(run.pid));
  await Promise.race([sleep(random.below(role ? span * 0.6 : span)), run.done]);
  const at = Date.now() - began;
  const pids = [run.connector('source')?.pid, run.connector('destination')?.pid].filter((pid) => pid !== undefined);
  const hit = await strike(run, victim, strikes);
  const outcome = await run.done;
  writing.abort();
  await writer;
  await Promise.all(pids.map((pid) => untilGone(pid)));
  const what = victim === 'network' ? 'network cut' : `kill -9 ${victim}`;
  return { victim, hit, outcome, text: `${what} after ${at} ms${refresh ? ' of a full refresh' : ''}: ${ended(outcome)}` };
}

const roles = ['source', 'destination'] as const;

async function strike<Victim extends string>(run: Running, victim: Victim, strikes: Strikes<Victim>): Promise<boolean> {
  if (isGone(run.pid)) return false;
  const other = strikes[victim];
  if (other) {
    await other();
    return true;
  }
  if (victim === 'runner') return signal(run.pid, 'SIGKILL');
  const pid = run.connector(victim as 'source' | 'destination')?.pid;
  return pid !== undefined && signal(pid, 'SIGKILL');
}

/** Gives how long it took, in milliseconds. */
export async function cleanRun(world: Pick<CrashWorld, 'sync'>): Promise<number> {
  const began = Date.now();
  const outcome = await world.sync();
  expect(outcome.exitCode, explain(outcome)).toBe(0);
  return Date.now() - began;
}

/**
 * What is wrong after a clean run. A refresh that was cut off goes on after its last key: what changed behind it meanwhile comes with the
 * next one, so of the table that is read so it may take a second run, and only of that one.
 */
export async function settledDamage(world: Pick<CrashWorld, 'sync'> & { damage(): Promise<string[]> }): Promise<string[]> {
  const found = await world.damage();
  if (found.length === 0 || !found.every((one) => resumable.test(one))) return found;
  await cleanRun(world);
  return await world.damage();
}

const resumable = /^keyed: (?:\d+ rows in|as many rows as)/;

const ended = ({ exitCode, signal: by, summary }: Outcome): string => `${by ?? `exit ${exitCode}`}${summary ? `, ${summary.records} records` : ''}`;
