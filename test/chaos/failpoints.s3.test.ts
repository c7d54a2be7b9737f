/**
 * kill -9 at each named step. A failpoint that did not fire proves nothing, so each test asserts that it did: the process
 * that created the marker is dead, by SIGKILL. CHAOS=full runs every step in every place and phase. Each step is tried every day with the
 * destination alone (connectors/destination-s3/src/generations.test.ts) or with the runner alone (runner/src/engine/crash.test.ts): of the
 * whole, those are run every day that decide what a reader sees, and two others by turns.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { byTurns } from '../harness/everyday.js';
import { isGone, untilGone } from '../harness/processes.js';
import type { Lake } from '../harness/lake.js';
import { explain } from '../harness/workspace.js';
import { createWorld } from './world.js';

type Phase = 'the first load' | 'a later run';

interface Step {
  readonly point: string;
  /** Which passage dies. */
  readonly hit: number;
  readonly rule: string;
  /** Where it is run, if not in every place and phase. */
  readonly at: readonly [Lake['kind'], Phase];
  /** The phase that has so many passages. */
  readonly only?: Phase;
}

const deciding: readonly Step[] = [
  { point: 'source.after_state', hit: 2, rule: 'a source that dies right after a STATE', at: ['folder', 'the first load'] },
  { point: 'dest.after_head', hit: 2, rule: 'the head decides, even if nobody heard of it', at: ['S3', 'a later run'] },
  { point: 'dest.mid_publish', hit: 3, rule: 'a swap of generations that was half done is finished', at: ['folder', 'a later run'], only: 'a later run' },
  { point: 'runner.before_save', hit: 2, rule: 'committed, and not saved: the destination is ahead', at: ['S3', 'a later run'] },
];
const others: readonly Step[] = [
  { point: 'dest.after_stage', hit: 2, rule: 'staged files that no head names are garbage', at: ['S3', 'the first load'] },
  { point: 'runner.after_end', hit: 1, rule: 'END without COMPLETE is no success', at: ['folder', 'the first load'] },
  { point: 'dest.before_head', hit: 2, rule: 'nothing is committed before the head', at: ['S3', 'a later run'] },
  { point: 'source.after_end', hit: 1, rule: 'a source that dies while it waits for acks', at: ['folder', 'the first load'] },
  { point: 'dest.mid_publish', hit: 1, rule: 'the next one finishes what was half published', at: ['S3', 'the first load'] },
  { point: 'runner.after_save', hit: 1, rule: 'saved, and not acknowledged', at: ['folder', 'a later run'] },
  { point: 'dest.after_echo', hit: 1, rule: 'the STATE sent back, and the destination gone', at: ['folder', 'the first load'] },
  { point: 'runner.before_ack', hit: 1, rule: 'an ack that was never written', at: ['S3', 'the first load'] },
  { point: 'dest.after_publish', hit: 2, rule: 'published, and the STATE not yet sent back', at: ['S3', 'the first load'] },
  { point: 'source.before_confirm', hit: 1, rule: 'a source that dies before it confirms', at: ['S3', 'a later run'] },
  { point: 'runner.after_complete', hit: 1, rule: 'COMPLETE sent, and the runner gone', at: ['S3', 'a later run'] },
  { point: 'runner.after_ack', hit: 2, rule: 'an ack that was written last of all', at: ['folder', 'the first load'] },
];

const full = process.env['CHAOS'] === 'full';
const everywhere = (['folder', 'S3'] as const).flatMap((lake) => (['the first load', 'a later run'] as const).map((phase) => [lake, phase] as const));
const placesOf = ({ at, only }: Step) => (full ? everywhere.filter(([, phase]) => phase === (only ?? phase)) : [at]);
const cases = [...deciding, ...byTurns(others, 2)].flatMap((step) => placesOf(step).map(([lake, phase]) => ({ ...step, lake, phase })));

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
    const connectors = await run.connectors();
    const outcome = await run.done;
    // A destination whose runner died publishes what it has committed: whoever reads meanwhile may find a file gone that he has just listed.
    await Promise.all([untilGone(connectors.source), untilGone(connectors.destination)]);

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
