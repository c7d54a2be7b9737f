import { describe, expect, test } from 'vitest';
import { Session, TaplineBody } from './extension.js';

const descriptor = { name: 'orders', namespace: 'public' };

describe('every extension message is understood', () => {
  test.each<[string, unknown]>([
    ['START', { type: 'START', source: 'pg:1/shop' }],
    ['END', { type: 'END' }],
    ['OPENED with nothing', { type: 'OPENED', epoch: 1, checkpoint: null }],
    ['OPENED with a checkpoint', { type: 'OPENED', epoch: 8, checkpoint: { state_id: 917, source: 'pg:1/shop', states: ['{"type":"STREAM"}'], generations: { 'public.orders': 3 }, open_generations: { 'public.orders': 4 } } }],
    ['BATCH', { type: 'BATCH', stream_descriptor: descriptor, path: '000017.parquet', format: 'parquet', columns: ['id'], schema_version: 4, rows: 65536, bytes: 8812345, emitted_at: 1730000000000 }],
    ['SCHEMA', { type: 'SCHEMA', schema_version: 4, stream: { name: 'orders' } }],
    ['GENERATION begin', { type: 'GENERATION', stream_descriptor: descriptor, generation_id: 4, minimum_generation_id: 4, phase: 'begin' }],
    ['GENERATION complete', { type: 'GENERATION', stream_descriptor: descriptor, generation_id: 4, minimum_generation_id: 0, phase: 'complete' }],
    ['RESULT', { type: 'RESULT', result: { rows: 1 } }],
    ['LAG', { type: 'LAG', bytes: 1024, seconds: 0.5 }],
  ])('%s', (_what, body) => {
    expect(TaplineBody.parse({ ...(body as object), added_later: 1 })).toMatchObject({ added_later: 1 });
  });
});

test('a batch is a file of its folder, with rows', () => {
  const batch = { type: 'BATCH', stream_descriptor: descriptor, path: '000017.parquet', format: 'parquet', columns: ['id', 'Id', ''], rows: 1, bytes: 9, emitted_at: 1 };
  expect(TaplineBody.safeParse(batch).success).toBe(true);
  for (const broken of [
    ...['', '.', '..', '../x', '/x', 'a/b', 'a\\b', '.hidden', 'nul\0'].map((path) => ({ path })),
    { rows: 0 }, { rows: 1.5 }, { bytes: -1 }, { format: 'csv' }, { columns: [1] },
  ]) expect([broken, TaplineBody.safeParse({ ...batch, ...broken }).success]).toEqual([broken, false]);
});

test('a body of an unknown type, or without what its meaning needs, is refused', () => {
  for (const body of [{ type: 'LATER' }, { type: 'OPENED', epoch: 1 }, { type: 'GENERATION', stream_descriptor: descriptor, generation_id: 1, phase: 'begin' }, { type: 'BATCH', path: 'x' }]) {
    expect(TaplineBody.safeParse(body).success).toBe(false);
  }
});

test('a session is of version 1, and may carry more than is known today', () => {
  const session = { version: 1, run_id: 'r', sync: 's', source: '', extensions: ['ack'], continuous: false };
  expect(Session.parse({ ...session, later: true, flush: { ms: 1000, bytes: 1 }, selection: ['public.*', '!public.log'] })).toMatchObject({ later: true });
  expect(Session.safeParse({ ...session, version: 2 }).success).toBe(false);
  expect(Session.safeParse({ ...session, extensions: undefined }).success).toBe(false);
});
