import { setTimeout as sleep } from 'node:timers/promises';
import { startPostgres, type PostgresServer, type TestDatabase } from '@tapline/test/services';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { Connection } from '../../connection.js';
import { configOf } from '../../fixtures/harness.js';
import { ReplicationStream } from '../connection/replication-stream.js';
import { checkStart } from './start-checks.js';
import { createSlot, dropSlot, findSlot, listSlots } from './slot.js';
import { waitForWriters } from './writers.js';

const maxSlots = 3;

describe.each([14, 18] as const)('slots of PostgreSQL %i', (version) => {
  let server: PostgresServer;
  let database: TestDatabase;
  let connection: Connection;
  beforeAll(async () => {
    server = await startPostgres({ version, conf: { max_replication_slots: maxSlots, max_slot_wal_keep_size: '1MB', min_wal_size: '32MB', max_wal_size: '32MB', max_prepared_transactions: 5 } });
  });
  afterAll(() => server.stop());
  beforeEach(async () => {
    database = await server.createDatabase();
    await database.query('CREATE TABLE t (id int PRIMARY KEY)');
    connection = await Connection.open(configOf(database));
  });
  afterEach(async () => {
    for (const { name } of await listSlots(connection, { all: true })) await dropSlot(connection, name, { force: true });
    await connection[Symbol.asyncDispose]();
  });
  const create = (name = 'tapline_a', timeout = 20, failover = false) => createSlot(connection, { name, failover, timeout });

  test('a slot is made, found, listed and dropped', async () => {
    const position = await create();
    const slot = await findSlot(connection, 'tapline_a');
    expect(slot).toMatchObject({ name: 'tapline_a', plugin: 'pgoutput', logical: true, database: database.name, temporary: false, confirmedLsn: position, walStatus: 'reserved', invalid: undefined, activePid: undefined });
    expect(slot!.retainedBytes).toBeGreaterThanOrEqual(0);
    await create('taplineish');
    await create('tapline');
    expect((await listSlots(connection)).map(({ name }) => name)).toEqual(['tapline', 'tapline_a']);
    expect((await listSlots(connection, { all: true })).map(({ name }) => name)).toEqual(['tapline', 'tapline_a', 'taplineish']);
    expect(await dropSlot(connection, 'tapline_a')).toBe(true);
    expect(await dropSlot(connection, 'tapline_a')).toBe(false);
    expect(await findSlot(connection, 'tapline_a')).toBeUndefined();
  });

  test('making one waits for old transactions, of other databases too, and names them when the time is over; nothing is left behind', async () => {
    const other = await server.createDatabase();
    const old = await other.connect();
    await old.query('BEGIN; CREATE TABLE x ()');
    const [row] = (await old.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')).rows;
    await expect(create('tapline_a', 0.5)).rejects.toMatchObject({ kind: 'transient_error', code: 'pg_slot_timeout', message: expect.stringContaining(`session ${row!.pid} of postgres`) });
    expect(await findSlot(connection, 'tapline_a')).toBeUndefined();
    const making = create();
    await old.query('COMMIT');
    await expect(making).resolves.toBeGreaterThan(0n);
    await old.end();
  });

  test('a prepared transaction is named, too', async () => {
    const old = await database.connect();
    await old.query(`BEGIN; INSERT INTO t VALUES (1); PREPARE TRANSACTION 'left over'`);
    try {
      await expect(create('tapline_a', 0.5)).rejects.toMatchObject({ code: 'pg_slot_timeout', message: expect.stringContaining(`prepared transaction 'left over'`) });
    } finally {
      await old.query(`ROLLBACK PREPARED 'left over'`);
      await old.end();
    }
  });

  test('a writer that is prepared meanwhile is waited for all the same', async () => {
    const [table] = await database.query<{ oid: number }>(`SELECT 't'::regclass::oid::int AS oid`);
    const writer = await database.connect();
    await writer.query(`BEGIN; INSERT INTO t VALUES (1)`);
    let over = false;
    const waiting = waitForWriters(connection, [table!]).then(() => (over = true));
    await sleep(100);
    await writer.query(`PREPARE TRANSACTION 'later'`);
    await sleep(300);
    expect(over).toBe(false);
    await writer.query(`COMMIT PREPARED 'later'`);
    await waiting;
    await writer.end();
  });

  test('no free slot: which ones nobody reads', async () => {
    for (let i = 0; i < maxSlots; i++) await create(`full_${i}`);
    await expect(create()).rejects.toMatchObject({ kind: 'config_error', code: 'pg_no_free_slot', message: expect.stringMatching(/max_replication_slots.*full_0, full_1, full_2/) });
  });

  test('a slot that is there already is told with what drops it', async () => {
    await create();
    await expect(create()).rejects.toMatchObject({ code: 'pg_slot_exists', message: expect.stringContaining(`SELECT pg_drop_replication_slot('tapline_a');`) });
  });

  test('failover slots: from 17 on', async () => {
    if (version < 17) {
      await expect(create('tapline_a', 5, true)).rejects.toMatchObject({ kind: 'config_error', code: 'pg_no_failover' });
    } else {
      await create('tapline_a', 5, true);
      expect((await findSlot(connection, 'tapline_a'))!.failover).toBe(true);
    }
  });

  test('without the right to replicate', async () => {
    await database.query(`CREATE ROLE "r ${database.name}" LOGIN PASSWORD 'x'`);
    await create();
    await using poor = await Connection.open(configOf({ ...database, user: `r ${database.name}`, password: 'x' }));
    const refusal = { kind: 'config_error', code: 'pg_no_replication', message: expect.stringContaining('REPLICATION;') };
    await expect(createSlot(poor, { name: 'tapline_b', failover: false, timeout: 5 })).rejects.toMatchObject(refusal);
    await expect(dropSlot(poor, 'tapline_a')).rejects.toMatchObject(refusal);
  });

  test('a slot that is read is dropped by force alone', async () => {
    await create();
    await database.query('CREATE PUBLICATION p');
    await using stream = await ReplicationStream.open(configOf(database));
    await stream.start({ slot: 'tapline_a', publications: ['p'], from: 0n, messages: false, log: () => {} });
    expect((await findSlot(connection, 'tapline_a'))!.activePid).toBeGreaterThan(0);
    await expect(dropSlot(connection, 'tapline_a')).rejects.toMatchObject({ kind: 'transient_error', code: 'pg_slot_in_use', message: expect.stringMatching(/pg_terminate_backend\(\d+\)/) });
    expect(await dropSlot(connection, 'tapline_a', { force: true })).toBe(true);
    const reading = (async () => {
      while (await stream.read());
    })();
    await expect(reading).rejects.toMatchObject({ kind: 'transient_error' });
  });

  test('a slot whose log was removed is invalid, its position is lost, and streaming from it fails', async () => {
    const position = await create();
    await database.query('CREATE PUBLICATION p');
    for (let i = 0; i < 4; i++) await database.query(`INSERT INTO t SELECT generate_series(${i} * 100000, ${i} * 100000 + 99999)`).then(() => database.query('SELECT pg_switch_wal()')).then(() => database.query('CHECKPOINT'));
    const slot = await findSlot(connection, 'tapline_a');
    expect(slot).toMatchObject({ walStatus: 'lost', invalid: 'wal_removed' });
    await using stream = await ReplicationStream.open(configOf(database, { slot_wait: 0 }));
    const system = await stream.identify();
    const shared = { v: 1, mode: 'cdc', system_id: system.systemId, timeline: 1, slot: 'tapline_a', publication: 'p', lsn: `0/${position.toString(16)}` } as const;
    expect(checkStart({ shared, slot, names: { slot: 'tapline_a' }, system, history: '', database: database.name }).lost).toContain('max_slot_wal_keep_size');
    await expect(stream.start({ slot: 'tapline_a', publications: ['p'], from: position, messages: false, log: () => {} })).rejects.toMatchObject({ kind: 'config_error', code: 'pg_slot_lost' });
  });
});

describe.each([14, 18] as const)('PostgreSQL %i that does not decode', (version) => {
  test('says what to set', async () => {
    const server = await startPostgres({ version, conf: { wal_level: 'replica' } });
    try {
      const database = await server.createDatabase();
      await using connection = await Connection.open(configOf(database));
      await expect(createSlot(connection, { name: 'tapline_a', failover: false, timeout: 5 })).rejects.toMatchObject({ kind: 'config_error', code: 'pg_wal_level', message: expect.stringContaining('wal_level = logical') });
    } finally {
      await server.stop();
    }
  });
});
