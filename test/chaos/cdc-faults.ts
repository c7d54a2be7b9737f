/** What can go wrong while a sync follows a database, and how a crash test brings it about. */
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { destinationFaults, type DestinationFault } from '../harness/faulty-destination.js';
import { descendantsOf, isGone, signal, until } from '../harness/processes.js';
import type { Running } from '../harness/tapline.js';
import type { CdcServer, CdcWorld } from './cdc-world.js';
import type { Random } from './random.js';

/** From outside, at any moment. */
export const strikes = ['kill source', 'kill destination', 'kill runner', 'kill PostgreSQL', 'cut network', 'stall network', 'slow network'] as const;
/** Beside them, where the destination is a server of its own. */
export const warehouseStrikes = ['kill warehouse', 'cut warehouse', 'stall warehouse'] as const;
export type Strike = (typeof strikes)[number] | (typeof warehouseStrikes)[number];

/** Named steps: the process that comes by dies. Those of the first part are passed by a run that has a table to copy only. */
export const copyPoints = ['cdc.after_slot', 'cdc.in_copy', 'cdc.after_copy'] as const;
const aroundLakes = ['dest.after_stage', 'dest.before_head', 'dest.after_head', 'dest.mid_publish', 'dest.after_publish', 'dest.after_echo'] as const;
const aroundWarehouses = ['dest.after_stage', 'dest.before_commit', 'dest.in_commit', 'dest.before_commit_sent', 'dest.after_commit', 'dest.after_echo'] as const;
const pointsAround = (destination: readonly string[]) =>
  ['cdc.in_transaction', 'source.after_state', 'source.before_confirm', ...destination, 'runner.before_save', 'runner.after_save', 'runner.before_ack', 'runner.after_ack'];

/** What can be hit. */
export interface Menu {
  readonly strikes: readonly Strike[];
  readonly points: readonly string[];
}

export const lakeMenu: Menu = { strikes, points: pointsAround(aroundLakes) };
/** `isServer`: one that can be killed and cut off by itself. */
export const warehouseMenu = (isServer: boolean): Menu => ({ strikes: isServer ? [...strikes, ...warehouseStrikes] : strikes, points: pointsAround(aroundWarehouses) });

export type Fault =
  | { readonly kind: 'strike'; readonly strike: Strike }
  | { readonly kind: 'point'; readonly point: string; readonly hit: number }
  | { readonly kind: 'destination'; readonly fault: DestinationFault };

export const nameOf = (fault: Fault): string =>
  fault.kind === 'strike' ? fault.strike : fault.kind === 'point' ? `${fault.point}@${fault.hit}` : `destination ${fault.fault}`;

/** `copying`: a run has a table to copy. `serial`: which fault of the whole test it is, so that few faults are of many kinds. */
export function chooseFault(random: Random, { copying, serial, menu = lakeMenu }: { copying: boolean; serial: number; menu?: Menu }): Fault {
  const point = (names: readonly string[]): Fault => ({ kind: 'point', point: random.pick(names), hit: 1 + random.below(4) });
  if (copying && random.below(3) > 0) {
    const chosen = random.pick(copyPoints);
    // There is one slot, and a copy of each of three tables.
    return { kind: 'point', point: chosen, hit: chosen === 'cdc.after_slot' ? 1 : 1 + random.below(chosen === 'cdc.in_copy' ? 3 : 2) };
  }
  switch (serial % 5) {
    case 1: return { kind: 'destination', fault: random.pick(destinationFaults) };
    case 2: return point(menu.points.filter((name) => name.startsWith('cdc.') || name.startsWith('source.')));
    case 4: return point(menu.points.filter((name) => name.startsWith('dest.') || name.startsWith('runner.')));
    default: return { kind: 'strike', strike: random.pick(menu.strikes) };
  }
}

export interface Struck {
  readonly run: Running;
  readonly server: CdcServer;
  /** Where the changes arrive, if that is a server. */
  readonly warehouse?: CdcServer;
  readonly random: Random;
}

/** Brings the strike about; false if there was nothing to hit any more. */
export async function strikeNow(strike: Strike, at: Struck): Promise<boolean> {
  const { run, server, random } = at;
  if (isGone(run.pid)) return false;
  const { postgres } = strike === 'kill warehouse' ? at.warehouse! : server;
  const network = (strike.endsWith('warehouse') ? at.warehouse! : server).network!;
  switch (strike) {
    case 'kill runner':
      return signal(run.pid, 'SIGKILL');
    case 'kill source':
    case 'kill destination': {
      const pid = run.connector(strike === 'kill source' ? 'source' : 'destination')?.pid;
      if (pid === undefined) return false;
      // A destination in a wrapper are two.
      const family = [pid, ...descendantsOf(pid).map((child) => child.pid)];
      return family.map((one) => signal(one, 'SIGKILL')).includes(true);
    }
    case 'kill PostgreSQL':
    case 'kill warehouse':
      await postgres.kill9();
      await sleep(random.below(800));
      await postgres.restart();
      return true;
    case 'cut network':
    case 'cut warehouse':
      network.cut();
      await sleep(random.below(500));
      network.restore();
      return true;
    case 'stall network':
    case 'stall warehouse':
      network.stall();
      // Some are over before anybody notices, and some when both sides have given up.
      await sleep(random.pick(process.env['CHAOS'] === 'full' ? [300, 1_000, 3_000, 12_000] : [300, 1_000, 3_000]));
      network.restore();
      return true;
    case 'slow network':
      network.latency(50 + random.below(150));
      await sleep(1_500);
      network.restore();
      return true;
  }
}

export interface Armed {
  readonly failpoints?: readonly string[];
  readonly faulty?: true;
  /** Whether it has struck. */
  struck(): Promise<boolean>;
}

/** What has to be in place before the run starts. */
export async function arm(fault: Exclude<Fault, { kind: 'strike' }>, world: CdcWorld): Promise<Armed> {
  const marker = fault.kind === 'point' ? join(world.directory, 'fired') : world.faulty.marker;
  await rm(marker, { force: true });
  const struck = () => readFile(marker).then(() => true, () => false);
  if (fault.kind === 'point') return { struck, failpoints: [`${fault.point}@${fault.hit}:kill>${marker}`] };
  await world.faulty.plan(fault.fault);
  return { struck, faulty: true };
}

/** Waits until the fault has struck or the run has ended; false: it never came by. */
export async function untilStruck(armed: Armed, run: Running, timeoutMs: number): Promise<boolean> {
  let ended = false;
  void run.done.then(() => (ended = true));
  await until('the fault strikes', async () => ended || (await armed.struck()), timeoutMs).catch(() => {});
  return armed.struck();
}
