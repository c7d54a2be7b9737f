import { describe, expect, test } from 'vitest';
import { objectOf, Random, randomJson, randomText } from './fixtures/random.js';
import { mergeStates, stateBodyOf, stateLine, summarizeState, tagState, untagState, withDestinationStats } from './state.js';

const big = '18446744073709551614';
const streamBody = (name: string, state: string): string => `{"type":"STREAM","stream":{"stream_descriptor":{"name":"${name}"},"stream_state":${state}}}`;

describe('a tagged state', () => {
  test('gives back the source\'s bytes, whatever they are', () => {
    const random = new Random(5);
    for (let i = 0; i < 20_000; i++) {
      const members: [string, string][] = Array.from({ length: random.below(5) }, () => [`_${randomText(random)}`, randomJson(random, 2)]);
      if (random.below(2)) members.splice(random.below(members.length + 1), 0, ['sourceStats', `{"recordCount":${random.pick(['7', '7.0', 'null'])}}`]);
      const body = objectOf(random, members);
      const tagged = tagState(body, 917, 5);
      expect((JSON.parse(tagged) as { id: number }).id).toBe(917);
      expect(untagState(tagged)).toBe(body);
    }
  });

  test('keeps digits that a double would damage', () => {
    const body = `{"data":{"lsn":${big},"x":12345678901234567890.123456789}}`;
    expect(tagState(body, 1, 0)).toContain(`"lsn":${big},"x":12345678901234567890.123456789`);
    expect(untagState(tagState(body, 1, 0))).toBe(body);
  });

  test('carries the count where the source sent none', () => {
    expect(summarizeState(tagState('{"data":{}}', 3, 12))).toMatchObject({ id: 3, sourceCount: 12 });
  });

  test('leaves the counts of the source alone, also where they come first', () => {
    const body = '{"sourceStats":{"recordCount":7},"data":{}}';
    expect(summarizeState(tagState(body, 3, 12))).toMatchObject({ id: 3, sourceCount: 7 });
    expect(untagState(tagState(body, 3, 12))).toBe(body);
  });

  test.each([
    ['first', '{"id":"own","data":{"id":1}}', '{"data":{"id":1}}'],
    ['in the middle', '{"a":1, "id" : {"id":2} ,"data":{"id":1}}', '{"a":1, "data":{"id":1}}'],
    ['last', '{"data":{"id":1} , "id":9}', '{"data":{"id":1} }'],
    ['alone', '{"id":9}', '{}'],
    ['twice', '{"id":1,"a":2,"id":3}', '{"a":2}'],
    ['escaped', '{"\\u0069d":1,"a":2}', '{"a":2}'],
  ])('takes out an id of the source\'s own that stands %s', (_where, body, without) => {
    const tagged = tagState(body, 917, 0);
    expect(JSON.parse(tagged)).toEqual({ id: 917, sourceStats: { recordCount: 0 }, ...(JSON.parse(without) as object) });
    expect(untagState(tagged).replaceAll(' ', '')).toBe(without.replaceAll(' ', ''));
  });

  test.each(['{}', '{ }', '{"type":null}'])('may be empty: %s', (body) => {
    expect(JSON.parse(tagState(body, 1, 2))).toMatchObject({ id: 1, sourceStats: { recordCount: 2 } });
    expect(untagState(tagState(body, 1, 2))).toBe(body);
  });
});

test('a state that was never tagged passes untagState as it is', () => {
  for (const body of ['{}', streamBody('a', big), '{"sourceStats":{"recordCount":7},"data":1}']) expect(untagState(body)).toBe(body);
});

test('the destination\'s count goes before the closing brace, and the last one counts', () => {
  expect(withDestinationStats('{}', 2)).toBe('{"destinationStats":{"recordCount":2}}');
  expect(withDestinationStats(`{"data":${big}} `, 2)).toBe(`{"data":${big},"destinationStats":{"recordCount":2}}`);
  expect(summarizeState(withDestinationStats('{"data":{},"destinationStats":null}', 2)).destinationCount).toBe(2);
  expect(withDestinationStats('{}', 2, 3)).toBe('{"destinationStats":{"recordCount":2,"nulledValues":3}}');
  expect(withDestinationStats('{}', 2, 0)).toBe(withDestinationStats('{}', 2));
  expect([withDestinationStats('{"data":{}}', 2, 3), withDestinationStats('{"data":{}}', 2), '{"data":{},"destinationStats":{"nulledValues":"3"}}'].map((body) => summarizeState(body).nulledValues)).toEqual([3, undefined, undefined]);
});

describe('the body of a STATE line', () => {
  test('is taken out byte for byte, whatever the order of keys', () => {
    const body = ` { "data" : {"type":"RECORD","lsn":${big}} } `.trim();
    expect(stateBodyOf(Buffer.from(`{"state":${body},"type":"STATE"}`))).toBe(body);
    expect(stateBodyOf(Buffer.from(stateLine(body)))).toBe(body);
  });
  test.each(['{"type":"STATE"}', '{"type":"STATE","state":[]}', '{"type":"LOG","state":{}}', 'STATE'])('that is none is a protocol error: %s', (line) => {
    expect(() => stateBodyOf(Buffer.from(line))).toThrow(expect.objectContaining({ code: 'protocol' }) as Error);
  });
});

describe('the summary of a state', () => {
  test.each([
    ['STREAM', streamBody('a.b', '1'), { kind: 'STREAM', key: '"a.b"' }],
    ['GLOBAL', '{"type":"GLOBAL","global":{"stream_states":[]}}', { kind: 'GLOBAL', key: '' }],
    ['LEGACY', '{"type":"LEGACY","data":{}}', { kind: 'LEGACY', key: '' }],
    ['without a type', '{"data":{"format":"base64/gzip"}}', { kind: 'LEGACY' }],
    ['with nulls', '{"type":null,"stream":null,"global":null,"data":{},"sourceStats":null,"id":null}', { kind: 'LEGACY', id: undefined }],
    ['without a type, of a stream', '{"stream":{"stream_descriptor":{"name":"a"}}}', { kind: 'STREAM', key: 'a' }],
    ['with float counts', '{"data":{},"sourceStats":{"recordCount":7.0}}', { sourceCount: 7 }],
    ['with an id of its own', '{"data":{},"id":"abc"}', { kind: 'LEGACY', id: undefined }],
  ])('%s', (_what, body, expected) => expect(summarizeState(body)).toMatchObject(expected));

  test.each(['{"type":"STREAM"}', '{"type":"OTHER"}', '[]', '{'])('refuses what is none: %s', (body) => {
    expect(() => summarizeState(body)).toThrow(expect.objectContaining({ code: 'protocol' }) as Error);
  });
});

describe('merging', () => {
  test('keeps one state a stream, the last, byte for byte', () => {
    const states = [streamBody('a', '1'), streamBody('b', big), streamBody('a', big)].reduce<string[]>((all, next) => mergeStates(all, next), []);
    expect(states).toEqual([streamBody('b', big), streamBody('a', big)]);
  });
  test('keeps only the last GLOBAL or LEGACY state', () => {
    expect(mergeStates(['{"data":1}'], '{"data":2}')).toEqual(['{"data":2}']);
    expect(mergeStates([streamBody('a', '1')], '{"type":"GLOBAL","global":{"stream_states":[]}}')).toHaveLength(1);
  });
  test('refuses a STREAM state after another kind', () => {
    expect(() => mergeStates(['{"data":1}'], streamBody('a', '1'))).toThrow('a STATE of type STREAM follows one of type LEGACY');
  });
});
