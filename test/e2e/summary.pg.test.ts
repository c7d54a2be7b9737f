import { describe, expect, test } from 'vitest';
import { explain, workspace } from '../harness/workspace.js';
import { shop } from './seed.js';

describe('--json, to the letter', () => {
  test('stdout is JSON lines only: progress, and last the summary, with every selected stream in it', async () => {
    const at = await workspace({ seed: shop });
    const outcome = await at.sync();
    expect(outcome.exitCode, explain(outcome)).toBe(0);
    expect(outcome.messages, outcome.stdout).toHaveLength(outcome.stdout.split('\n').filter(Boolean).length);
    const summary = outcome.summary!;
    expect(Object.keys(summary).sort()).toEqual(['bytes', 'records', 'seconds', 'states_saved', 'status', 'streams', 'sync', 'type']);
    expect(summary.streams.map((stream) => `${stream.namespace}.${stream.name} ${stream.status} ${stream.records}`).sort()).toEqual([
      'billing.orders succeeded 64', 'public.customers succeeded 500', 'public.nothing_yet succeeded 0', 'public.orders succeeded 3000',
    ]);
    for (const stream of summary.streams) expect(Object.keys(stream).sort()).toEqual(['bytes', 'name', 'namespace', 'records', 'status']);
    expect(summary.bytes).toBe(summary.streams.reduce((sum, stream) => sum + stream.bytes, 0));
    expect(summary.bytes).toBeGreaterThan(100_000);
    expect(summary.seconds).toBeGreaterThan(0);
    expect(summary.states_saved).toBeGreaterThan(0);
    for (const message of outcome.messages.slice(0, -1)) {
      expect(message['type']).toBe('progress');
      const { type: _, lag_bytes: _b, lag_seconds: _s, ...rest } = message;
      expect(Object.keys(rest).sort()).toEqual(['bytes', 'records', 'seconds', 'streams_done', 'streams_total']);
      for (const value of Object.values(rest)) expect(typeof value).toBe('number');
    }
  });

  test('a failed run tells kind and message, and lists every selected stream', async () => {
    const at = await workspace({ seed: shop });
    const source = new URL(at.database.url);
    source.password = 'not it';
    const outcome = await at.sync(['--source', source.href]);
    expect(outcome.exitCode, explain(outcome)).toBe(78);
    expect(outcome.summary).toMatchObject({ type: 'summary', status: 'failed', records: 0, states_saved: 0, error: { kind: 'config_error' } });
    expect(outcome.summary?.error?.message).toMatch(/password/i);
    expect(outcome.stdout + outcome.stderr).not.toContain('not it');
    expect(outcome.stdout + outcome.stderr).not.toContain('not%20it');
  });

  test('without --json people read the summary on stdout or stderr, and no JSON', async () => {
    const at = await workspace({ seed: shop });
    const outcome = await at.run(['sync', '--source', at.database.url, '--dest', at.lake.uri, '--state-dir', at.stateDir]);
    expect(outcome.exitCode, explain(outcome)).toBe(0);
    const text = outcome.stdout + outcome.stderr;
    expect(text).toMatch(/3,?564/);
    expect(text).toContain('public.customers');
    expect(text).not.toContain('{"type"');
  });

  test('one table that cannot be read is partial: the others arrive, and the exit code is the worst stream’s', async () => {
    const at = await workspace({ seed: shop });
    await at.database.query(`
      DROP ROLE IF EXISTS ${at.database.name}; CREATE ROLE ${at.database.name} LOGIN PASSWORD 'reader';
      GRANT SELECT ON customers, nothing_yet TO ${at.database.name}; GRANT USAGE ON SCHEMA billing TO ${at.database.name};
      GRANT SELECT ON billing.orders TO ${at.database.name}`);
    const source = new URL(at.database.url);
    source.username = at.database.name;
    source.password = 'reader';
    const outcome = await at.sync(['--source', source.href, '--streams', 'public.*,billing.*']);
    await at.database.query(`DROP OWNED BY ${at.database.name}; DROP ROLE ${at.database.name}`);
    expect(outcome.exitCode, explain(outcome)).toBe(78);
    expect(outcome.summary).toMatchObject({ status: 'partial', error: { kind: 'config_error' } });
    const status = Object.fromEntries(outcome.summary!.streams.map((stream) => [`${stream.namespace}.${stream.name}`, stream.status]));
    expect(status).toEqual({ 'public.customers': 'succeeded', 'public.orders': 'failed', 'public.nothing_yet': 'succeeded', 'billing.orders': 'succeeded' });
    expect(outcome.summary?.error?.message).toMatch(/"?public"?\."?orders/);
    expect(outcome.summary?.error?.message).toMatch(/GRANT/i);
  });
});
