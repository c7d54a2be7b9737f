import { spawn } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { catalog, fixture, scratch, start } from './fixtures/start.js';

const withBehaviour = (behaviour: string, more: object = {}): string => scratch().file('c.json', { behaviour, ...more });

describe('check', () => {
  test('says SUCCEEDED and exits 0', async () => {
    const { code, messages } = await start('source-counter', 'check', '--config', withBehaviour('plain')).finished;
    expect([code, messages]).toEqual([0, [{ type: 'CONNECTION_STATUS', connectionStatus: { status: 'SUCCEEDED' } }]]);
  });

  test.each([['config_error', 'the host is wrong: correct it'], ['transient_error', 'the host is busy: try again']])(
    'answers FAILED and exits 0 on a %s', async (behaviour, message) => {
      const { code, messages } = await start('source-counter', 'check', '--config', withBehaviour(behaviour)).finished;
      expect([code, messages]).toEqual([0, [{ type: 'CONNECTION_STATUS', connectionStatus: { status: 'FAILED', message } }]]);
    });

  test('answers FAILED to a configuration that does not fit its schema', async () => {
    const { code, messages } = await start('source-counter', 'check', '--config', withBehaviour('plain', { count: 'many' })).finished;
    expect([code, messages[0]!['connectionStatus']]).toEqual([0, { status: 'FAILED', message: "the configuration is not valid: 'count': expected number, received string" }]);
  });

  test.each(['system_error', 'bug'])('is a fault of the connector with %s: TRACE ERROR and exit 1', async (behaviour) => {
    const { code, messages } = await start('source-counter', 'check', '--config', withBehaviour(behaviour)).finished;
    expect([code, messages.map(({ type }) => type), messages[0]!['trace'].error.failure_type]).toEqual([1, ['TRACE'], 'system_error']);
  });

  test('stops at once on SIGTERM', async () => {
    const child = start('source-counter', 'check', '--config', withBehaviour('hang'));
    await child.until((messages) => messages.length > 0);
    expect((await child.kill('SIGTERM').finished).code).toBe(143);
  });
});

describe('failures', () => {
  test.each([['config_error', 78], ['transient_error', 75], ['system_error', 1], ['bug', 1]])('discover: a %s is a TRACE ERROR and exit %i', async (behaviour, exit) => {
    const { code, messages } = await start('source-counter', 'discover', '--config', withBehaviour(behaviour)).finished;
    expect([code, messages.map(({ type }) => type)]).toEqual([exit, ['TRACE']]);
    expect(messages[0]!['trace'].error.failure_type).toBe(behaviour === 'bug' ? 'system_error' : behaviour);
  });

  test('a rejection that nobody handles is a system_error, not a silent death', async () => {
    const child = start('source-counter', 'read', '--config', withBehaviour('unhandled', { delay_ms: 20 }), '--catalog', scratch().file('k.json', catalog));
    const { code, messages } = await child.finished;
    expect([code, messages.at(-1)!['trace'].error.message]).toEqual([1, 'source-counter met a fault of its own: nobody waits for this']);
  });

  test('a wrong command line prints the usage to stderr, nothing to stdout, and exits 78', async () => {
    const { code, stdout, stderr } = await start('source-counter', 'sync').finished;
    expect([code, stdout]).toEqual([78, '']);
    expect(stderr).toContain('source-counter discover --config FILE');
  });

  test('an unreadable file is named, with exit 78', async () => {
    const { code, messages } = await start('source-counter', 'check', '--config', '/nowhere.json').finished;
    expect([code, messages[0]!['trace'].error.message]).toEqual([78, '--config: /nowhere.json cannot be read (ENOENT)']);
  });
});

describe('stdout', () => {
  test('is the protocol\'s alone: what libraries print goes to stderr', async () => {
    const { code, messages, stderr } = await start(
      'source-counter', 'read', '--config', withBehaviour('print'), '--catalog', scratch().file('k.json', catalog),
    ).finished;
    expect(code).toBe(0);
    expect(messages.filter(({ type }) => type === 'RECORD')).toHaveLength(6);
    expect(stderr.match(/noise/g)!.length).toBeGreaterThanOrEqual(3);
  });

  test('has left the process whole before it exits, however slowly it is read', async () => {
    const args = ['read', '--config', withBehaviour('plain', { count: 2000, padding: 1000, every: 100_000 }), '--catalog', scratch().file('k.json', catalog)];
    const child = spawn(process.execPath, [fixture('source-counter'), ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
    await new Promise((resolve) => setTimeout(resolve, 500));
    let text = '';
    for await (const chunk of child.stdout.setEncoding('utf8')) text += chunk;
    expect(text.split('\n').filter((line) => line.includes('"RECORD"'))).toHaveLength(4000);
    expect(text.endsWith('\n')).toBe(true);
  });
});

test('spec needs no configuration and loads in a moment', async () => {
  const { code, messages } = await start('destination-raw', 'spec').finished;
  expect([code, messages]).toMatchObject([0, [{ type: 'SPEC', spec: { tapline: { extensions: ['start', 'checkpoint', 'generation', 'batch'], batch_formats: ['parquet'] } } }]]);
});
