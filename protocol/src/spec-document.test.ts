/** SPEC.md and the tests that it names belong together. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { Session, TaplineBody } from './extension.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const text = readFileSync(`${root}protocol/SPEC.md`, 'utf8');

interface Rule {
  readonly id: string;
  readonly text: string;
  /** `[file, title]` */
  readonly tests: readonly (readonly [string, string])[];
}

const rules: Rule[] = [...text.matchAll(/^- \*\*([A-Z]\d+)\*\* (.*?)(?=^- \*\*|^#|$(?![\s\S]))/gms)].map(([, id, body]) => {
  const [law, held = ''] = body!.split('*Held by*');
  const tests = [...held.matchAll(/`([^`]+)`: ((?:"[^"]+"(?:; )?)+)/g)].flatMap(([, file, titles]) =>
    [...titles!.matchAll(/"([^"]+)"/g)].map(([, title]) => [file!, title!] as const));
  return { id: id!, text: law!, tests };
});

test('SPEC.md has rules, numbered without gaps', () => {
  expect(rules.length).toBeGreaterThan(40);
  const next = new Map<string, number>();
  for (const { id } of rules) {
    const letter = id[0]!;
    next.set(letter, (next.get(letter) ?? 0) + 1);
    expect(id).toBe(`${letter}${next.get(letter)}`);
  }
});

describe.each(rules)('rule $id', ({ text: law, tests }) => {
  test('says what must or should be, and names a test', () => {
    expect(law).toMatch(/\b(MUST|SHOULD|MAY)\b|\bmeans\b|TRACE ERROR/);
    expect(tests.length).toBeGreaterThan(0);
  });

  test.each(tests)('is held by a test that exists: %s: %s', (file, title) => {
    const source = readFileSync(root + file, 'utf8').replaceAll("\\'", "'");
    expect([`'${title}'`, `"${title}"`].some((quoted) => source.includes(quoted))).toBe(true);
  });
});

test('every extension message of the code is shown, and what is shown is valid', () => {
  const samples = /```json\n(.*?)```/s.exec(text)![1]!.split(/\n(?=\{)/).map((sample) => JSON.parse(sample) as Record<string, unknown>);
  const bodies = samples.filter((sample) => sample['type'] === 'TAPLINE').map((sample) => TaplineBody.parse(sample['tapline']));
  expect(bodies.map(({ type }) => type).sort()).toEqual(['BATCH', 'END', 'GENERATION', 'LAG', 'OPENED', 'RESULT', 'SCHEMA', 'START']);
  Session.parse(samples.find((sample) => sample['version'] === 1));
});
