import { describe, expect, test } from 'vitest';
import { classify, endsRun } from './classify.js';

const attempt = { host: 'db', port: 5432, database: 'shop', user: 'app', sslmode: 'prefer' };
const withCode = (code: string) => Object.assign(new Error('row value 4711 leaked by a driver'), { code });

describe('classify', () => {
  test.each([
    ['57P01', 'transient_error', 'pg_shutdown', true],
    ['ECONNRESET', 'transient_error', 'pg_connection_lost', true],
    ['42501', 'config_error', 'pg_no_privilege', false],
    ['42P01', 'config_error', 'pg_no_table', false],
    ['42703', 'config_error', 'pg_no_column', false],
    ['22012', 'config_error', 'pg_not_readable', false],
    ['55P03', 'transient_error', 'pg_locked', false],
    ['57014', 'config_error', 'pg_canceled', false],
    ['40001', 'transient_error', 'pg_conflict', false],
    ['XX001', 'system_error', 'pg_internal', false],
  ])('%s is a %s, %s', (code, kind, ours, run) => {
    const error = classify(withCode(code), { ...attempt, relation: { schema: 'public', name: 'orders' } });
    expect([error.kind, error.code, endsRun(error)]).toEqual([kind, ours, run]);
    expect(error.message).not.toContain('4711');
    expect(error.message).toContain(code);
  });

  test('a missing right says what to type, quoted', () => {
    expect(classify(withCode('42501'), { ...attempt, user: 'a"b', relation: { schema: 'My', name: 'T"x' } }).message).toContain('GRANT SELECT ON "My"."T""x" TO "a""b";');
  });
});
