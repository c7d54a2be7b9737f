import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const blocks = [...readFileSync(`${root}docs/connectors.md`, 'utf8').matchAll(/```ts (\S+) of (\S+)\n(.*?)```/gs)];

test('the documentation quotes the examples', () => expect(blocks.length).toBeGreaterThan(3));

test.each(blocks.map(([, file, folder, code]) => ({ path: `${folder}/src/${file}`, code: code! })))('word for word: $path', ({ path, code }) => {
  expect(readFileSync(root + path, 'utf8')).toContain(code);
});
