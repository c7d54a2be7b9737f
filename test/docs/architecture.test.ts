import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));
const text = readFileSync(`${root}docs/architecture.md`, 'utf8');
const named = [...text.matchAll(/\*`([^`]+)`: ((?:"[^"]+"(?:; )?)+)\*/g)].flatMap(([, file, titles]) =>
  [...titles!.matchAll(/"([^"]+)"/g)].map(([, title]) => [file!, title!] as const));

describe('docs/architecture.md', () => {
  test('names a test for each of its rules', () => {
    const rules = text.slice(text.indexOf('## The rules')).match(/^- /gm) ?? [];
    expect(rules.length).toBeGreaterThan(20);
    expect(named.length).toBeGreaterThanOrEqual(rules.length);
  });

  test.each(named)('%s: "%s" exists', (file, title) => {
    expect(readFileSync(root + file, 'utf8').replaceAll("\\'", "'")).toContain(title);
  });
});
