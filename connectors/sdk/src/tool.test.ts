import { describe, expect, test } from 'vitest';
import { catalog, scratch, session, start, type Finished } from './fixtures/start.js';

const run = (tool: string, ...args: readonly string[]) => start('source-tools', 'tool', tool, '--config', scratch().file('c.json', {}), ...args);
const results = ({ messages }: Pick<Finished, 'messages'>) => messages.filter(({ type }) => type === 'TAPLINE').map(({ tapline }) => (tapline as { result: unknown }).result);

describe('a tool', () => {
  test('gets configuration, arguments, catalog and session, and each object that it yields is a RESULT', async () => {
    const files = scratch();
    const finished = await run('echo', '--args', files.file('a.json', { x: 1 }), '--catalog', files.file('k.json', catalog), '--session', files.file('s.json', session())).finished;
    expect(finished.code).toBe(0);
    expect(finished.messages[1]).toEqual({ type: 'TAPLINE', tapline: { type: 'RESULT', result: { last: true } } });
    expect(results(finished)).toEqual([{ config: { host: 'h' }, args: { x: 1 }, streams: 2, sync: 's' }, { last: true }]);
  });

  test('can be asked while it runs, and ends when nothing more will be asked', async () => {
    const child = run('sum').send('1');
    await child.until((messages) => messages.length === 1);
    const finished = await child.send('2').end().finished;
    expect([finished.code, results(finished)]).toEqual([0, [{ sum: 1 }, { sum: 3 }]]);
  });

  test('that fails says why, behind what it has yielded', async () => {
    const finished = await run('refuse').finished;
    expect(finished.code).toBe(78);
    expect(finished.messages.map(({ type }) => type)).toEqual(['TAPLINE', 'TRACE']);
    expect(finished.messages[1]!['trace'].error.message).toBe('the slot is in use: stop the sync first');
  });

  test('stops at once on SIGTERM', async () => {
    const child = run('sum').send('1');
    await child.until((messages) => messages.length === 1);
    expect((await child.kill('SIGTERM').finished).code).toBe(143);
  });

  test.each([[['tool'], 'say which tool: echo, sum, refuse'], [['tool', 'ecko'], "'ecko' is not a tool of source-tools: echo, sum, refuse"], [['tool', 'echo'], 'tool needs --config FILE']])('%j is refused: %s', async (args, message) => {
    const { code, stdout, stderr } = await start('source-tools', ...args).finished;
    expect([code, stdout]).toEqual([78, '']);
    expect(stderr).toContain(message);
  });

  test('is no verb of a connector that has none', async () => {
    const { code, stderr } = await start('source-counter', 'tool', 'echo', '--config', 'c.json').finished;
    expect(code).toBe(78);
    expect(stderr).toContain("'tool' is not a verb of source-counter");
  });
});

test('the spec advertises the tools', async () => {
  const { messages } = await start('source-tools', 'spec').finished;
  expect(messages[0]!['spec'].tapline).toEqual({ version: 1, extensions: ['end'], tools: ['echo', 'sum', 'refuse'] });
});
