import { toJsonSchema, parseLogicalType } from '@tapline/catalog';
import { describe, expect, it } from 'vitest';
import { planColumns } from './column-plan.js';
import { RecordWalker, withoutExponent } from './walk-record.js';

/** A small generator with a seed, so that a failure can be run again. */
function generator(seed: number) {
  let state = seed;
  const next = (): number => (state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9) >>> 0) / 2 ** 32;
  const below = (n: number): number => Math.floor(next() * n);
  const pick = <T>(items: readonly T[]): T => items[below(items.length)]!;
  return { below, pick };
}

const names = ['a', 'b', 'A', 'type', 'record', 'data', 'é', '', 'a"b', '\\', '_airbyte_raw_id', 'x', 'y', '__proto__'];
const texts = ['', 'plain', 'é日本', '"', '\\', '\\"', '\u0000', '\n', '}{][,:', '{"type":"STATE"}', '\u2028', '😀', 'a'.repeat(60), `${'\\'.repeat(9)}"`];

function randomJson(random: ReturnType<typeof generator>, depth: number): string {
  const space = (): string => random.pick(['', '', '', ' ', '\t', ' \r ']);
  const text = (): string => {
    const raw = random.pick(texts);
    return random.below(2) === 0 ? JSON.stringify(raw) : `"${Array.from({ length: raw.length }, (_, i) => `\\u${raw.charCodeAt(i).toString(16).padStart(4, '0')}`).join('')}"`;
  };
  const kind = random.below(depth > 0 ? 6 : 4);
  if (kind === 0) return random.pick(['true', 'false', 'null']);
  if (kind === 1) return random.pick(['0', '-1', '1.5', '1e3', '-0', '12345678901234567890.5', '5E-324']);
  if (kind <= 3) return text();
  const items = Array.from({ length: random.below(4) }, () => randomJson(random, depth - 1));
  if (kind === 4) return `[${space()}${items.join(`${space()},${space()}`)}${space()}]`;
  return object(items.map((item) => [random.pick(names), item]), space);
}

const object = (members: readonly (readonly [string, string])[], space: () => string): string =>
  `{${space()}${members.map(([name, value]) => `${JSON.stringify(name)}${space()}:${space()}${value}`).join(`${space()},${space()}`)}${space()}}`;

describe('the walker', () => {
  const declared = ['a', 'A', 'type', 'é', '', 'a"b'];
  const plan = planColumns({ name: 's', json_schema: { properties: Object.fromEntries(declared.map((name) => [name, toJsonSchema(parseLogicalType('text')!)])) } });
  const walker = new RecordWalker(plan);

  it('drops a field that the user left out, and keeps one that nobody declared', () => {
    const chosen = planColumns({ name: 's', json_schema: { properties: { a: toJsonSchema(parseLogicalType('text')!) } }, tapline: { left_out: ['secret'] } });
    const walked = new RecordWalker(chosen).walk(Buffer.from('{"type":"RECORD","record":{"stream":"s","data":{"a":"1","secret":"x","other":2}}}'), true);
    if (typeof walked === 'string') throw new Error(walked);
    expect(walked.line).not.toContain('secret');
    expect(walked.undeclared).toEqual(['other']);
  });

  it('gives what JSON.parse gives, whatever the order of members, white space and escapes', () => {
    for (let seed = 1; seed <= 3000; seed++) {
      const random = generator(seed);
      const space = (): string => random.pick(['', '', ' ', '\t']);
      const data = object(Array.from({ length: random.below(8) }, () => [random.pick(names), randomJson(random, 3)] as const), space);
      const body = object([['stream', '"s"'], ['data', data], ['emitted_at', '17']].sort(() => random.below(3) - 1) as [string, string][], space);
      const line = object(random.below(2) === 0 ? [['type', '"RECORD"'], ['record', body]] : [['record', body], ['type', '"RECORD"']], space);
      const walked = walker.walk(Buffer.from(line), true);
      if (typeof walked === 'string') throw new Error(`seed ${seed}: ${walked}: ${line}`);

      const parsed = JSON.parse(data) as Record<string, unknown>;
      const { record } = JSON.parse(Buffer.from(walked.line, 'latin1').toString()) as { record: { data: Record<string, string | null>; extra?: string; emitted_at: number } };
      expect(record.emitted_at).toBe(17);
      for (const [i, { field }] of plan.columns.entries()) {
        const value = Object.hasOwn(parsed, field) ? parsed[field] : null;
        const got = record.data[`c${i}`] ?? null;
        // Text lands as it is; anything else as its JSON text.
        if (typeof value === 'string' || value === null) expect(got, `seed ${seed} ${field}`).toBe(value);
        else expect(JSON.parse(got!), `seed ${seed} ${field}`).toEqual(value);
      }
      const extra = Object.fromEntries(Object.entries(parsed).filter(([name]) => !declared.includes(name)));
      expect(JSON.parse(record.extra ?? '{}'), `seed ${seed}`).toEqual(extra);
    }
  });

  it('takes no line that JSON.parse refuses', () => {
    for (let seed = 1; seed <= 3000; seed++) {
      const random = generator(seed);
      const line = `{"type":"RECORD","record":{"stream":"s","emitted_at":1,"data":{"a":${randomJson(random, 2)},"q":${randomJson(random, 2)}}}}`;
      const at = random.below(line.length);
      const broken = line.slice(0, at) + random.pick(['', '}', '"', '\\', ',', 'x', '\u0001', ']', '{']) + line.slice(at + random.below(2));
      let valid = true;
      try {
        JSON.parse(broken);
      } catch {
        valid = false;
      }
      if (!valid) expect(walker.walk(Buffer.from(broken), true), `seed ${seed}: ${broken}`).toSatisfy((result) => typeof result === 'string');
    }
  });
});

describe('withoutExponent', () => {
  it.each([['1e3', '1000'], ['-1.25E+1', '-12.5'], ['1.5e-3', '0.0015'], ['12e-1', '1.2'], ['0e0', '0'], ['1e9999', '1e9999'], ['abc', 'abc'], ['1.50', '1.50']])('%s is %s', (text, plainText) => {
    expect(withoutExponent(text)).toBe(plainText);
  });
});
