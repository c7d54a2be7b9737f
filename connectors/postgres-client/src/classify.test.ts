import { configError } from '@tapline/protocol';
import { describe, expect, test } from 'vitest';
import { classify, config, connectionCodes } from './classify.js';

const attempt = { host: 'db', port: 5432, database: 'shop', user: 'app', sslmode: 'prefer' };
const withCode = (code: string) => Object.assign(new Error('row value 4711 leaked by a driver'), { code });

describe('classify', () => {
  test.each([
    ['28P01', 'config_error', 'pg_auth_failed'],
    ['28000', 'config_error', 'pg_not_admitted'],
    ['3D000', 'config_error', 'pg_no_database'],
    ['53300', 'transient_error', 'pg_too_many_connections'],
    ['57P01', 'transient_error', 'pg_shutdown'],
    ['57P03', 'transient_error', 'pg_starting'],
    ['08006', 'transient_error', 'pg_connection_lost'],
    ['53100', 'transient_error', 'pg_resources'],
    ['ENOTFOUND', 'config_error', 'pg_unknown_host'],
    ['EAI_AGAIN', 'transient_error', 'pg_unknown_host'],
    ['ECONNREFUSED', 'config_error', 'pg_refused'],
    ['ETIMEDOUT', 'transient_error', 'pg_timeout'],
    ['EPIPE', 'transient_error', 'pg_connection_lost'],
    ['ECONNRESET', 'transient_error', 'pg_connection_lost'],
    ['SELF_SIGNED_CERT_IN_CHAIN', 'config_error', 'pg_tls_untrusted'],
    ['ERR_TLS_CERT_ALTNAME_INVALID', 'config_error', 'pg_tls_untrusted'],
    ['ERR_SSL_WRONG_VERSION_NUMBER', 'config_error', 'pg_tls'],
  ])('%s is a %s, %s, of the connection', (code, kind, ours) => {
    const error = classify(withCode(code), attempt);
    expect([error.kind, error.code, connectionCodes.has(error.code)]).toEqual([kind, ours, true]);
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
  test('who knows what a statement was about is asked first, and what he leaves is told of the connection', () => {
    const about = (state: string) => (state === '42501' ? config('pg_mine', 'mine') : undefined);
    expect(classify(withCode('42501'), { ...attempt, stream: { name: 'orders' } }, about)).toMatchObject({ code: 'pg_mine', message: 'mine (SQLSTATE 42501)', stream: { name: 'orders' } });
    expect(classify(withCode('57P01'), attempt, about).code).toBe('pg_shutdown');
    expect(classify(new Error('Connection terminated'), { ...attempt, meanwhile: 'orders was read' }, about).message).toBe('db:5432 closed the connection while orders was read');
  });
});
