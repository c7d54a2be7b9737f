import { expect, test } from 'vitest';
import { statesIn } from './state-file.js';

const body = '{"type":"STREAM","stream":{"stream_descriptor":{"name":"a"},"stream_state":{"lsn": 12345678901234567890}}}';

test.each([
  ['one state', body],
  ['a --state file', `[ ${body} ]`],
  ['messages in an array', `[{"type":"STATE","state":${body}}]`],
  ['STATE lines', `{"type":"STATE","state":${body}}\n`],
  ['state show --json', `{"type":"state","sync":"x","states":[${body}]}`],
  ['state.json', JSON.stringify({ v: 1, states: [body] })],
])('%s is read, and the bytes of the state are kept', (_, text) => expect(statesIn(text, 'f')).toEqual([body]));

test('several STATE lines are several states', () => expect(statesIn(`{"type":"STATE","state":${body}}\n{"type":"STATE","state":${body}}\n`, 'f')).toEqual([body, body]));
test('a bare position belongs to the stream that was named', () => {
  expect(statesIn('{"id":1.0}', 'f', { name: 'a', namespace: 'n' })).toEqual(['{"type":"STREAM","stream":{"stream_descriptor":{"name":"a","namespace":"n"},"stream_state":{"id":1.0}}}']);
});
test.each([['[{"type":"STREAM"', 'not valid JSON'], ['hello', 'not valid JSON'], ['[1]', 'no STATE'], ['{"type":"STREAM"}', 'names no stream']])('%j is a config_error', (text, message) => {
  expect(() => statesIn(text, 'f')).toThrow(expect.objectContaining({ kind: 'config_error', message: expect.stringContaining(message) as string }));
});
