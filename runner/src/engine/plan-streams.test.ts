import type { Checkpoint, ConfiguredStream } from '@tapline/protocol';
import { describe, expect, test } from 'vitest';
import type { StoredGeneration, StoredState } from '../store/stored-state.js';
import { planStreams, signatureOf, type PlanQuestion } from './plan-streams.js';

const body = (name: string): string => `{"type":"STREAM","stream":{"stream_descriptor":{"name":"${name}"},"stream_state":{}}}`;
const stream = (name: string, more: Partial<ConfiguredStream> = {}): ConfiguredStream => ({
  stream: { name, json_schema: {}, is_resumable: true }, sync_mode: 'full_refresh', destination_sync_mode: 'overwrite', ...more,
});
const incremental: Partial<ConfiguredStream> = { sync_mode: 'incremental', destination_sync_mode: 'append', cursor_field: ['id'] };
const held = (generations: Record<string, number>, open: Record<string, number> = {}): Checkpoint => ({
  state_id: 1, source: '', states: [], generations, open_generations: open,
});
const saved = (generations: Record<string, StoredGeneration>, states: string[] = []): StoredState => ({
  v: 1, state_id: 1, run_id: '', epoch: 1, source: '', catalog_hash: '', saved_at: '', states, generations,
});
const ask = (question: Partial<PlanQuestion>) => planStreams({
  streams: [stream('a')], states: [], stored: undefined, checkpoint: null, overrides: undefined, refresh: false, began: new Map(), ...question,
});

describe('a full refresh', () => {
  test('begins one generation above all that anybody knows; an overwrite drops the older ones, an append does not', () => {
    const signature = signatureOf(stream('a'));
    const stored = saved({ a: { id: 4, minimum: 4, complete: true, signature } });
    expect(ask({ stored, checkpoint: held({ a: 6 }) }).streams[0]).toMatchObject({ generation: { id: 7, minimum: 7, complete: false }, begin: true, fresh: true });
    const append = stream('a', { destination_sync_mode: 'append' });
    expect(ask({ streams: [append], checkpoint: held({ a: 6 }) }).streams[0]).toMatchObject({ generation: { id: 7, minimum: 0 } });
  });

  test('drops the state of the one before', () => {
    expect(ask({ states: [body('a'), body('b')], checkpoint: held({ a: 1 }) }).states).toEqual([body('b')]);
  });

  test('that was interrupted goes on with its generation from its state', () => {
    const plan = ask({ states: [body('a')], checkpoint: held({ a: 3 }, { a: 3 }) });
    expect([plan.states, plan.streams[0]]).toMatchObject([[body('a')], { generation: { id: 3, minimum: 3 }, begin: true, fresh: false }]);
  });

  test.each([
    ['has no state', {}, []],
    ['cannot be resumed', { stream: { name: 'a', json_schema: {}, is_resumable: false } }, [body('a')]],
  ] as const)('that was interrupted and %s begins anew', (_, more, states) => {
    const plan = ask({ streams: [stream('a', more as Partial<ConfiguredStream>)], states, checkpoint: held({ a: 3 }, { a: 3 }) });
    expect(plan.streams[0]).toMatchObject({ generation: { id: 4, minimum: 4 }, fresh: true });
  });

  test('without checkpoints never goes on with an overwrite: the destination has cleared the table', () => {
    const stored = saved({ a: { id: 2, minimum: 2, complete: false, signature: signatureOf(stream('a')) } }, [body('a')]);
    expect(ask({ stored, states: [body('a')], checkpoint: undefined }).streams[0]).toMatchObject({ generation: { id: 3 }, fresh: true });
  });

  test('that an earlier attempt of this run completed is done', () => {
    expect(ask({ checkpoint: held({ a: 3 }), began: new Map([['a', 3]]) }).streams[0]).toMatchObject({ done: true, begin: false });
    expect(ask({ checkpoint: held({ a: 3 }, { a: 3 }), began: new Map([['a', 3]]) }).streams[0]).toMatchObject({ done: false });
  });
});

describe('an incremental stream', () => {
  const streams = [stream('a', incremental)];
  const signature = signatureOf(streams[0]!);

  test('keeps its generation, 1 at first, and says nothing of it', () => {
    expect(ask({ streams }).streams[0]).toMatchObject({ generation: { id: 1, minimum: 0, complete: true }, begin: false, fresh: false });
    expect(ask({ streams, states: [body('a')], checkpoint: held({ a: 5 }) }).streams[0]).toMatchObject({ generation: { id: 5 }, begin: false });
  });

  test('with another cursor, or refreshed, or reset, starts over in a new one that replaces the old', () => {
    const stored = saved({ a: { id: 1, minimum: 0, complete: true, signature: 'incremental/append:["at"]' } });
    const anew = { generation: { id: 2, minimum: 2, complete: false }, begin: true, fresh: true };
    expect(ask({ streams, stored, states: [body('a')] })).toMatchObject({ states: [], streams: [anew] });
    const same = saved({ a: { id: 1, minimum: 0, complete: true, signature } });
    expect(ask({ streams, stored: same, states: [body('a')], refresh: true }).streams).toMatchObject([anew]);
    const overrides = { v: 1 as const, written_at: '', replace: false, states: [], reset: ['a'], applied: {} };
    expect(ask({ streams, stored: same, states: [body('a')], overrides }).streams).toMatchObject([anew]);
    expect(ask({ streams, stored: same, states: [body('a')], overrides: { ...overrides, applied: { a: 1 } }, checkpoint: held({ a: 1 }) }).streams).toMatchObject([{ begin: false }]);
  });

  test('whose refresh was meant but never heard of by the destination starts over', () => {
    const stored = saved({ a: { id: 2, minimum: 2, complete: false, signature } });
    expect(ask({ streams, stored, states: [body('a')], checkpoint: held({ a: 1 }) }).streams[0]).toMatchObject({ generation: { id: 3, minimum: 3 }, fresh: true });
  });

  test('whose refresh was interrupted goes on with it', () => {
    const stored = saved({ a: { id: 2, minimum: 2, complete: false, signature } });
    expect(ask({ streams, stored, states: [body('a')], checkpoint: held({ a: 2 }, { a: 2 }) }).streams[0]).toMatchObject({ generation: { id: 2, minimum: 2 }, begin: true, fresh: false });
  });
});

test('of a legacy state nothing can be taken out: if one stream starts over, all do', () => {
  const streams = [stream('a', incremental), stream('b', incremental)];
  const stored = saved({ a: { id: 1, minimum: 0, complete: true, signature: 'other' } });
  const plan = ask({ streams, stored, states: ['{"data":{"all":1}}'] });
  expect([plan.states, plan.streams.map(({ fresh }) => fresh)]).toEqual([[], [true, true]]);
});
