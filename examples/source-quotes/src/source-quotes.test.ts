import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';

const bin = fileURLToPath(new URL('../bin/source-quotes.js', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'source-quotes-'));
const all = Array.from({ length: 5 }, (_, i) => ({ id: i + 1, quote: `q${i + 1}`, author: 'a' }));
let server: Server;
let status = 200;
let url: string;

beforeAll(async () => {
  server = createServer((request, response) => {
    const query = new URL(request.url!, 'http://x').searchParams;
    const skip = Number(query.get('skip'));
    response.writeHead(status).end(JSON.stringify({ quotes: all.slice(skip, skip + Number(query.get('limit'))), total: all.length }));
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.close();
  rmSync(folder, { recursive: true });
});

function file(name: string, content: unknown): string {
  writeFileSync(join(folder, name), JSON.stringify(content));
  return join(folder, name);
}
const run = (...args: string[]): Promise<{ code: number; messages: Record<string, any>[] }> =>
  new Promise((resolve) =>
    execFile(process.execPath, [bin, ...args], (error, stdout) =>
      resolve({ code: Number(error?.code ?? 0), messages: stdout.split('\n').slice(0, -1).map((line) => JSON.parse(line) as Record<string, any>) })));
const catalog = { streams: [{ stream: { name: 'quotes', json_schema: {} }, sync_mode: 'incremental', destination_sync_mode: 'append' }] };
const config = (): string => file('config.json', { url, page_size: 2 });

test('spec, check and discover answer', async () => {
  expect((await run('spec')).messages[0]).toMatchObject({ type: 'SPEC', spec: { connectionSpecification: { properties: { token: { airbyte_secret: true } } } } });
  expect((await run('check', '--config', config())).messages[0]).toMatchObject({ connectionStatus: { status: 'SUCCEEDED' } });
  expect((await run('discover', '--config', config())).messages[0]).toMatchObject({ catalog: { streams: [{ name: 'quotes' }] } });
});

test('reads page by page, with a state after each', async () => {
  const { code, messages } = await run('read', '--config', config(), '--catalog', file('catalog.json', catalog));
  const told = messages.flatMap(({ type, record, state }) => (type === 'RECORD' ? [record.data.id] : type === 'STATE' ? [`read ${state.stream.stream_state.read}`] : []));
  expect([code, told]).toEqual([0, [1, 2, 'read 2', 3, 4, 'read 4', 5, 'read 5']]);
});

test('goes on where a state says', async () => {
  const state = [{ type: 'STREAM', stream: { stream_descriptor: { name: 'quotes' }, stream_state: { read: 4 } } }];
  const { messages } = await run('read', '--config', config(), '--catalog', file('catalog.json', catalog), '--state', file('state.json', state));
  expect(messages.flatMap(({ record }) => record?.data.id ?? [])).toEqual([5]);
});

test.each([[401, 78], [404, 78], [503, 75]])('an answer of %i is an exit of %i', async (answer, exit) => {
  status = answer;
  expect((await run('read', '--config', config(), '--catalog', file('catalog.json', catalog))).code).toBe(exit);
  status = 200;
});
