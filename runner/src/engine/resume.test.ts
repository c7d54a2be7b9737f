import { tagState, type Checkpoint } from '@tapline/protocol';
import { describe, expect, test } from 'vitest';
import type { Overrides } from '../store/overrides.js';
import type { StoredState } from '../store/stored-state.js';
import { resumeFrom, type ResumeQuestion } from './resume.js';

const body = (name: string, n: number): string => `{"type":"STREAM","stream":{"stream_descriptor":{"name":"${name}"},"stream_state":{"n":${n}}}}`;
const saved = (id: number, states: string[], source = 's'): StoredState => ({
  v: 1, state_id: id, run_id: 'r', epoch: 1, source, catalog_hash: '', saved_at: '', states, generations: {},
});
const held = (id: number, states: string[], source = 's'): Checkpoint => ({ state_id: id, source, states, generations: {} });
const ask = (question: Partial<ResumeQuestion>) => resumeFrom({
  sync: 'x', stored: undefined, checkpoint: null, source: 's', overrides: undefined, fullRefresh: false, fromDestination: false, ...question,
});
const overrides = (more: Partial<Overrides>): Overrides => ({ v: 1, written_at: '', replace: false, states: [], reset: [], applied: {}, ...more });

describe('destination first', () => {
  test('the same: go, with our own bytes', () => {
    const tagged = tagState(body('a', 1), 5, 2);
    expect(ask({ stored: saved(5, [body('a', 1)]), checkpoint: held(5, [tagged]) })).toEqual({ states: [body('a', 1)], stateId: 5, origin: 'runner' });
  });

  test('ahead, since we died before saving: take it, without our tag', () => {
    const tagged = tagState(body('a', 2), 6, 2);
    expect(ask({ stored: saved(5, [body('a', 1)]), checkpoint: held(6, [tagged]) })).toEqual({ states: [body('a', 2)], stateId: 6, origin: 'destination' });
  });

  test.each([['behind', held(4, [body('a', 0)])], ['empty', null]])('%s: a config_error that names both ways on', (_, checkpoint) => {
    expect(() => ask({ stored: saved(5, [body('a', 1)]), checkpoint })).toThrow(expect.objectContaining({ kind: 'config_error', message: expect.stringMatching(/--from-destination.*--full-refresh/) }));
  });

  test('--from-destination takes what it holds; so does --full-refresh, for streams that are not selected; ids rise all the same', () => {
    const question = { stored: saved(5, [body('a', 1)]), checkpoint: held(4, [body('a', 0)]) };
    expect(ask({ ...question, fromDestination: true })).toMatchObject({ states: [body('a', 0)], stateId: 5 });
    expect(ask({ ...question, fullRefresh: true })).toMatchObject({ states: [body('a', 0)], stateId: 5 });
    expect(ask({ ...question, fullRefresh: true, checkpoint: null })).toMatchObject({ states: [], stateId: 5 });
    expect(ask({ ...question, fullRefresh: true, source: 'other' })).toMatchObject({ states: [], stateId: 5 });
  });

  test('we have nothing: take it if the source is the same, or unknown', () => {
    expect(ask({ checkpoint: held(4, [body('a', 0)]) }).states).toEqual([body('a', 0)]);
    expect(ask({ checkpoint: held(4, [body('a', 0)], '') }).states).toEqual([body('a', 0)]);
    expect(() => ask({ checkpoint: held(4, [body('a', 0)], 'other') })).toThrow(/comes from another source.*--full-refresh/);
  });

  test('what one side dropped when a new generation began does not come back', () => {
    expect(ask({ stored: saved(5, [body('a', 1)]), checkpoint: held(5, [body('a', 1), body('b', 9)]) }).states).toEqual([body('a', 1)]);
    expect(ask({ stored: saved(5, [body('a', 1), body('b', 9)]), checkpoint: held(5, [body('a', 1)]) }).states).toEqual([body('a', 1)]);
    const global = (...names: string[]): string => `{"type":"GLOBAL","global":{"shared_state":1.0,"stream_states":[${names.map((name) => `{"stream_descriptor":{"name":"${name}"},"stream_state":{}}`).join(', ')}]}}`;
    expect(ask({ stored: saved(5, [global('a', 'b', 'c')]), checkpoint: held(5, [global('a', 'c')]) }).states).toEqual([global('a', 'c')]);
  });
});

test('no other source inherits our state', () => {
  expect(() => ask({ stored: saved(5, [body('a', 1)], 'other'), checkpoint: undefined })).toThrow(expect.objectContaining({ kind: 'config_error', code: 'other_source' }));
});

describe('what people set', () => {
  test('in full is all there is, however far the destination is', () => {
    const question = { stored: saved(5, [body('a', 1)]), checkpoint: null, overrides: overrides({ replace: true, states: [body('a', 0)] }) };
    expect(ask(question)).toEqual({ states: [body('a', 0)], stateId: 5, origin: 'override' });
  });

  test('of one stream overlays the rest', () => {
    const question = { stored: saved(5, []), checkpoint: held(6, [body('a', 1), body('b', 1)]), overrides: overrides({ states: [body('a', 0)] }) };
    expect(ask(question).states).toEqual([body('b', 1), body('a', 0)]);
  });
});
