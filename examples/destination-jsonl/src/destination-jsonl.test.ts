import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';

const bin = fileURLToPath(new URL('../bin/destination-jsonl.js', import.meta.url));
const record = (id: number): string => JSON.stringify({ type: 'RECORD', record: { stream: 'orders', namespace: 'public', emitted_at: 1, data: { id } } });
const state = JSON.stringify({ type: 'STATE', state: { type: 'LEGACY', data: {} } });
const complete = JSON.stringify({
  type: 'TRACE', trace: { type: 'STREAM_STATUS', emitted_at: 1, stream_status: { stream_descriptor: { name: 'orders', namespace: 'public' }, status: 'COMPLETE' } },
});

function lake(): { write(mode: string, generation: number | undefined, ...lines: string[]): Promise<{ code: number | null; states: number }>; rows(): string } {
  const folder = mkdtempSync(join(tmpdir(), 'destination-jsonl-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return {
    async write(mode, generation, ...lines) {
      const stream = { name: 'orders', namespace: 'public', json_schema: {} };
      writeFileSync(join(folder, 'config.json'), JSON.stringify({ folder: join(folder, 'lake') }));
      writeFileSync(join(folder, 'catalog.json'), JSON.stringify({ streams: [{ stream, sync_mode: 'full_refresh', destination_sync_mode: mode, generation_id: generation }] }));
      const child = spawn(process.execPath, [bin, 'write', '--config', join(folder, 'config.json'), '--catalog', join(folder, 'catalog.json')], { stdio: ['pipe', 'pipe', 'inherit'] });
      child.stdin.end(`${lines.join('\n')}\n`);
      let out = '';
      child.stdout.on('data', (data: Buffer) => (out += data.toString()));
      const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
      return { code, states: out.split('\n').filter((line) => line.includes('"STATE"')).length };
    },
    rows() {
      const path = join(folder, 'lake/public/orders.jsonl');
      return existsSync(path) ? readFileSync(path, 'utf8').replaceAll(/\{"id":(\d+)\}\n/g, '$1 ') : 'none';
    },
  };
}

test('appends, and sends states back', async () => {
  const { write, rows } = lake();
  expect(await write('append', undefined, record(1), state, record(2), complete)).toEqual({ code: 0, states: 1 });
  expect(await write('append', undefined, record(3), state, complete)).toEqual({ code: 0, states: 1 });
  expect(rows()).toBe('1 2 3 ');
});

test('keeps nothing of what follows the last state of an interrupted run', async () => {
  const { write, rows } = lake();
  await write('append', undefined, record(1), state, record(2));
  expect(rows()).toBe('1 ');
});

test('an overwrite shows when it is complete, not before', async () => {
  const { write, rows } = lake();
  await write('overwrite', 1, record(1), complete);
  await write('overwrite', 2, record(2), state);
  expect(rows()).toBe('1 ');
  await write('overwrite', 2, record(3), complete);
  expect(rows()).toBe('2 3 ');
});

test('without generations an overwrite begins anew each time', async () => {
  const { write, rows } = lake();
  await write('overwrite', undefined, record(1), state);
  await write('overwrite', undefined, record(2), complete);
  expect(rows()).toBe('2 ');
});
