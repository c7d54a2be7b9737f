/** SIGSTOP a destination, take over with a second runner, wake the first: it is fenced, and nothing is doubled. */
import { cp, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { byTurns } from '../harness/everyday.js';
import { isGone, processInfo, signal, until, untilGone } from '../harness/processes.js';
import type { Lake } from '../harness/lake.js';
import { leaveDestination, type Running } from '../harness/tapline.js';
import { explain } from '../harness/workspace.js';
import { createWorld, syncName, type World } from './world.js';

/** A run whose destination sleeps at the named step. */
async function asleepAt(world: World, point: string): Promise<{ run: Running; pid: number }> {
  const marker = join(world.directory, 'asleep');
  const run = world.start({ failpoints: [`${point}:stop>${marker}`], args: ['--retries', '0'] });
  const pid = await until('the destination sleeps', async () => {
    if (isGone(run.pid)) throw new Error(`the run ended before ${point}:\n${explain(await run.done)}`);
    const sleeper = Number(await readFile(marker, 'utf8').catch(() => ''));
    return sleeper > 0 && processInfo(sleeper)?.state === 'T' && sleeper;
  });
  onTestFinished(() => {
    signal(pid, 'SIGKILL');
    run.kill('SIGKILL');
  });
  return { run, pid };
}

/** The state directory as another machine would have it: what was saved, without locks and process numbers of this one. */
async function elsewhere(world: World): Promise<string> {
  const copy = `${world.stateDir}.elsewhere`;
  await cp(world.stateDir, copy, { recursive: true });
  for (const own of ['lock', 'runs']) await rm(join(copy, syncName, own), { recursive: true, force: true });
  return copy;
}

const points: readonly (readonly [Lake['kind'], string])[] = (['folder', 'S3'] as const).flatMap((lake) =>
  ['dest.after_stage@2', 'dest.before_head@2', 'dest.after_head@2', 'dest.mid_publish@1', 'dest.after_publish@2'].map((point) => [lake, point] as const),
);
const full = process.env['CHAOS'] === 'full';
const cases = full ? points : ([['S3', 'dest.after_head@2'], ...byTurns([['folder', 'dest.before_head@2'], ['S3', 'dest.after_stage@2']] as const)] as const);

const lastCommit = (point: string): boolean => /publish/.test(point);

describe('a destination that slept while another run took over', () => {
  test.each(cases)('into %s, asleep at %s: it wakes up fenced, and nothing is doubled', async (lake, point) => {
    const world = await createWorld({ lake });
    onTestFinished(() => world.dispose());
    const { run, pid } = await asleepAt(world, point);
    const second = await world.sync({ stateDir: await elsewhere(world) });
    expect(second.exitCode, explain(second)).toBe(0);
    expect(await world.damage(), 'while the first still sleeps').toEqual([]);

    signal(pid, 'SIGCONT');
    const first = await run.done;
    // Behind its last head nothing is left to decide: what it committed is its own, and the other has published it.
    if (lastCommit(point) && first.exitCode === 0) expect(first.summary).toMatchObject({ status: 'succeeded' });
    else {
      expect(first.exitCode, explain(first)).toBe(75);
      expect(first.summary?.error).toMatchObject({ kind: 'transient_error' });
      expect(first.summary?.error?.message).toMatch(/took over|another run|newer/i);
    }
    await untilGone(pid);
    expect((await world.damage()).filter((what) => !what.includes('staged')), 'after it woke').toEqual([]);

    await world.change();
    const third = await world.sync();
    expect(third.exitCode, explain(third)).toBe(0);
    expect(await world.damage(), 'after the next run in the first state directory').toEqual([]);
  });

  test.each(full ? (['folder', 'S3'] as const) : (['S3'] as const))('into %s, its own runner and source killed meanwhile: it goes by itself, and nothing is doubled', async (lake) => {
    const world = await createWorld({ lake });
    onTestFinished(() => world.dispose());
    const { run, pid } = await asleepAt(world, 'dest.before_head@2');
    await leaveDestination(run);
    const second = await world.sync({ stateDir: await elsewhere(world) });
    expect(second.exitCode, explain(second)).toBe(0);
    signal(pid, 'SIGCONT');
    await untilGone(pid);
    expect((await world.damage()).filter((what) => !what.includes('staged'))).toEqual([]);
    const third = await world.sync({ stateDir: `${world.stateDir}.elsewhere` });
    expect(third.exitCode, explain(third)).toBe(0);
    expect(await world.damage()).toEqual([]);
  });

  test('with the same state directory the next run sweeps the sleeper of the dead one, and goes on', async () => {
    const world = await createWorld({ lake: 'folder' });
    onTestFinished(() => world.dispose());
    const { run, pid } = await asleepAt(world, 'dest.before_head@2');
    run.kill('SIGKILL');
    await run.done;
    const second = await world.sync();
    expect(second.exitCode, explain(second)).toBe(0);
    await untilGone(pid);
    expect(await world.damage()).toEqual([]);
  });
});
