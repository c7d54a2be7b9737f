/**
 * kill -9 at each named step. A failpoint that did not fire proves nothing, so each test asserts that it did: the process
 * that created the marker is dead, by SIGKILL. CHAOS=full runs every step in every place and phase.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { isGone } from '../harness/processes.js';
import type { Lake } from '../harness/lake.js';
import { explain } from '../harness/workspace.js';
import { createWorld } from './world.js';

type Phase = 'the first load' | 'a later run';

/** `hit`: which passage dies. Where everyday runs it, if it does: [place, phase]. `only`: the phase that has so many passages. */
const steps: readonly { point: string; hit: number; rule: string; everyday?: readonly [Lake['kind'], Phase]; only?: Phase }[] = [
  { point: 'source.after_state', hit: 2, rule: 'a source that dies right after a STATE', everyday: ['folder', 'the first load'] },
  { point: 'source.after_end', hit: 1, rule: 'a source that dies while it waits for acks' },
  { point: 'source.before_confirm', hit: 1, rule: 'a source that dies before it confirms' },
  { point: 'dest.after_stage', hit: 2, rule: 'staged files that no head names are garbage', everyday: ['S3', 'the first load'] },
  { point: 'dest.before_head', hit: 2, rule: 'nothing is committed before the head', everyday: ['S3', 'a later run'] },
  { point: 'dest.after_head', hit: 2, rule: 'the head decides, even if nobody heard of it', everyday: ['S3', 'a later run'] },
  { point: 'dest.mid_publish', hit: 1, rule: 'the next one finishes what was half published', everyday: ['S3', 'the first load'] },
  { point: 'dest.mid_publish', hit: 3, rule: 'a swap of generations that was half done is finished', everyday: ['folder', 'a later run'], only: 'a later run' },
  { point: 'dest.after_publish', hit: 2, rule: 'published, and the STATE not yet sent back' },
  { point: 'dest.after_echo', hit: 1, rule: 'the STATE sent back, and the destination gone', everyday: ['folder', 'the first load'] },
  { point: 'runner.before_save', hit: 2, rule: 'committed, and not saved: the destination is ahead', everyday: ['S3', 'a later run'] },
  { point: 'runner.after_save', hit: 1, rule: 'saved, and not acknowledged' },
  { point: 'runner.before_ack', hit: 1, rule: 'an ack that was never written' },
  { point: 'runner.after_ack', hit: 2, rule: 'an ack that was written last of all' },
  { point: 'runner.after_end', hit: 1, rule: 'END without COMPLETE is no success', everyday: ['folder', 'the first load'] },
  { point: 'runner.after_complete', hit: 1, rule: 'COMPLETE sent, and the runner gone', everyday: ['S3', 'a later run'] },
];

const full = process.env['CHAOS'] === 'full';
const everywhere = (['folder', 'S3'] as const).flatMap((lake) => (['the first load', 'a later run'] as const).map((phase) => [lake, phase] as const));
const cases = steps.flatMap((step) => (full ? everywhere.filter(([, phase]) => phase === (step.only ?? phase)) : step.everyday ? [step.everyday] : []).map(([lake, phase]) => ({ ...step, lake, phase })));

describe('kill -9 at each named step, then one more run: every row is there once', () => {
  test.each(cases)('$point@$hit in $phase into $lake: $rule', async ({ point, hit, lake, phase }) => {
    const world = await createWorld({ lake });
    onTestFinished(() => world.dispose());
    if (phase === 'a later run') {
      const before = await world.sync();
      expect(before.exitCode, explain(before)).toBe(0);
      await world.change();
    }
    const marker = join(world.directory, 'fired');
    // Without retries: what has to heal the damage is the next run, which knows nothing of this one.
    const run = world.start({ failpoints: [`${point}@${hit}:kill>${marker}`], args: ['--retries', '0'] });
    const outcome = await run.done;

    const pid = Number(await readFile(marker, 'utf8').catch(() => expect.fail(`${point}@${hit} was never reached\n${explain(outcome)}`)));
    expect(isGone(pid), `${pid} outlived its kill -9`).toBe(true);
    if (point.startsWith('runner.')) expect(outcome.signal).toBe('SIGKILL');
    else {
      // A source may die in the middle of a line: that is 76 by the contract, whatever it died of.
      const torn = point.startsWith('source.') && outcome.exitCode === 76;
      expect(outcome.exitCode, explain(outcome)).toBe(torn ? 76 : 1);
      expect(outcome.summary?.error?.message).toMatch(torn ? /in the middle of line/ : /SIGKILL/);
    }
    expect(await world.duplicates(), 'what a reader sees right after the crash').toEqual([]);

    const next = await world.sync();
    expect(next.exitCode, explain(next)).toBe(0);
    expect([...(await world.damage()), ...(await world.leftovers())]).toEqual([]);
  });

  test.each(full ? ['source.after_state@2', 'dest.before_head@2', 'dest.after_head@1', 'dest.after_publish@2', 'dest.after_stage@3', 'source.after_end@1'] : ['dest.after_head@1'])('%s, and the same run heals it by its own retry', async (point) => {
    const world = await createWorld({ lake: 'folder' });
    onTestFinished(() => world.dispose());
    const marker = join(world.directory, 'fired');
    const outcome = await world.sync({ failpoints: [`${point}:kill>${marker}`] });
    expect(outcome.exitCode, explain(outcome)).toBe(0);
    expect(isGone(Number(await readFile(marker, 'utf8')))).toBe(true);
    expect(await world.damage()).toEqual([]);
    expect(outcome.summary?.records, 'a retry counted once').toBe(40_000);
  });
});
