import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { fakeDestination, fakeSource, type FakeDestination } from '../harness/fake-connector.js';
import { until } from '../harness/processes.js';
import type { Outcome } from '../harness/tapline.js';
import { explain, workspace, type Workspace } from '../harness/workspace.js';

/** Ten records, a STATE after every second one; goes on where it is told to. */
const ten = `for (let id = (saved?.id ?? 0) + 1; id <= 10; id++) { record({ id }); if (id % 2 === 0) state({ id }); }`;

async function run(at: Workspace, fake: FakeDestination, args: readonly string[] = []): Promise<Outcome> {
  const source = await fakeSource(at.directory, { read: ten });
  const destination = await fakeDestination(at.directory, fake);
  return at.sync(['--source', source, '--dest', destination, '--sync', 'fake', '--mode', 'items=incremental:id', ...args]);
}

const stateOf = async (at: Workspace): Promise<unknown[]> =>
  ((await at.state('fake'))['states'] as string[]).map((state) => (JSON.parse(state) as { stream: { stream_state: unknown } }).stream.stream_state);

describe('a destination of somebody else', () => {
  test('that sends every STATE back is believed, and gets only what the protocol has', async () => {
    const at = await workspace();
    const outcome = await run(at, { line: `fs.appendFileSync('${at.directory}/got', text + '\\n'); if (message.type === 'STATE') echo();` });
    expect(outcome.exitCode, explain(outcome)).toBe(0);
    expect(outcome.summary).toMatchObject({ status: 'succeeded', records: 10 });
    expect(await stateOf(at)).toEqual([{ id: 10 }]);
    const types = (await readFile(join(at.directory, 'got'), 'utf8')).trim().split('\n').map((line) => (JSON.parse(line) as { type: string }).type);
    expect([...new Set(types)].sort()).toEqual(['RECORD', 'STATE', 'TRACE']);
    expect((await run(at, {})).summary).toMatchObject({ records: 0 });
  });

  test('that loses the id and every unknown field of a STATE is matched by what is left', async () => {
    const at = await workspace();
    const outcome = await run(at, { line: `if (message.type === 'STATE') { const { type, stream } = message.state; line(JSON.stringify({ state: { stream, type }, type: 'STATE' })); }` });
    expect(outcome.exitCode, explain(outcome)).toBe(0);
    expect(await stateOf(at)).toEqual([{ id: 10 }]);
  });

  test('that exits 0 without sending the states back has broken the protocol: 76, nothing is saved beyond what it said', async () => {
    const at = await workspace();
    const outcome = await run(at, { line: `if (message.type === 'STATE' && message.state.stream.stream_state.id <= 4) echo();` });
    expect(outcome.exitCode, explain(outcome)).toBe(76);
    expect(await stateOf(at)).toEqual([{ id: 4 }]);
    const next = await run(at, {});
    expect(next.exitCode, explain(next)).toBe(0);
    expect(next.summary).toMatchObject({ records: 6 });
  });

  test('that sends back a state it never got is told, and that state is not saved', async () => {
    const at = await workspace();
    const outcome = await run(at, { begin: `send('STATE', { state: { type: 'STREAM', stream: { stream_descriptor: { name: 'strangers' }, stream_state: { id: 99 } } } });` });
    expect([0, 76], explain(outcome)).toContain(outcome.exitCode);
    expect(JSON.stringify(await stateOf(at))).not.toContain('99');
  });

  test('that dies in the middle costs a retry, which goes on after the last state it sent back', async () => {
    const at = await workspace();
    const outcome = await run(at, {
      line: `if (message.type === 'RECORD') fs.appendFileSync('${at.directory}/rows', message.record.data.id + ' ');
        if (message.type === 'STATE') { echo(); if (message.state.stream.stream_state.id === 4 && !fs.existsSync('${at.directory}/died')) { fs.writeFileSync('${at.directory}/died', ''); await sleep(300); process.kill(process.pid, 'SIGKILL'); } }`,
    });
    expect(outcome.exitCode, explain(outcome)).toBe(0);
    expect(outcome.summary, 'a retry counted once').toMatchObject({ records: 10 });
    expect((await readFile(join(at.directory, 'rows'), 'utf8')).trim().split(' ').map(Number)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  });

  test('that dies at once, prints garbage first, or says half a line', async () => {
    const at = await workspace();
    const dead = await run(at, { begin: `console.error('no licence'); process.exit(9);` });
    expect(dead.exitCode, explain(dead)).toBe(1);
    expect(dead.stderr + dead.stdout).toContain('no licence');
    const garbage = await run(at, { begin: `line('WARNING: starting'); line('{"half": ');` });
    expect(garbage.exitCode, explain(garbage)).toBe(0);
    const half = await run(await workspace(), { end: `raw('{"type":"STATE","state":{');` });
    expect(half.exitCode, explain(half)).toBe(76);
  });

  test('whose TRACE ERROR says config_error ends the run at once, with its words and 78', async () => {
    const at = await workspace();
    const outcome = await run(at, { line: `fail('config_error', 'the table is read-only: grant INSERT'); process.exit(1);` });
    expect(outcome.exitCode, explain(outcome)).toBe(78);
    expect(outcome.summary?.error).toMatchObject({ kind: 'config_error', message: expect.stringContaining('grant INSERT') as string });
  });

  test('that takes its time holds the source back: nothing piles up in the runner', async () => {
    const at = await workspace();
    const source = await fakeSource(at.directory, { read: `for (let id = 1; id <= 2000; id++) { record({ id, word: 'w'.repeat(50000) }); fs.appendFileSync('${at.directory}/sent', '.'); } state({ id: 2000 });` });
    const destination = await fakeDestination(at.directory, { begin: `while (!fs.existsSync('${at.directory}/go')) await sleep(20);` });
    const running = at.startSync(['--source', source, '--dest', destination, '--sync', 'slow']);
    const sentSoFar = async () => (await readFile(join(at.directory, 'sent'), 'utf8').catch(() => '')).length;
    await until('the source sends', async () => (await sentSoFar()) > 0);
    await new Promise((resolve) => setTimeout(resolve, 1000));
    const sent = await sentSoFar();
    const resident = Number(/VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${running.pid}/status`, 'utf8'))?.[1]);
    await writeFile(join(at.directory, 'go'), '');
    const outcome = await running.done;
    expect(outcome.exitCode, explain(outcome)).toBe(0);
    expect(outcome.summary).toMatchObject({ records: 2000 });
    expect(sent).toBeLessThan(2000);
    expect(resident, 'kB').toBeLessThan(200_000);
  });
});
