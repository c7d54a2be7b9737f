import { configError } from '@tapline/protocol';
import { describe, expect, test } from 'vitest';
import { classify, endsRun } from './classify.js';

const attempt = { host: 'db', port: 5432, database: 'shop', user: 'app', sslmode: 'prefer' };
const withCode = (code: string) => Object.assign(new Error('row value 4711 leaked by a driver'), { code });

describe('classify', () => {
  test.each([
    ['28P01', 'config_error', 'pg_auth_failed', true],
    ['28000', 'config_error', 'pg_not_admitted', true],
    ['3D000', 'config_error', 'pg_no_database', true],
    ['53300', 'transient_error', 'pg_too_many_connections', true],
    ['57P01', 'transient_error', 'pg_shutdown', true],
    ['57P03', 'transient_error', 'pg_starting', true],
    ['08006', 'transient_error', 'pg_connection_lost', true],
    ['53100', 'transient_error', 'pg_resources', true],
    ['42501', 'config_error', 'pg_no_privilege', false],
    ['42P01', 'config_error', 'pg_no_table', false],
    ['42703', 'config_error', 'pg_no_column', false],
    ['22012', 'config_error', 'pg_not_readable', false],
    ['55P03', 'transient_error', 'pg_locked', false],
    ['57014', 'config_error', 'pg_canceled', false],
    ['40001', 'transient_error', 'pg_conflict', false],
    ['XX001', 'system_error', 'pg_internal', false],
    ['ENOTFOUND', 'config_error', 'pg_unknown_host', true],
    ['EAI_AGAIN', 'transient_error', 'pg_unknown_host', true],
    ['ECONNREFUSED', 'config_error', 'pg_refused', true],
    ['ETIMEDOUT', 'transient_error', 'pg_timeout', true],
    ['EPIPE', 'transient_error', 'pg_connection_lost', true],
    ['ECONNRESET', 'transient_error', 'pg_connection_lost', true],
    ['SELF_SIGNED_CERT_IN_CHAIN', 'config_error', 'pg_tls_untrusted', true],
    ['ERR_TLS_CERT_ALTNAME_INVALID', 'config_error', 'pg_tls_untrusted', true],
    ['ERR_SSL_WRONG_VERSION_NUMBER', 'config_error', 'pg_tls', true],
  ])('%s is a %s, %s', (code, kind, ours, run) => {
    const error = classify(withCode(code), { ...attempt, relation: { schema: 'public', name: 'orders' } });
    expect([error.kind, error.code, endsRun(error)]).toEqual([kind, ours, run]);
    expect(error.message).not.toContain('4711');
    expect(error.message).toContain(code);
  });

  test('without a code the connection ended', () => expect(classify(new Error('Connection terminated'), attempt).code).toBe('pg_connection_lost'));
  test('a bug of ours is not told as a lost connection, which would be tried again', () => {
    expect(classify(new TypeError('x is not a function'), attempt)).toMatchObject({ kind: 'system_error', code: 'unexpected' });
    expect(classify(new Error('not possible'), { ...attempt, alive: true })).toMatchObject({ kind: 'system_error', code: 'unexpected' });
  });
  test('of several addresses the first code counts', () => expect(classify(new AggregateError([withCode('ECONNREFUSED'), withCode('EHOSTUNREACH')]), attempt).code).toBe('pg_refused'));
  test('one of ours stays as it is', () => {
    const ours = configError('ours');
    expect(classify(ours, attempt)).toBe(ours);
  });
  test('a replication session is refused by rules of its own', () => {
    const codes = ['42501', '08P01', '53300', '57P01'].map((code) => classify(withCode(code), { ...attempt, purpose: 'replication' }).code);
    expect(codes).toEqual(['pg_no_replication', 'pg_pooler', 'pg_too_many_connections', 'pg_shutdown']);
  });
  test('a missing right says what to type, quoted', () => {
    expect(classify(withCode('42501'), { ...attempt, user: 'a"b', relation: { schema: 'My', name: 'T"x' } }).message).toContain('GRANT SELECT ON "My"."T""x" TO "a""b";');
  });
});
