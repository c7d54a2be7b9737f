import { chmodSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import type { ConnectorRef, Reporter } from '../types.js';
import { callVerb } from './call-verb.js';
import { connector, fast, folder } from './fixtures/syncs.js';

const quiet: Reporter = { progress: () => undefined, message: () => undefined };
const options = { reporter: quiet, timing: fast };

function shell(script: string): ConnectorRef {
  const path = join(folder(), 'connector');
  writeFileSync(path, `#!/bin/sh\n${script}\n`);
  chmodSync(path, 0o755);
  return { ...connector('source', {}), command: path, args: [], label: 'shell' };
}

describe('an answer', () => {
  test('comes through, whatever is printed around it', async () => {
    expect(await callVerb(connector('source', {}), 'check', options)).toEqual({ status: 'SUCCEEDED' });
    expect((await callVerb(connector('source', { streams: ['a', 'b'] }), 'discover', options)).streams.map(({ name }) => name)).toEqual(['a', 'b']);
  });

  test('of FAILED is an answer', async () => {
    expect(await callVerb(connector('source', { fail: 'wrong port' }), 'check', options)).toEqual({ status: 'FAILED', message: 'wrong port' });
  });

  test('is not lost when the process ends before we read', async () => {
    const ref = shell(`echo '{"type":"SPEC","spec":{"connectionSpecification":{}}}'`);
    for (let i = 0; i < 20; i++) {
      expect(await callVerb(ref, 'spec', { ...options, onStart: () => sleep(20) })).toEqual({ connectionSpecification: {} });
    }
  });
});

describe('no answer', () => {
  test('and no message at all is a broken protocol, whatever the exit code', async () => {
    for (const script of ['exit 0', 'echo usage >&2; exit 2', 'echo no json']) {
      await expect(callVerb(shell(script), 'spec', options)).rejects.toMatchObject({ code: 'protocol' });
    }
  });

  test('after a kill is a death without a word', async () => {
    await expect(callVerb(shell('kill -9 $$'), 'check', options)).rejects.toMatchObject({ code: 'died', kind: 'system_error' });
  });

  test('but a TRACE ERROR is that error', async () => {
    const error = { message: 'wrong password', failure_type: 'config_error', exit: 78 };
    await expect(callVerb(connector('source', { discoverError: error }), 'discover', options)).rejects.toMatchObject({ kind: 'config_error', message: 'wrong password' });
  });

  test('in time ends the connector, with a transient_error', async () => {
    const timing = { ...fast, verbMs: { ...fast.verbMs, check: 300 } };
    await expect(callVerb(connector('source', { hang: true }), 'check', { reporter: quiet, timing })).rejects.toMatchObject({ kind: 'transient_error', code: 'verb_timeout' });
  });

  test('because there is no such program is a config_error', async () => {
    await expect(callVerb({ ...connector('source', {}), command: '/nowhere/x' }, 'spec', options)).rejects.toMatchObject({ kind: 'config_error', code: 'cannot_start' });
  });
});

test('a renewed configuration goes back to the file that it came from, private', async () => {
  const configFile = join(folder(), 'config.json');
  writeFileSync(configFile, '{}');
  await callVerb({ ...connector('source', { renew: { token: 'new' } }), configFile }, 'check', options);
  expect(JSON.parse(readFileSync(configFile, 'utf8'))).toEqual({ token: 'new' });
  expect(statSync(configFile).mode & 0o777).toBe(0o600);
});
