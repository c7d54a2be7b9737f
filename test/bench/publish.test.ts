import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { publish } from './publish.js';

const machine = { cpus: 2, model: 'A processor', memoryBytes: 24 * 2 ** 30, node: 'v20.20.2' };
const result = (at: string, wall: string): string =>
  JSON.stringify({ at, commit: '1234abc', machine, title: '10 rows', table: [['', 'wall'], ['cat | cat', wall]], notes: ['by hand'], bars: ['Reached: it'] });

test('a page gets the newest result of each scenario, with the machine, and keeps what has none', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'tapline-publish-'));
  onTestFinished(() => rm(dir, { recursive: true }));
  const file = join(dir, 'page.md');
  await writeFile(join(dir, 'scale-rows-2026-11-21T09-00-00-000Z.json'), result('2026-11-21T09:00:00.000Z', '2.00 s'));
  await writeFile(join(dir, 'scale-rows-2026-11-21T10-00-00-000Z.json'), result('2026-11-21T10:00:00.000Z', '1.00 s'));
  await writeFile(file, 'Words.\n\n<!-- bench scale-rows -->\nNot run yet.\n<!-- /bench -->\n\n<!-- bench scale -->\nNot run yet.\n<!-- /bench -->\n');
  await publish({ file, from: dir });
  expect(await readFile(file, 'utf8')).toBe(`Words.

<!-- bench scale-rows -->
10 rows. 2026-11-21, 1234abc, 2 cores (A processor), 24 GB, Node 20.20.2.

|  | wall |
|---|---:|
| cat \\| cat | 1.00 s |

- Reached: it
- by hand
<!-- /bench -->

<!-- bench scale -->
Not run yet.
<!-- /bench -->
`);
});
