import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { armFailpoints, failpoint } from './failpoint.js';

const program = fileURLToPath(new URL('../dist/fixtures/passes-failpoints.js', import.meta.url));

async function pass(...specs: string[]): Promise<{ passages: number; code: number | null; signal: string | null; pid: number }> {
  const child = spawn(process.execPath, [program, ...specs], { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.on('data', (data: Buffer) => (text += data.toString()));
  const [code, signal] = await new Promise<[number | null, string | null]>((resolve) => child.on('close', (...ended) => resolve(ended)));
  return { passages: text.split('\n').length - 1, code, signal, pid: child.pid! };
}

test('unarmed, a failpoint does nothing', async () => {
  failpoint('here');
  expect(await pass('elsewhere:kill')).toMatchObject({ passages: 5, code: 0 });
});

test.each([
  ['here:kill', 0, null, 'SIGKILL'],
  ['here@3:kill', 2, null, 'SIGKILL'],
  ['here@2:exit', 1, 1, null],
])('%s ends the process after %i passages', async (spec, passages, code, signal) => {
  expect(await pass(spec)).toMatchObject({ passages, code, signal });
});

test('stop stops the process, and it goes on when it is woken', async () => {
  const child = spawn(process.execPath, [program, 'here@2:stop'], { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  let text = '';
  child.stdout.on('data', (data: Buffer) => (text += data.toString()));
  const ended = new Promise((resolve) => child.on('close', resolve));
  while (text === '') await new Promise((resolve) => setTimeout(resolve, 10));
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect([text, child.exitCode]).toEqual(['1\n', null]);
  child.kill('SIGCONT');
  expect([await ended, text]).toEqual([0, '1\n2\n3\n4\n5\n']);
});

test('with a marker it acts once over all processes, and the marker names whom', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'tapline-failpoint-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const spec = `here@2:kill>${join(folder, 'fired')}`;
  const first = await pass(spec);
  expect(first).toMatchObject({ passages: 1, signal: 'SIGKILL' });
  expect(readFileSync(join(folder, 'fired'), 'utf8')).toBe(`${first.pid}\n`);
  expect(await pass(spec)).toMatchObject({ passages: 5, code: 0 });
});

test('a failpoint that cannot be understood is refused', () => {
  for (const spec of ['here', 'here:die', 'here@x:kill', ':kill']) expect(() => armFailpoints([spec])).toThrow(`failpoint '${spec}'`);
});
