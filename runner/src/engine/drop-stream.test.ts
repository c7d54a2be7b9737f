import { describe, expect, test } from 'vitest';
import { dropStream, entryOf, withEntry } from './drop-stream.js';

const entry = (name: string, state: string): string => `{"stream_descriptor":{"name":"${name}"}, "stream_state":${state}}`;
const global = (...entries: string[]): string => `{"type":"GLOBAL","global":{"stream_states":[ ${entries.join(' , ')} ],"shared_state":12345678901234567890}}`;
const [a, b] = [entry('a', '1.0'), entry('b', '2.50')];

describe('a GLOBAL state', () => {
  test('loses the entry of a stream, and nothing else of its bytes', () => {
    expect(dropStream([global(a, b)], 'a')).toEqual([`{"type":"GLOBAL","global":{"stream_states":[ ${b} ],"shared_state":12345678901234567890}}`]);
    expect(dropStream([global(a, b)], 'c')).toEqual([global(a, b)]);
  });
  test('goes with its last entry; one that never had any stays', () => {
    expect(dropStream([global(a)], 'a')).toEqual([]);
    expect(dropStream([global()], 'a')).toEqual([global()]);
  });
  test('takes an entry in the place of the stream’s own, behind the others, or as the first', () => {
    const other = entry('a', '9');
    expect(withEntry(global(a, b), 'a', other)).toBe(global(other, b));
    expect(JSON.parse(withEntry(global(b), 'a', other))).toMatchObject({ global: { stream_states: [{ stream_state: 2.5 }, { stream_state: 9 }] } });
    expect(withEntry(global(b), 'a', other)).toContain('12345678901234567890');
    expect(JSON.parse(withEntry(global(), 'a', other))).toMatchObject({ global: { stream_states: [{ stream_state: 9 }] } });
  });
});

test('the entry of a stream is the same text in a GLOBAL and in a STREAM state', () => {
  expect(entryOf(global(a, b), 'b')).toBe(b);
  expect(entryOf(`{"type":"STREAM","stream":${b}}`, 'b')).toBe(b);
  expect([entryOf(global(a), 'b'), entryOf(`{"type":"STREAM","stream":${a}}`, 'b'), entryOf('{"data":{}}', 'b')]).toEqual([undefined, undefined, undefined]);
});
