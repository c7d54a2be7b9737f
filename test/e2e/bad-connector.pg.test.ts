import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { fakeSource, type FakeSource } from '../harness/fake-connector.js';
import { rowsOf } from '../harness/lake.js';
import { isGone } from '../harness/processes.js';
import type { Outcome } from '../harness/tapline.js';
import { explain, workspace, type Workspace } from '../harness/workspace.js';

const sync = ['--mode', 'items=incremental:id', '--sync', 'fake'];

async function runFake(at: Workspace, fake: FakeSource, args: readonly string[] = sync): Promise<Outcome> {
  const source = await fakeSource(at.directory, fake);
  return at.sync(['--source', source, ...args]);
}

const ids = async (at: Workspace) => (await readItems(at)).map((row) => Number(row['id'])).sort((a, b) => a - b);
/** No namespace, no folder. */
async function readItems(at: Workspace) {
  const { readParquet } = await import('../harness/parquet.js');
  const keys = (await at.lake.keys()).filter((key) => key.startsWith('items/') && key.endsWith('.parquet'));
  return (await Promise.all(keys.map(async (key) => (await readParquet(await at.lake.read(key))).rows))).flat();
}

describe('a connector that misbehaves', () => {
  test('a good one of somebody else’s works: the control of this file', async () => {
    const at = await workspace();
    const outcome = await runFake(at, { read: `status('STARTED'); record({ id: 1, word: 'a' }); record({ id: 2, word: 'b' }); state({ id: 2 }); status('COMPLETE');` });
    expect(outcome.exitCode, explain(outcome)).toBe(0);
    expect(outcome.summary).toMatchObject({ status: 'succeeded', records: 2, streams: [{ name: 'items', status: 'succeeded', records: 2 }] });
    expect(await ids(at)).toEqual([1, 2]);
    expect(await rowsOf(at.lake, '', 'items')).toEqual([]);
  });

  test('one that prints garbage is warned about once, shortened and redacted, and its records arrive', async () => {
    const at = await workspace();
    const config = join(at.directory, 'config.json');
    await writeFile(config, JSON.stringify({ api_key: 'sk-very-secret' }));
    const outcome = await runFake(
      at,
      {
        spec: `send('SPEC', { spec: { connectionSpecification: { type: 'object', properties: { api_key: { type: 'string', airbyte_secret: true } } } } });`,
        read: `for (let i = 0; i < 500; i++) line('Traceback: garbage ' + i); line('key sk-very-secret ' + 'y'.repeat(5000)); line('{"not a message": "of-a-row"}'); line('[1,2]'); line('');
        record({ id: 1, word: 'a' }); line('more garbage'); state({ id: 1 });`,
      },
      [...sync, '--source-config', config],
    );
    expect(outcome.exitCode, explain(outcome)).toBe(0);
    expect(await ids(at)).toEqual([1]);
    expect(outcome.stderr).toMatch(/garbage/);
    expect(outcome.stderr.length, 'warned once, not 500 times').toBeLessThan(5000);
    expect(outcome.stderr).not.toContain('sk-very-secret');
    expect(outcome.stderr).not.toContain('of-a-row');
  });

  test('an unknown type of message is warned about, and the run goes on', async () => {
    const at = await workspace();
    const outcome = await runFake(at, { read: `line('{"type":"DEBUG","debug":{"a":1}}'); line('{"type":"TELEGRAM"}'); record({ id: 1 }); state({ id: 1 });` });
    expect(outcome.exitCode, explain(outcome)).toBe(0);
    expect(outcome.stderr).toContain('DEBUG');
    expect(await ids(at)).toEqual([1]);
  });

  test('half a line at the end is 76, even with exit 0, and what its last STATE covers is kept', async () => {
    const at = await workspace();
    const outcome = await runFake(at, { read: `if (!saved) { record({ id: 1 }); state({ id: 1 }); record({ id: 2 }); } raw('{"type":"RECORD","record":{"stream":"items","data":{"id":3');` });
    expect(outcome.exitCode, explain(outcome)).toBe(76);
    expect(await ids(at)).toEqual([1]);
    const next = await runFake(at, { read: `for (let id = (saved?.id ?? 0) + 1; id <= 3; id++) record({ id }); state({ id: 3 });` });
    expect(next.exitCode, explain(next)).toBe(0);
    expect(await ids(at)).toEqual([1, 2, 3]);
  });

  test('a whole message without a final newline is a message', async () => {
    const at = await workspace();
    const outcome = await runFake(at, { read: `record({ id: 1 }); raw(JSON.stringify({ type: 'STATE', state: { type: 'STREAM', stream: { stream_descriptor: { name: 'items' }, stream_state: { id: 1 } } } }));` });
    expect(outcome.exitCode, explain(outcome)).toBe(0);
    expect(await ids(at)).toEqual([1]);
  });

  test.each(['spec', 'check', 'discover'] as const)('one that says nothing to %s is 76', async (verb) => {
    const at = await workspace();
    const source = await fakeSource(at.directory, { [verb]: `;` });
    const args = verb === 'spec' ? ['spec', source] : [verb, '--source', source, ...(verb === 'check' ? ['--dest', at.lake.uri] : [])];
    const outcome = await at.run(args);
    expect(outcome.exitCode, explain(outcome)).toBe(76);
    expect(outcome.stderr + outcome.stdout).toMatch(new RegExp(`${verb}.*no message`));
  });

  test('one that reads nothing has nothing: succeeded, no rows', async () => {
    const at = await workspace();
    const outcome = await runFake(at, { read: `;` });
    expect(outcome.exitCode, explain(outcome)).toBe(0);
    expect(outcome.summary).toMatchObject({ status: 'succeeded', records: 0, streams: [{ name: 'items', records: 0 }] });
  });

  test('one that says too much on both outputs is drained, and its data arrive', async () => {
    const at = await workspace();
    const outcome = await runFake(at, {
      read: `const noise = 'n'.repeat(1e5); for (let i = 0; i < 300; i++) { fs.writeSync(2, noise + '\\n'); send('LOG', { log: { level: 'INFO', message: noise } }); }
        record({ id: 1, word: 'w'.repeat(30e6) }); state({ id: 1 });`,
    });
    expect(outcome.exitCode, explain(outcome)).toBe(0);
    expect((await readItems(at)).map((row) => String(row['word']).length)).toEqual([30e6]);
  });

  test('one that dies at once without a word is tried once more, then 1, and the message tells its last words', async () => {
    const at = await workspace();
    const outcome = await runFake(at, { read: `fs.appendFileSync('${at.directory}/starts', 'x'); console.error('cannot find libfoo'); process.exit(3);` });
    expect(outcome.exitCode, explain(outcome)).toBe(1);
    expect(outcome.summary).toMatchObject({ status: 'failed', error: { kind: 'system_error' } });
    expect(outcome.summary?.error?.message).toMatch(/exit(ed)?.*3/);
    expect(outcome.stderr + outcome.stdout).toContain('cannot find libfoo');
    expect(await readFile(join(at.directory, 'starts'), 'utf8')).toBe('xx');
  });

  test('one that dies in the middle goes on from its last STATE, and no row is lost or doubled', async () => {
    const at = await workspace();
    const outcome = await runFake(at, {
      read: `for (let id = (saved?.id ?? 0) + 1; id <= 100; id++) { record({ id, word: 'w' + id }); if (id % 10 === 0) { state({ id }); await sleep(20); } if (id === 55 && !saved) process.kill(process.pid, 'SIGKILL'); } status('COMPLETE');`,
    });
    expect(outcome.exitCode, explain(outcome)).toBe(0);
    expect(outcome.summary, 'a retry counted once').toMatchObject({ records: 100 });
    expect(await ids(at)).toEqual(Array.from({ length: 100 }, (_, i) => i + 1));
  });

  test('one that dies after COMPLETE has failed, and the next run still gives every row once', async () => {
    const at = await workspace();
    const outcome = await runFake(at, { read: `for (let id = (saved?.id ?? 0) + 1; id <= 5; id++) record({ id }); state({ id: 5 }); status('COMPLETE'); process.kill(process.pid, 'SIGKILL');` });
    expect(outcome.exitCode, explain(outcome)).toBe(1);
    const next = await runFake(at, { read: `for (let id = (saved?.id ?? 0) + 1; id <= 5; id++) record({ id }); state({ id: 5 }); status('COMPLETE');` });
    expect(next.exitCode, explain(next)).toBe(0);
    expect(await ids(at)).toEqual([1, 2, 3, 4, 5]);
  });

  test('its own TRACE ERROR decides: config_error is 78 at once, transient_error is retried and then 75, system_error 1', async () => {
    const at = await workspace();
    const failing = (kind: string) => ({ read: `fs.appendFileSync('${at.directory}/${kind}', 'x'); fail('${kind}', 'It says: ${kind}'); process.exit(1);` });
    const starts = async (kind: string) => (await readFile(join(at.directory, kind), 'utf8')).length;
    const config = await runFake(at, failing('config_error'));
    expect(config.exitCode, explain(config)).toBe(78);
    expect(config.summary).toMatchObject({ error: { kind: 'config_error', message: expect.stringContaining('It says: config_error') as string } });
    expect(await starts('config_error')).toBe(1);
    const transient = await runFake(at, failing('transient_error'), [...sync, '--retries', '1']);
    expect(transient.exitCode, explain(transient)).toBe(75);
    expect(await starts('transient_error')).toBe(2);
    const system = await runFake(at, failing('system_error'));
    expect(system.exitCode, explain(system)).toBe(1);
  });

  test('a check that fails with exit 0 is a failed check: 78 and its message', async () => {
    const at = await workspace();
    const source = await fakeSource(at.directory, { check: `send('CONNECTION_STATUS', { connectionStatus: { status: 'FAILED', message: 'the token is expired' } });` });
    const outcome = await at.run(['check', '--source', source, '--dest', at.lake.uri]);
    expect(outcome.exitCode, explain(outcome)).toBe(78);
    expect(outcome.stdout + outcome.stderr).toContain('the token is expired');
  });

  test('one that ignores SIGTERM is killed after its grace of 10 s, and what it had said is kept', async () => {
    const at = await workspace();
    const source = await fakeSource(at.directory, {
      read: `process.on('SIGTERM', () => {}); process.on('SIGINT', () => {}); fs.writeFileSync('${at.directory}/pid', String(process.pid));
        for (let id = (saved?.id ?? 0) + 1; ; id++) { record({ id }); if (id % 100 === 0) state({ id }); await sleep(1); }`,
    });
    const run = at.startSync(['--source', source, ...sync]);
    await run.connectors();
    await new Promise((resolve) => setTimeout(resolve, 1500));
    const began = Date.now();
    run.kill('SIGINT');
    const outcome = await run.done;
    expect(outcome.exitCode, explain(outcome)).toBe(130);
    expect(Date.now() - began).toBeGreaterThan(5_000);
    expect(Date.now() - began).toBeLessThan(20_000);
    expect(isGone(Number(await readFile(join(at.directory, 'pid'), 'utf8')))).toBe(true);
    const kept = await ids(at);
    expect(kept.length % 100).toBe(0);
    expect(kept).toEqual(kept.map((_, i) => i + 1));
  });
});
