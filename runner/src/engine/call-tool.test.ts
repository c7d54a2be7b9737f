import { chmodSync, existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { ConnectorRef, Reporter } from '../types.js';
import { callTool, ToolCall, type ToolResult } from './call-tool.js';
import { connector, fast, folder } from './fixtures/syncs.js';

const quiet: Reporter = { progress: () => undefined, message: () => undefined };
const options = { reporter: quiet, timing: fast };

function scripted(script: string, tools: string[] = ['t']): ConnectorRef {
  const path = join(folder(), 'connector.mjs');
  writeFileSync(path, `#!/usr/bin/env node\nconst tell = (result) => console.log(JSON.stringify({ type: 'TAPLINE', tapline: { type: 'RESULT', result } }));\n${script}\n`);
  chmodSync(path, 0o755);
  return { ...connector('source', {}), command: path, args: [], label: 'scripted', shippedSpec: { connectionSpecification: {}, tapline: { version: 1, extensions: [], tools } } };
}

async function all(results: AsyncIterable<ToolResult>): Promise<ToolResult[]> {
  const list: ToolResult[] = [];
  for await (const result of results) list.push(result);
  return list;
}

describe('a tool', () => {
  test('is given its arguments and the sync as files, and its results come in order', async () => {
    const ref = scripted(`
      import { readFileSync } from 'node:fs';
      const flags = process.argv.slice(2);
      const read = (name) => JSON.parse(readFileSync(flags[flags.indexOf(name) + 1], 'utf8'));
      tell({ words: flags.slice(0, 2), args: read('--args'), sync: read('--session').sync, file: flags[3] });
      tell({ last: true });`);
    const [first, last] = await all(callTool(ref, 't', { ...options, args: { a: 1 }, sync: { name: 'shop', identity: '' } }));
    expect(first).toMatchObject({ words: ['tool', 't'], args: { a: 1 }, sync: 'shop' });
    expect(last).toEqual({ last: true });
    expect(existsSync(String(first!['file']))).toBe(false);
  });

  test('can be talked with: it answers one question before the next is asked', async () => {
    const ref = scripted(`
      import { createInterface } from 'node:readline';
      for await (const line of createInterface({ input: process.stdin })) tell({ twice: 2 * JSON.parse(line).n });`);
    const call = await ToolCall.start(ref, 't', options);
    onTestFinished(() => call[Symbol.asyncDispose]());
    const results = call.results();
    await call.send({ n: 1 });
    expect((await results.next()).value).toEqual({ twice: 2 });
    await call.send({ n: 5 });
    expect((await results.next()).value).toEqual({ twice: 10 });
    call.end();
    expect((await results.next()).done).toBe(true);
  });

  test('that fails rejects with its own error', async () => {
    const ref = scripted(`console.log(JSON.stringify({ type: 'TRACE', trace: { type: 'ERROR', emitted_at: 0, error: { message: 'slot in use', failure_type: 'config_error' } } })); process.exit(78);`);
    await expect(all(callTool(ref, 't', options))).rejects.toMatchObject({ kind: 'config_error', message: 'slot in use' });
  });

  test('that dies without a word is a death like any other', async () => {
    await expect(all(callTool(scripted('process.exit(3)'), 't', options))).rejects.toMatchObject({ kind: 'system_error', code: 'died' });
  });

  test('that takes too long is ended, with a transient_error', async () => {
    await expect(all(callTool(scripted('setInterval(() => {}, 1000)'), 't', { ...options, limitMs: 200 }))).rejects.toMatchObject({ code: 'verb_timeout' });
  });

  test('that the spec does not offer is a config_error, and nothing is started', async () => {
    await expect(all(callTool(scripted('', []), 't', options))).rejects.toMatchObject({ kind: 'config_error', code: 'no_tool' });
  });
});
