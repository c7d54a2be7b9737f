import { describe, expect, test } from 'vitest';
import { objectOf, Random, randomJson, randomText } from './fixtures/random.js';
import { decodeString, forEachMember, scanEnvelope, skipString, skipValue } from './scan.js';

const bytes = (text: string): Buffer => Buffer.from(text);

describe('skipString', () => {
  test('finds the end whatever stands around the border of its short loop', () => {
    for (let length = 40; length < 56; length++) {
      for (const middle of ['', '\\"', '\\\\', '\\\\\\"', '\\\\\\\\', '\\u0022']) {
        const literal = `"${'x'.repeat(length)}${middle}${'y'.repeat(3)}"`;
        expect(skipString(bytes(`${literal},"z"`), 0)).toBe(literal.length);
        const long = `"${'x'.repeat(length)}${middle}${'y'.repeat(100)}${middle}"`;
        expect(skipString(bytes(`${long} "`), 0)).toBe(long.length);
      }
    }
  });
  test('says -1 of a string without an end, also of one whose last quote is escaped', () => {
    for (const text of ['"', '"abc', '"abc\\"', `"${'x'.repeat(46)}\\"`, `"${'x'.repeat(47)}\\"`, `"${'x'.repeat(100)}\\\\\\"`]) {
      expect(skipString(bytes(text), 0)).toBe(-1);
    }
  });
  test('is linear in backslashes', () => {
    const literal = `"${'\\\\'.repeat(2_000_000)}${'\\"'.repeat(200_000)}"`;
    const began = performance.now();
    expect(skipString(bytes(literal), 0)).toBe(literal.length);
    expect(performance.now() - began).toBeLessThan(1000);
  });
});

test('nesting has no limit', () => {
  const text = `${'[{"a":'.repeat(200_000)}1${'}]'.repeat(200_000)}`;
  expect(skipValue(bytes(text), 0)).toBe(text.length);
});

test('brackets must match in kind', () => {
  expect(skipValue(bytes('{"a":[}]'), 0)).toBe(-1);
  expect(skipValue(bytes('[1}'), 0)).toBe(-1);
});

describe('fuzzed against JSON.parse', () => {
  test('every value ends where it ends', () => {
    const random = new Random(1);
    for (let i = 0; i < 20_000; i++) {
      const json = randomJson(random);
      const text = bytes(`${json},"next":1`);
      expect(skipValue(text, 0)).toBe(Buffer.byteLength(json));
    }
  });

  test('members are the same, in the same order, duplicates and escaped keys included', () => {
    const random = new Random(2);
    for (let i = 0; i < 20_000; i++) {
      const members = Array.from({ length: random.below(5) }, () => [randomText(random), randomJson(random, 2)] as const);
      const text = bytes(objectOf(random, members));
      const seen: [string, string][] = [];
      expect(forEachMember(text, 0, (key, start, end) => void seen.push([key, text.toString('utf8', start, end)]))).toBe(text.length);
      expect(seen).toEqual(members);
      expect(Object.fromEntries(seen.map(([key, value]) => [key, JSON.parse(value) as unknown]))).toEqual(JSON.parse(text.toString()));
    }
  });

  test('the type is the top-level one, wherever it stands and whatever is nested', () => {
    const random = new Random(3);
    const types = ['RECORD', 'STATE', 'TRACE', 'LOG', 'TAPLINE', 'DEBUG'];
    const body: Record<string, string> = { RECORD: 'record', STATE: 'state', TRACE: 'trace', LOG: 'log', TAPLINE: 'tapline', DEBUG: 'debug' };
    for (let i = 0; i < 20_000; i++) {
      const type = random.pick(types);
      const value = objectOf(random, [['type', `"${random.pick(types)}"`], [randomText(random), randomJson(random, 2)]]);
      const members: (readonly [string, string])[] = [['type', `"${type}"`], [body[type]!, value], [`${randomText(random)}_`, randomJson(random, 2)], ['"type":"STATE"', '1']];
      members.sort(() => random.next() - 0.5);
      const line = bytes(objectOf(random, members));
      const envelope = scanEnvelope(line)!;
      expect(envelope.type).toBe(type);
      if (type === 'DEBUG') expect(envelope.bodyStart).toBe(-1);
      else expect(line.toString('utf8', envelope.bodyStart, envelope.bodyEnd)).toBe(value);
    }
  });

  test('a line that JSON.parse takes for a message is never refused, however it was damaged', () => {
    const random = new Random(4);
    let damaged = 0;
    for (let i = 0; i < 40_000; i++) {
      const line = bytes(objectOf(random, [['type', '"RECORD"'], ['record', randomJson(random, 2)]]));
      for (let n = 1 + random.below(2); n > 0; n--) line[random.below(line.length)] = random.pick([0x22, 0x5c, 0x7b, 0x7d, 0x5b, 0x5d, 0x2c, 0x3a, 0x20, 0x31]);
      const cut = random.below(3) === 0 ? line.subarray(0, random.below(line.length)) : line;
      let parsed: unknown;
      try {
        parsed = JSON.parse(cut.toString());
      } catch {
        damaged++;
        expect(() => scanEnvelope(cut)).not.toThrow();
        continue;
      }
      const isMessage = typeof parsed === 'object' && parsed !== null && typeof (parsed as { type?: unknown }).type === 'string';
      expect(scanEnvelope(cut) !== undefined).toBe(isMessage);
    }
    expect(damaged).toBeGreaterThan(10_000);
  });
});

describe('an envelope', () => {
  test.each(['', ' ', 'null', '"type"', '[]', '{}', '{"type":1}', '{"type":"STATE"', '{"type":"STATE"}x', '{"type":"STATE",}', 'INFO {"type":"LOG"}'])(
    'is not found in %j', (line) => expect(scanEnvelope(bytes(line))).toBeUndefined());
  test('is found around any white space, and in the last of two types, as JSON.parse does', () => {
    expect(scanEnvelope(bytes(' {"type":"LOG","type":"STATE" , "state" : {} }\r'))).toMatchObject({ type: 'STATE' });
  });
  test('has no body where the body is no object', () => {
    expect(scanEnvelope(bytes('{"type":"STATE","state":"x"}'))).toEqual({ type: 'STATE', bodyStart: -1, bodyEnd: -1 });
  });
});

test('a string that is no valid literal decodes to its raw text', () => {
  expect(decodeString(bytes('"a\\x"'), 0, 5)).toBe('a\\x');
  expect(decodeString(bytes('"\\u00e9"'), 0, 8)).toBe('é');
});
