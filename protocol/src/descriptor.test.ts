import { expect, test } from 'vitest';
import { streamKey } from './descriptor.js';
import { Random, randomText } from './fixtures/random.js';

test('plain names stand bare, others in quotes', () => {
  expect(streamKey({ namespace: 'public', name: 'orders' })).toBe('public.orders');
  expect(streamKey({ namespace: 'public', name: 'dot.ted' })).toBe('public."dot.ted"');
  expect(streamKey({ name: 'say "hi"' })).toBe('"say ""hi"""');
  expect(streamKey({ namespace: '2', name: '' })).toBe('"2".""');
});

test('an absent, null and empty namespace are the same', () => {
  expect(new Set([streamKey({ name: 'a' }), streamKey({ name: 'a', namespace: null }), streamKey({ name: 'a', namespace: '' })]).size).toBe(1);
});

test('names that differ in case only have different keys', () => {
  expect(streamKey({ name: 'Orders' })).not.toBe(streamKey({ name: 'orders' }));
});

test('no two streams share a key', () => {
  const random = new Random(6);
  const parts = ['a', 'b', '.', '"', '""', 'a.b', '"."', '', ' ', '$', '1', 'é'];
  const part = (): string => (random.below(5) === 0 ? randomText(random) : random.pick(parts) + random.pick(parts) + random.pick(parts));
  const seen = new Map<string, string>();
  for (let i = 0; i < 100_000; i++) {
    const stream = { namespace: part(), name: part() };
    const identity = JSON.stringify([stream.namespace, stream.name]);
    const key = streamKey(stream);
    expect(seen.get(key) ?? identity).toBe(identity);
    seen.set(key, identity);
  }
});
