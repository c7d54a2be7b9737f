import { execFile } from 'node:child_process';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { postgresVersions } from '@tapline/test/everyday';
import { startPostgres, type PostgresOptions, type PostgresServer, type TestDatabase } from '@tapline/test/services';
import { toConnectorError } from '@tapline/protocol';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { check } from '../../check.js';
import { Connection } from '../../connection.js';
import { configOf, type TestConfig } from '../../fixtures/harness.js';
import { startPooler } from '../../fixtures/pooler.js';
import { ReplicationStream } from '../connection/replication-stream.js';
import { formatLsn } from '../lsn.js';
import { lagOf } from './health.js';
import { ensurePublication } from './publication.js';
import { createSlot, findSlot } from './slot.js';
import { checkStart } from './start-checks.js';

interface Checked {
  readonly error: { readonly kind: string; readonly code: string; readonly message: string } | undefined;
  readonly log: string;
}

async function checked(database: Parameters<typeof configOf>[0], settings: TestConfig = {}): Promise<Checked> {
  const lines: string[] = [];
  const context = { config: configOf(database, { replication: 'cdc', ...settings }), signal: new AbortController().signal, log: (level: string, message: string) => void lines.push(`${level} ${message}`) };
  const error = await check(context).then(() => undefined, (thrown: unknown) => toConnectorError(thrown));
  return { error: error && { kind: error.kind, code: error.code, message: error.message }, log: lines.join('\n') };
}

/** A server for the time of `body`. */
async function withServer<Result>(options: PostgresOptions, body: (server: PostgresServer) => Promise<Result>): Promise<Result> {
  const server = await startPostgres(options);
  try {
    return await body(server);
  } finally {
    await server.stop();
  }
}

describe.each(postgresVersions('health'))('check with replication=cdc on PostgreSQL %i', (version) => {
  let server: PostgresServer;
  let database: TestDatabase;
  beforeAll(async () => {
    server = await startPostgres({ version, conf: { max_replication_slots: 2 } });
    database = await server.createDatabase();
    await database.query('CREATE TABLE t (id int PRIMARY KEY)');
  });
  afterAll(() => server.stop());

  test('all well: what is worth knowing is in the log', async () => {
    const { error, log } = await checked(database);
    expect(error).toBeUndefined();
    expect(log).toContain('INFO wal_level is logical');
    expect(log).toContain('INFO 0 of 2 replication slots are in use');
    expect(log).toContain('max_slot_wal_keep_size has no limit');
    expect(log).not.toContain('WARN');
  });

  test('tables without a replica identity are warned about, with what to type; views and partitions are not', async () => {
    const crowded = await server.createDatabase();
    await crowded.query(`CREATE TABLE ok (id int PRIMARY KEY); CREATE VIEW v AS TABLE ok; CREATE TABLE root (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE part PARTITION OF root FOR VALUES FROM (0) TO (1)`);
    for (let i = 1; i <= 7; i++) await crowded.query(`CREATE TABLE bare_${i} (v int)`);
    const { error, log } = await checked(crowded);
    expect(error).toBeUndefined();
    expect(log).toContain('ALTER TABLE "public"."bare_1" REPLICA IDENTITY FULL;');
    expect(log).toContain('7 of 9 tables cannot be replicated as they are; beside those above: "public"."bare_6", "public"."bare_7"');
    expect(log).not.toMatch(/"v"|part/);
  });

  test('a role that may not replicate, and may make no publication', async () => {
    await database.query(`CREATE ROLE poor LOGIN PASSWORD 'x'; GRANT SELECT ON t TO poor`);
    const poor = { ...database, user: 'poor', password: 'x' };
    expect(await checked(poor)).toMatchObject({ error: { kind: 'config_error', code: 'pg_no_replication', message: expect.stringContaining('ALTER ROLE "poor" REPLICATION;') }, log: expect.stringContaining(`GRANT CREATE ON DATABASE "${database.name}" TO "poor";`) });
    await database.query('ALTER ROLE poor REPLICATION');
    expect((await checked(poor)).error).toBeUndefined();
  });

  test('a publication of the user that is not there, is not complete, or has other tables', async () => {
    const settings = { publication: 'mine' };
    expect((await checked(database, settings)).error).toMatchObject({ kind: 'config_error', code: 'pg_no_publication' });
    await database.query('CREATE TABLE other (id int PRIMARY KEY); CREATE PUBLICATION mine FOR TABLE other');
    expect(await checked(database, settings)).toMatchObject({ error: undefined, log: expect.stringContaining('ALTER PUBLICATION "mine" ADD TABLE "public"."t";') });
    await database.query(`DROP TABLE other`);
    expect((await checked(database, settings)).error).toMatchObject({ code: 'pg_not_published', message: expect.stringContaining('none of the 1 tables') });
    await database.query(`ALTER PUBLICATION mine SET (publish = 'insert')`);
    expect((await checked(database, settings)).error).toMatchObject({ code: 'pg_publication_incomplete' });
  });

  test('a connection pooler in between is said to be one', async () => {
    await using pooler = await startPooler(server);
    const through = { ...database, port: pooler.port };
    expect((await checked(through, { sslmode: 'disable' })).error).toMatchObject({ kind: 'config_error', code: 'pg_pooler', message: expect.stringContaining('PgBouncer') });
    await using proxy = await startPooler(server, { refuse: false });
    expect(await checked({ ...database, port: proxy.port }, { sslmode: 'disable' })).toMatchObject({ error: undefined, log: expect.stringMatching(/WARN .*looks like a connection pooler/) });
  });

  test('slots of ours are told with what they keep; all in use is an error for a new sync only; the lag of a position', async () => {
    await using connection = await Connection.open(configOf(database));
    const position = await createSlot(connection, { name: 'tapline_a', failover: false, timeout: 20 });
    await createSlot(connection, { name: 'other', failover: false, timeout: 20 });
    const { error, log } = await checked(database);
    expect(error).toBeUndefined();
    expect(log).toMatch(new RegExp(`INFO replication slot 'tapline_a' at ${formatLsn(position)} \\(nobody reads it now; wal_status reserved\\), which keeps .*B of log`));
    expect(log).toContain('all 2 replication slots are in use, so no sync can be added');
    const elsewhere = await server.createDatabase();
    expect((await checked(elsewhere)).error).toMatchObject({ code: 'pg_no_free_slot', message: expect.stringContaining(`SELECT pg_drop_replication_slot('other');`) });
    await database.query('CREATE TABLE noise AS SELECT generate_series(1, 10000)');
    const lag = await lagOf(connection, position);
    expect(lag.bytes).toBe(Number(lag.end - position));
    expect(lag.bytes).toBeGreaterThan(100_000);
    expect((await lagOf(connection, lag.end + 1000n)).bytes).toBe(0);
  });
});

describe.each(postgresVersions('health'))('PostgreSQL %i that cannot be followed', (version) => {
  test('wal_level and walsenders are told in one message', () =>
    withServer({ version, conf: { wal_level: 'minimal', max_wal_senders: 0 } }, async (server) => {
      const { error } = await checked(await server.createDatabase());
      expect(error).toMatchObject({ kind: 'config_error', code: 'pg_wal_level' });
      expect(error!.message).toMatch(/\(1\) wal_level is minimal: ALTER SYSTEM SET wal_level = logical;.*\(2\) max_wal_senders is 0/);
    }));

  test('pg_hba.conf that lets in no replication session', () =>
    withServer({ version, hba: ['host kept kept all scram-sha-256', 'host all kept all reject'] }, async (server) => {
      const database = await server.createDatabase('kept');
      await database.query(`CREATE ROLE kept LOGIN REPLICATION PASSWORD 'x'; GRANT CREATE ON DATABASE kept TO kept`);
      // A replication session to a database is admitted as any other to it: no line for `replication` is needed.
      expect((await checked({ ...database, user: 'kept', password: 'x' })).error).toBeUndefined();
    }));

  test('a slot in danger, then lost, is warned about', () =>
    withServer({ version, conf: { max_slot_wal_keep_size: '64MB', min_wal_size: '32MB', max_wal_size: '32MB' } }, async (server) => {
      const database = await server.createDatabase();
      await using connection = await Connection.open(configOf(database));
      await createSlot(connection, { name: 'tapline_a', failover: false, timeout: 20 });
      const write = async (): Promise<void> => {
        await database.query('SELECT pg_logical_emit_message(false, $$x$$, repeat($$y$$, 1000)) FROM generate_series(1, 12000)');
        await database.query('SELECT pg_switch_wal()');
      };
      for (let i = 0; i < 3; i++) await write();
      await database.query('CHECKPOINT');
      expect((await checked(database)).log).toMatch(/WARN replication slot 'tapline_a'.*wal_status extended.*after .* more it is lost/);
      for (let i = 0; i < 4; i++) await write();
      await database.query('CHECKPOINT');
      await database.query('CHECKPOINT');
      expect((await checked(database)).log).toMatch(/WARN replication slot 'tapline_a' is lost \(wal_removed\).*SELECT pg_drop_replication_slot\('tapline_a'\);/);
    }));

  test('a standby says to connect to the primary; promoted, it goes on where its history allows, and says what was lost where not', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'tapline-promoted-'));
    await chmod(folder, 0o755);
    try {
      const dir = join(folder, 'primary');
      let shared = { v: 1 as const, mode: 'cdc' as const, system_id: '', timeline: 1, slot: 'tapline_a', publication: 'p', lsn: '' };
      const options = { version, dir };
      const primary = await startPostgres(options);
      let name: string;
      try {
        const database = await primary.createDatabase();
        ({ name } = database);
        await database.query('CREATE PUBLICATION p');
        await using connection = await Connection.open(configOf(database));
        shared = { ...shared, lsn: formatLsn(await createSlot(connection, { name: 'tapline_a', failover: false, timeout: 20 })) };
        await using stream = await ReplicationStream.open(configOf(database));
        shared = { ...shared, system_id: (await stream.identify()).systemId };
      } finally {
        await primary.stop();
      }
      const copy = join(folder, 'copy');
      await promisify(execFile)('cp', ['-a', dir, copy]);
      await writeFile(join(copy, 'data', 'standby.signal'), '');
      await withServer({ version, dir: copy }, async (server) => {
        const database = server.database(name);
        const standby = await checked(database);
        expect(standby.error).toMatchObject({ kind: 'config_error', code: 'pg_standby', message: expect.stringContaining('connect to the primary') });
        await using there = await Connection.open(configOf(database));
        await expect(createSlot(there, { name: 'tapline_b', failover: false, timeout: 5 })).rejects.toMatchObject({ kind: 'config_error', code: 'pg_standby' });
        await expect(ensurePublication(there, { name: 'p', managed: false }, [])).rejects.toMatchObject({ code: 'pg_standby' });
        await database.query('SELECT pg_promote()');
        await database.query('CREATE TABLE t (id int PRIMARY KEY)');
        await using stream = await ReplicationStream.open(configOf(database));
        const system = await stream.identify();
        expect(system).toMatchObject({ systemId: shared.system_id, timeline: 2 });
        const history = await stream.timelineHistory(2);
        await using connection = await Connection.open(configOf(database));
        const question = { slot: await findSlot(connection, 'tapline_a'), names: { slot: 'tapline_a' }, system, history, database: name };
        expect(checkStart({ ...question, shared }).lost).toBeUndefined();
        expect(checkStart({ ...question, shared: { ...shared, lsn: formatLsn(system.walPosition) } }).lost).toContain('never had');
      });
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
