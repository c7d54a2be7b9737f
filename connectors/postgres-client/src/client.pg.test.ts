import { toConnectorError } from '@tapline/protocol';
import { startPostgres, type PostgresServer } from '@tapline/test/services';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openClient } from './client.js';
import { pinSettings, valueForms } from './settings.js';
import type { ConnectionConfig } from './target.js';

/** Whether the session is encrypted, or the code of why there is none. */
async function connected(config: ConnectionConfig): Promise<boolean | string> {
  try {
    const { client } = await openClient(config, pinSettings(valueForms));
    const { rows } = await client.query<{ ssl: boolean }>('SELECT ssl FROM pg_catalog.pg_stat_ssl WHERE pid = pg_catalog.pg_backend_pid()');
    await client.end();
    return rows[0]!.ssl;
  } catch (error) {
    return toConnectorError(error).code;
  }
}

describe('a server with TLS and passwords', () => {
  let server: PostgresServer;
  beforeAll(async () => {
    server = await startPostgres({
      ssl: true,
      hba: ['hostssl all tls_only all scram-sha-256', 'host all tls_only all reject', 'hostnossl all plain_only all md5', 'host all plain_only all reject', 'host all listed all scram-sha-256', 'host all unlisted all reject'],
    });
    const database = await server.createDatabase('secured');
    await database.query(`CREATE ROLE tls_only LOGIN PASSWORD 'pw'; CREATE ROLE plain_only LOGIN PASSWORD 'pw'; CREATE ROLE listed LOGIN PASSWORD 'pw'; CREATE ROLE unlisted LOGIN PASSWORD 'pw'`);
  });
  afterAll(() => server.stop());

  const encrypted = (settings: ConnectionConfig & { readonly noPassword?: boolean }): Promise<boolean | string> => {
    const { noPassword, ...rest } = settings;
    return connected({ host: 'localhost', port: server.port, database: 'secured', user: 'listed', ...(!noPassword && { password: 'pw' }), ...rest });
  };

  test.each<[Parameters<typeof encrypted>[0], boolean | string]>([
    [{ sslmode: 'disable' }, false],
    [{ sslmode: 'allow' }, false],
    [{ sslmode: 'allow', user: 'tls_only' }, true],
    [{ sslmode: 'prefer' }, true],
    [{}, true],
    [{ sslmode: 'prefer', user: 'plain_only' }, false],
    [{ sslmode: 'require' }, true],
    [{ sslmode: 'require', user: 'plain_only' }, 'pg_not_admitted'],
    [{ sslmode: 'disable', user: 'tls_only' }, 'pg_not_admitted'],
    [{ user: 'unlisted' }, 'pg_not_admitted'],
    [{ user: 'tls_only', password: 'wrong' }, 'pg_auth_failed'],
    [{ noPassword: true }, 'pg_no_password'],
  ])('%o gives %s', async (settings, expected) => {
    expect(await encrypted(settings)).toBe(expected);
  });

  test('verify-ca and verify-full', async () => {
    const { ca, otherCa } = server.certificates!;
    expect(await encrypted({ sslmode: 'verify-ca', sslrootcert: ca })).toBe(true);
    expect(await encrypted({ sslmode: 'verify-full', sslrootcert: ca })).toBe(true);
    expect(await encrypted({ sslmode: 'verify-ca', sslrootcert: ca, host: '127.0.0.1' })).toBe(true);
    expect(await encrypted({ sslmode: 'verify-full', sslrootcert: ca, host: '127.0.0.1' })).toBe('pg_tls_untrusted');
    expect(await encrypted({ sslmode: 'verify-ca', sslrootcert: otherCa })).toBe('pg_tls_untrusted');
    expect(await encrypted({ sslmode: 'require', sslrootcert: otherCa })).toBe('pg_tls_untrusted');
    expect(await encrypted({ sslmode: 'verify-full', sslrootcert: 'system' })).toBe('pg_tls_untrusted');
    expect(await encrypted({ sslmode: 'verify-ca', sslrootcert: '/nowhere.pem' })).toBe('pg_tls_file');
  });

  test('a server out of connections, and one that is shutting down, are transient', async () => {
    const database = await server.createDatabase();
    await database.query(`ALTER ROLE listed CONNECTION LIMIT 0`);
    expect(await encrypted({})).toBe('pg_too_many_connections');
    await database.query(`ALTER ROLE listed CONNECTION LIMIT -1`);
  });
});

test('a silent server runs into connect_timeout', async () => {
  const { createServer } = await import('node:net');
  const silent = createServer(() => {});
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  const { port } = silent.address() as { port: number };
  try {
    for (const sslmode of ['require', 'disable'] as const) {
      const opening = openClient({ host: '127.0.0.1', port, database: 'x', user: 'x', password: 'x', sslmode, connect_timeout: 0.3 }, '');
      await expect(opening).rejects.toMatchObject({ kind: 'transient_error', code: 'pg_timeout' });
    }
  } finally {
    silent.close();
  }
}, 10_000);
