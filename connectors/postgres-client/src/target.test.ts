import { describe, expect, test } from 'vitest';
import { findPassword } from './passfile.js';
import { targetOf } from './target.js';
import { attemptsOf } from './tls.js';

describe('which server is meant', () => {
  test('what is left out comes from the environment of libpq, then from its defaults', () => {
    const env = { PGHOST: 'h', PGPORT: '6543', PGUSER: 'u', PGPASSWORD: 'p', PGSSLMODE: 'verify-full', PGSSLROOTCERT: '/ca', PGAPPNAME: 'me', PGCONNECT_TIMEOUT: '3' };
    expect(targetOf({}, env)).toMatchObject({ host: 'h', port: 6543, user: 'u', database: 'u', password: 'p', sslmode: 'verify-full', sslrootcert: '/ca', applicationName: 'me', connectTimeoutMs: 3000 });
    expect(targetOf({ host: 'x', password: 'mine', sslmode: 'disable' }, env)).toMatchObject({ host: 'x', password: 'mine', sslmode: 'disable' });
    expect(targetOf({}, {}, 'me')).toMatchObject({ host: 'localhost', port: 5432, user: 'me', database: 'me', sslmode: 'prefer', applicationName: 'tapline' });
  });
  test('TLS is not tried over a Unix socket', () => expect(attemptsOf(targetOf({ host: '/tmp', sslmode: 'require' }, {}))).toEqual(['plain']));
});

test('a password file: the first line that fits, with wildcards, escapes and comments', () => {
  const target = targetOf({ host: 'db', port: 5432, database: 'shop', user: 'app' }, {});
  const text = '# c\nother:*:*:*:no\ndb:5432:shop:app2:no\ndb:*:shop:app:s\\:ec\\\\ret\n*:*:*:*:late\n';
  expect(findPassword(text, target)).toBe('s:ec\\ret');
  expect(findPassword(text, { ...target, host: 'x' })).toBe('late');
  expect(findPassword('bad line\n', target)).toBeUndefined();
});
