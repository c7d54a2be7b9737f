import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { runCommand } from '../services/run-command.js';
import { workspaceRoot } from '../services/workspace.js';

test('npm run demo moves a million rows, then only the changed ones, and leaves no process', async () => {
  const printed = await runCommand(process.execPath, [join(workspaceRoot, 'scripts', 'demo.mjs')]);
  expect(printed).toMatch(/1,055,250 records/);
  expect(printed).toMatch(/16,010 records/);
  // rows, flights, newer versions
  expect(printed).toMatch(/1016010 +1016000 +10\n/);
  expect(processesWith(join(workspaceRoot, '.cache', 'demo'))).toEqual([]);
  expect(processesWith('tapline-demo-')).toEqual([]);
}, 240_000);

function processesWith(word: string): string[] {
  const commands = readdirSync('/proc').filter((entry) => /^\d+$/.test(entry)).map((entry) => {
    try {
      return readFileSync(`/proc/${entry}/cmdline`, 'utf8').replaceAll('\0', ' ');
    } catch {
      return '';
    }
  });
  return commands.filter((command) => command.includes(word) && command.includes('postgres'));
}
