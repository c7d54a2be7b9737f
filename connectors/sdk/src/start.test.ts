import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { catalog, scratch, session, start } from './fixtures/start.js';

const START = { type: 'TAPLINE', tapline: { type: 'START', source: 'counter:2' } };

function reader(config: object = {}) {
  const files = scratch();
  const journal = `${files.path}/journal`;
  const child = start('source-counter', 'read',
    '--config', files.file('c.json', { journal, tell_prepare: true, ...config }), '--catalog', `${files.path}/k.json`, '--state', `${files.path}/s.json`,
    '--session', files.file('x.json', session({ extensions: ['start', 'ack', 'end'] })));
  const prepared = (): string[] => (existsSync(journal) ? readFileSync(journal, 'utf8').split('\n').filter((line) => line.startsWith('"prepared')) : []);
  const isPrepared = async (): Promise<void> => {
    while (prepared().length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  };
  return { files, child, isPrepared, prepared };
}

describe('with start in its session a connector', () => {
  test('prepares itself, says nothing, and reads catalog and states only once START has come', async () => {
    const { files, child, isPrepared, prepared } = reader();
    await isPrepared();
    expect([child.stdout, prepared()]).toEqual(['', ['"prepared for s"']]);
    files.file('k.json', { streams: catalog.streams.slice(0, 1) });
    files.file('s.json', [{ type: 'STREAM', stream: { stream_descriptor: { name: 'one', namespace: 'n' }, stream_state: { n: 2 } } }]);
    child.send(START).end();
    const { code, messages } = await child.finished;
    expect([code, messages.flatMap(({ record }) => (record ? [record.data] : []))]).toEqual([0, [{ n: 3 }]]);
  });

  test('finds what follows START on its stdin, and the identity of the source in its session', async () => {
    const files = scratch();
    const child = start('destination-raw', 'write', '--config', files.file('c.json', {}), '--catalog', files.file('k.json', { streams: catalog.streams.slice(0, 1) }), '--session', files.file('x.json', session({ extensions: ['start', 'checkpoint'], source: '' })));
    const state = (n: number) => `{"type":"STATE","state":{"type":"LEGACY","data":${n}}}`;
    const text = `${JSON.stringify(START)}\n${state(1)}\n${state(2)}`;
    // START in two pieces, the second of which holds more than its end.
    child.process.stdin!.write(text.slice(0, 20));
    await new Promise((resolve) => setTimeout(resolve, 50));
    child.process.stdin!.write(text.slice(20));
    child.send('').end();
    const { code, stdout } = await child.finished;
    expect([code, stdout.split('\n')]).toEqual([0, ['{"type":"TAPLINE","tapline":{"type":"OPENED","epoch":1,"checkpoint":null,"told":"counter:2"}}', state(1), state(2), '']]);
  });

  test('goes without a word when its stdin ends before START', async () => {
    expect(await reader().child.end().finished).toMatchObject({ code: 0, stdout: '' });
  });

  test('goes at once when it is told to before START', async () => {
    const { child, isPrepared } = reader();
    await isPrepared();
    expect(await child.kill('SIGTERM').finished).toMatchObject({ code: 143, stdout: '' });
  });

  test('tells what it could not prepare where it meets it, not before', async () => {
    const { files, child, isPrepared } = reader({ behaviour: 'config_error' });
    await isPrepared();
    files.file('k.json', catalog);
    files.file('s.json', []);
    const { code, messages } = await child.send(START).end().finished;
    expect([code, messages.flatMap(({ record }) => (record ? [record.data] : []))]).toEqual([78, [{ n: 1 }, { n: 2 }]]);
  });

  test('refuses another first line: the protocol is broken', async () => {
    const { code, messages } = await reader().child.send('{"type":"STATE","state":{}}').end().finished;
    expect([code, messages[0]!['trace'].error.message]).toEqual([76, expect.stringContaining('is not START')]);
  });
});
