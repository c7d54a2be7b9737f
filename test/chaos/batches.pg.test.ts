/**
 * kill -9 of each process while records travel in batches: at each step of a file's life, into each kind of destination. A failpoint that did
 * not fire proves nothing, so each test asserts that it did. CHAOS=full runs every step everywhere.
 */
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { byTurns } from '../harness/everyday.js';
import { isGone, processInfo, untilGone } from '../harness/processes.js';
import type { Running } from '../harness/tapline.js';
import { explain, succeeded } from '../harness/workspace.js';
import { createWarehouseWorld } from './warehouse-world.js';
import { createWorld, type StartOptions } from './world.js';

const full = process.env['CHAOS'] === 'full';

const places = ['folder', 'duckdb', 'postgres18'] as const;
type Place = (typeof places)[number];
type Phase = 'the first load' | 'a later run';

interface Step {
  readonly point: string;
  readonly hit: number;
  readonly rule: string;
  readonly at: readonly [Place, Phase];
}
const steps: readonly Step[] = [
  { point: 'source.after_batch', hit: 1, rule: 'a file that nobody was told of is garbage', at: ['folder', 'the first load'] },
  { point: 'dest.after_batch', hit: 2, rule: 'a file that was deleted is no loss: no state covers it', at: ['duckdb', 'the first load'] },
  { point: 'source.after_batch', hit: 3, rule: 'a file that nobody was told of is garbage', at: ['postgres18', 'a later run'] },
  { point: 'source.after_batch_line', hit: 2, rule: 'a source that dies behind a batch, before its STATE', at: ['duckdb', 'a later run'] },
  { point: 'runner.after_batch', hit: 2, rule: 'a file that the destination was not told of goes with its folder', at: ['folder', 'a later run'] },
  { point: 'dest.after_batch', hit: 1, rule: 'a file that was deleted is no loss: no state covers it', at: ['folder', 'the first load'] },
  { point: 'dest.after_batch', hit: 3, rule: 'a file that was deleted is no loss: no state covers it', at: ['postgres18', 'the first load'] },
  { point: 'runner.before_save', hit: 1, rule: 'committed, and not saved: the destination is ahead', at: ['duckdb', 'the first load'] },
];
const everywhere = places.flatMap((place) => (['the first load', 'a later run'] as const).map((phase) => [place, phase] as const));
const cases = byTurns(steps.flatMap((step) => (full ? everywhere : [step.at]).map(([place, phase]) => ({ ...step, place, phase }))), 3);

async function worldOf(place: Place) {
  const world = place === 'folder' ? await createWorld({ lake: 'folder' }) : await createWarehouseWorld({ kind: place, rows: full ? 20_000 : 6_000 });
  onTestFinished(() => world.dispose());
  const pids: number[] = [];
  const begin = ({ args = [], ...options }: StartOptions = {}): Running => {
    const run = world.start({ ...options, args: ['--transport', 'batch', ...args] });
    pids.push(run.pid);
    return run;
  };
  return {
    ...world,
    start: begin,
    sync: (options?: StartOptions) => begin(options).done,
    /** Of runs of this world, on the RAM disk. */
    async folders(): Promise<string[]> {
      const names = await readdir('/dev/shm').catch(() => []);
      return names.filter((name) => pids.includes(Number(/^tapline-batches-\d+-(\d+)-/.exec(name)?.[1])));
    },
  };
}

describe('kill -9 while records travel in batches, then one more run: every row is there once, and no folder is left', () => {
  test.each(cases)('$point@$hit in $phase into $place: $rule', async ({ point, hit, place, phase }) => {
    const world = await worldOf(place);
    if (phase === 'a later run') {
      await succeeded(world.sync());
      await world.change();
    }
    const marker = join(world.directory, 'fired');
    const run = world.start({ failpoints: [`${point}@${hit}:kill>${marker}`], args: ['--retries', '0'] });
    const destination = await run.connectors().then((pids) => pids.destination, () => 0);
    const outcome = await run.done;
    const pid = Number(await readFile(marker, 'utf8').catch(() => expect.fail(`${point}@${hit} was never reached\n${explain(outcome)}`)));
    expect(isGone(pid), `${pid} outlived its kill -9`).toBe(true);
    // Its folder is there still, unless another run on this machine has removed it already.
    if (point.startsWith('runner.')) expect(outcome.signal).toBe('SIGKILL');
    else expect([outcome.exitCode, await world.folders()], explain(outcome)).toEqual([1, []]);
    if (destination) await untilGone(destination);
    expect(await world.duplicates(), 'what a reader sees right after the crash').toEqual([]);

    await succeeded(world.sync());
    expect([...(await world.damage()), ...(await world.leftovers()), ...(await world.folders())]).toEqual([]);
  });

  const retried = ['source.after_batch@2', 'source.after_batch_line@1', 'dest.after_batch@2'];
  test.each(full ? places.flatMap((place) => retried.map((point) => [place, point] as const)) : byTurns([['folder', retried[0]!], ['duckdb', retried[2]!], ['postgres18', retried[1]!]] as const, 1))(
    'into %s, %s, and the same run heals it by its own retry', async (place, point) => {
      const world = await worldOf(place);
      const marker = join(world.directory, 'fired');
      const outcome = await succeeded(world.sync({ failpoints: [`${point}:kill>${marker}`] }));
      expect(isGone(Number(await readFile(marker, 'utf8')))).toBe(true);
      expect([...(await world.damage()), ...(await world.folders())]).toEqual([]);
      expect(outcome.summary?.records, 'a retry counted once').toBe(place === 'folder' ? 40_000 : full ? 60_000 : 18_000);
    });

  test('of the runner, its source and its destination at once: the next run removes what lies in memory', async () => {
    const world = await worldOf('folder');
    const run = world.start({ failpoints: ['dest.after_batch@1:stop'] });
    const pids = await run.connectors();
    while (processInfo(pids.destination)?.state !== 'T') {
      expect(isGone(run.pid), run.stderr()).toBe(false);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    for (const pid of [run.pid, pids.source, pids.destination]) process.kill(pid, 'SIGKILL');
    await run.done;
    // Another run on this machine may have removed it already.
    expect((await world.folders()).length).toBeLessThanOrEqual(1);
    await succeeded(world.sync());
    expect([...(await world.damage()), ...(await world.leftovers()), ...(await world.folders())]).toEqual([]);
  });
});

describe('a run with batches that is stopped', () => {
  test.each(byTurns([['SIGTERM', 143], ['SIGINT', 130]] as const, 1))('by %s leaves no folder, and the next one goes on', async (signal, exitCode) => {
    const world = await worldOf('folder');
    const run = world.start();
    await run.connectors();
    run.kill(signal);
    const outcome = await run.done;
    // It may have been faster.
    expect([0, exitCode], explain(outcome)).toContain(outcome.exitCode);
    expect(await world.folders()).toEqual([]);
    await succeeded(world.sync());
    expect([...(await world.damage()), ...(await world.leftovers()), ...(await world.folders())]).toEqual([]);
  });
});
