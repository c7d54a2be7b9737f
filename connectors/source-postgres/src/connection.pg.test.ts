import { freePort, type TestDatabase } from '@tapline/test/services';
import { testDatabase } from '@tapline/test/shared';
import { toConnectorError } from '@tapline/protocol';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { check } from './check.js';
import { Connection } from './connection.js';
import { discoverAll, configOf, type TestConfig } from './fixtures/harness.js';

async function failure(config: Parameters<typeof check>[0]['config'], logs: string[] = []) {
  try {
    await check({ config, signal: new AbortController().signal, log: (_level, message) => logs.push(message) });
    return undefined;
  } catch (error) {
    const { kind, code, message } = toConnectorError(error);
    return { kind, code, message };
  }
}

describe.each([14, 18] as const)('check against PostgreSQL %i says what to do', (version) => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await testDatabase(version);
    await database.query(`CREATE TABLE t (id int); CREATE SCHEMA hidden; CREATE TABLE hidden.t (id int); CREATE ROLE poor_${database.name} LOGIN PASSWORD 'right'`);
  });
  afterAll(async () => {
    await database.query(`DROP OWNED BY poor_${database.name}; DROP ROLE poor_${database.name}`);
    await database.drop();
  });

  test('all well', async () => expect(await failure(configOf(database))).toBeUndefined());

  test.each<[string, () => Promise<TestConfig> | TestConfig, string, string]>([
    ['a wrong host', () => ({ host: 'no-such-host.invalid' }), 'pg_unknown_host', `'no-such-host.invalid'`],
    ['a wrong port', async () => ({ port: await freePort() }), 'pg_refused', 'nothing listens on'],
    ['a missing socket', () => ({ host: '/nowhere' }), 'pg_refused', 'no socket'],
    ['a wrong database', () => ({ database: 'nope' }), 'pg_no_database', `no database 'nope'`],
    ['TLS where there is none', () => ({ sslmode: 'require' }), 'pg_tls_not_offered', 'offers no TLS'],
    ['a missing CA file', () => ({ sslmode: 'verify-ca', sslrootcert: '/nowhere.pem' }), 'pg_tls_not_offered', 'offers no TLS'],
    ['a missing schema', () => ({ schemas: ['public', 'nope'] }), 'pg_no_schema', `no schema 'nope'`],
  ])('%s', async (_what, settings, code, words) => {
    const found = await failure(configOf(database, await settings()));
    expect(found).toMatchObject({ kind: code === 'pg_unknown_host' ? expect.stringMatching(/config|transient/) : 'config_error', code });
    expect(found!.message).toContain(words);
  });

  test('no right on a schema, then on its tables, then on some of them', async () => {
    const user = `poor_${database.name}`;
    const poor = configOf({ ...database, user, password: 'right' }, { schemas: ['hidden'] });
    expect(await failure(poor)).toMatchObject({ code: 'pg_no_privilege', message: expect.stringContaining(`GRANT USAGE ON SCHEMA "hidden" TO "${user}"`) });
    await database.query(`GRANT USAGE ON SCHEMA hidden TO ${user}`);
    expect(await failure(poor)).toMatchObject({ code: 'pg_no_privilege', message: expect.stringContaining('GRANT SELECT ON ALL TABLES IN SCHEMA "hidden"') });
    await database.query(`GRANT SELECT ON hidden.t TO ${user}; CREATE TABLE hidden.more (id int)`);
    const logs: string[] = [];
    expect(await failure(poor, logs)).toBeUndefined();
    expect(logs.join()).toContain('GRANT SELECT ON "hidden"."more"');
  });

  test('the identity is the cluster and the database; without the right to ask there is none, and a warning', async () => {
    const [row] = await database.query<{ id: string }>('SELECT system_identifier::text AS id FROM pg_control_system()');
    expect((await discoverAll(configOf(database))).tapline?.identity).toBe(`postgres:${row!.id}/${database.name}`);
    await database.query('REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC');
    const catalog = await discoverAll(configOf({ ...database, user: `poor_${database.name}`, password: 'right' }));
    expect(catalog.tapline).toBeUndefined();
    expect(catalog.logs.join()).toContain('GRANT EXECUTE ON FUNCTION pg_catalog.pg_control_system()');
  });
});

describe('a session', () => {
  let database: TestDatabase;
  let role: string;
  beforeAll(async () => {
    database = await testDatabase();
    role = `listed_${database.name}`;
    await database.query(`CREATE ROLE ${role} LOGIN PASSWORD 'pw'`);
  });
  afterAll(async () => {
    await database.query(`DROP ROLE ${role}`);
    await database.drop();
  });

  test('limits that a role sets for sessions and transactions as such do not end ours', async () => {
    await database.query(`ALTER ROLE ${role} SET idle_session_timeout = '50ms'; ALTER ROLE ${role} SET transaction_timeout = '50ms'`);
    await using connection = await Connection.open(configOf({ ...database, user: role, password: 'pw' }));
    expect(await connection.query(`SELECT pg_catalog.current_setting('idle_session_timeout') AS idle, pg_catalog.current_setting('transaction_timeout') AS transaction`)).toEqual([{ idle: '0', transaction: '0' }]);
    await database.query(`ALTER ROLE ${role} RESET ALL`);
  });

  test('the session is read-only and bears our name', async () => {
    await using connection = await Connection.open(configOf({ ...database, user: role, password: 'pw' }));
    expect(await connection.query(`SELECT pg_catalog.current_setting('application_name') AS name, pg_catalog.current_setting('default_transaction_read_only') AS ro`)).toEqual([{ name: 'tapline', ro: 'on' }]);
    await expect(connection.query('CREATE TEMP TABLE x ()')).rejects.toMatchObject({ code: '25006' });
  });
});
