import type { Commit, GenerationBegin, Staged } from '@tapline/columnar';
import { describe, expect, test } from 'vitest';
import type { SyncRecord } from './checkpoint.js';
import { planCommit, type Step } from './plan-commit.js';

const orders = { namespace: 'public', name: 'orders' };
const empty: SyncRecord = { epoch: 7, seq: 0, stateId: 0, source: '', states: [], generations: {}, open: {} };

const file = (generation: number, name: string, stream = orders): Staged =>
  ({ stream, generation, name, rows: 1, bytes: 1, partition: '', unchanged: false, schema: undefined }) as unknown as Staged;
const begin = (generation: number, minimum = generation): GenerationBegin => ({ stream: orders, generation, minimum });
const commit = (seq: number, given: Partial<Commit> = {}): Commit => ({ seq, staged: [], states: [], stateId: seq, begun: [], completed: [], ...given });
const complete = (generation: number) => ({ ...orders, generation });

const told = (steps: readonly Step[]): string[] =>
  steps.map((step) => {
    const files = 'files' in step ? ` ${step.files.map(({ name }) => name).join(' ')}` : '';
    const generation = 'generation' in step ? ` ${step.generation}` : '';
    return `${step.do}${generation}${files}${step.do === 'complete' ? (step.replace ? ' in place' : ' beside') : ''}`.trimEnd();
  });

/** Commits one after the other; the steps of the last one. */
function after(...commits: Partial<Commit>[]) {
  let record = empty;
  let plan = planCommit(record, commit(1));
  commits.forEach((given, i) => {
    plan = planCommit(record, commit(i + 1, given));
    record = plan.record;
  });
  return { ...plan, told: told(plan.steps) };
}

describe('a commit', () => {
  test('writes rows of no open generation where readers see them', () => {
    const { told, record } = after({ staged: [file(1, 'a'), file(1, 'b')] });
    expect(told).toEqual(['write a b']);
    expect(record).toMatchObject({ epoch: 7, seq: 1, generations: { 'public.orders': 1 }, open: {} });
  });

  test('keeps rows of an open generation apart, whichever commit brings them, until it completes', () => {
    expect(after({ begun: [begin(2)], staged: [file(2, 'a')] }).told).toEqual(['fill 2 a']);
    const more = after({ begun: [begin(2)] }, { staged: [file(2, 'a')] });
    expect(more.told).toEqual(['fill 2 a']);
    expect(more.record.open).toEqual({ 'public.orders#2': 2 });
    const done = after({ begun: [begin(2)] }, { staged: [file(2, 'a')], completed: [complete(2)] });
    expect(done.told).toEqual(['fill 2 a', 'complete 2 in place']);
    expect(done.record.open).toEqual({});
  });

  test('makes the table of a generation that has no rows, so that it can replace the old one', () => {
    expect(after({ begun: [begin(2)], completed: [complete(2)] }).told).toEqual(['fill 2', 'complete 2 in place']);
  });

  test('adds a generation beside what is there if none has to leave', () => {
    expect(after({ begun: [begin(2, 0)], staged: [file(2, 'a')], completed: [complete(2)] }).told).toEqual(['fill 2 a', 'complete 2 beside']);
  });

  test('drops the table of a generation that gives way, and the rows of it that come with this commit', () => {
    const plan = after({ begun: [begin(2)], staged: [file(2, 'a')] }, { begun: [begin(3)], staged: [file(2, 'late'), file(3, 'b')] });
    expect(plan.told).toEqual(['drop 2', 'fill 3 b']);
    expect(plan.unseen.map(({ name }) => name)).toEqual(['late']);
  });

  test('neither writes nor shows what the same commit replaces', () => {
    const plan = after({ staged: [file(1, 'old'), file(2, 'a'), file(3, 'b')], begun: [begin(2), begin(3)], completed: [complete(2), complete(3)] });
    expect(plan.told).toEqual(['fill 3 b', 'complete 3 in place']);
    expect(plan.unseen.map(({ name }) => name)).toEqual(['old', 'a']);
  });

  test('drops the table of an open generation that ends in the commit in which another replaces it', () => {
    const plan = after({ begun: [begin(2)], staged: [file(2, 'a')] }, { begun: [begin(3)], completed: [complete(2), complete(3)] });
    expect(plan.told).toEqual(['fill 3', 'drop 2', 'complete 3 in place']);
    expect(plan.record.open).toEqual({});
  });

  test('leaves nothing out where a history is kept: what was visible for the time of a commit has its versions, too', () => {
    const given = { staged: [file(1, 'old'), file(2, 'a'), file(3, 'b')], begun: [begin(2), begin(3)], completed: [complete(2), complete(3)] };
    const plan = planCommit(empty, commit(1, given), () => true);
    expect(told(plan.steps)).toEqual(['write old', 'fill 2 a', 'fill 3 b', 'complete 2 in place', 'complete 3 in place']);
    expect(plan.unseen).toEqual([]);
  });

  test('goes on with a generation that is begun again', () => {
    const plan = after({ begun: [begin(2)], staged: [file(2, 'a')] }, { begun: [begin(2)], staged: [file(2, 'b')] });
    expect(plan.told).toEqual(['fill 2 b']);
  });

  test('retires the state of a stream that starts over: it tells of rows that leave', () => {
    const state = JSON.stringify({ type: 'STREAM', stream: { stream_descriptor: orders, stream_state: { at: 1 } } });
    const plan = after({ staged: [file(1, 'a')], states: [state] }, { begun: [begin(2)] });
    expect(plan.retired).toEqual([state]);
  });

  test('refuses a generation below the one that the warehouse holds', () => {
    expect(() => after({ begun: [begin(5)], completed: [complete(5)] }, { begun: [begin(4)] })).toThrow(/Generations only rise/);
  });
});
