import { setTimeout as sleep } from 'node:timers/promises';
import { postgresVersions } from '@tapline/test/everyday';
import { startPostgres, type PostgresServer, type TestDatabase } from '@tapline/test/services';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { configOf, type TestConfig } from '../../fixtures/harness.js';
import { startPooler } from '../../fixtures/pooler.js';
import { parseLsn } from '../lsn.js';
import { walkFrames } from './frames.js';
import { ReplicationStream } from './replication-stream.js';

describe.each(postgresVersions('replication-stream'))('the replication stream of PostgreSQL %i', (version) => {
  let server: PostgresServer;
  let database: TestDatabase;
  beforeAll(async () => {
    server = await startPostgres({ version, conf: { wal_sender_timeout: '2s' } });
  });
  afterAll(() => server.stop());
  beforeEach(async () => {
    database = await server.createDatabase();
    await database.query('CREATE TABLE t (id int PRIMARY KEY, body text); CREATE PUBLICATION p FOR TABLE t');
    await database.query(`SELECT pg_create_logical_replication_slot('${database.name}', 'pgoutput')`);
  });

  const open = (settings: TestConfig = {}): Promise<ReplicationStream> => ReplicationStream.open(configOf(database, { slot_wait: 10, ...settings }));
  const begin = async (stream: ReplicationStream, extra: { from?: bigint; messages?: boolean; publications?: string[]; signal?: AbortSignal; logs?: string[] } = {}): Promise<ReplicationStream> => {
    await stream.start({ slot: database.name, publications: ['p'], from: 0n, messages: true, log: (_level, message) => extra.logs?.push(message), ...extra });
    return stream;
  };
  const slotPosition = async (): Promise<bigint> => {
    const [row] = await database.query<{ lsn: string }>(`SELECT confirmed_flush_lsn::text AS lsn FROM pg_replication_slots WHERE slot_name = '${database.name}'`);
    return parseLsn(row!.lsn);
  };
  /** Reads until a message of this type has come; the types that came, and the end of the last commit. */
  async function readUntil(stream: ReplicationStream, type: string, times = 1): Promise<{ types: string; end: bigint; bytes: number }> {
    const found = { types: '', end: 0n, bytes: 0 };
    while (found.types.split(type).length <= times) {
      const frames = await stream.read();
      if (!frames) break;
      walkFrames(frames, {
        data: (start, end) => {
          found.types += String.fromCharCode(frames[start]!);
          found.bytes += end - start;
          if (frames[start] === 0x43) found.end = frames.readBigUInt64BE(start + 10);
        },
        keepalive: () => {},
      });
    }
    return found;
  }

  test('who the server is: system identifier, timeline, position', async () => {
    await using stream = await open();
    const [row] = await database.query<{ id: string }>('SELECT system_identifier::text AS id FROM pg_control_system()');
    const identity = await stream.identify();
    expect(identity).toMatchObject({ systemId: row!.id, timeline: 1 });
    expect(identity.walPosition).toBeGreaterThan(0n);
    expect(await stream.timelineHistory(1)).toBe('');
  });

  test('changes come in commit order, and again until they are confirmed', async () => {
    {
      await using stream = await begin(await open());
      await database.query(`INSERT INTO t VALUES (1, 'a'); UPDATE t SET body = 'b'; DELETE FROM t; TRUNCATE t`);
      // A relation is told again whenever the server's caches ask for it.
      expect((await readUntil(stream, 'C')).types.replaceAll('R', '')).toBe('BIUDTC');
    }
    {
      await using stream = await begin(await open());
      const { end } = await readUntil(stream, 'C');
      stream.confirm(end);
      expect(await stream.flushConfirm(10_000)).toBe(true);
    }
    await using stream = await begin(await open());
    await database.query(`SELECT pg_logical_emit_message(true, 'x', 'y')`);
    expect((await readUntil(stream, 'C')).types).toBe('BMC');
  });

  test('what was received but not confirmed never moves the slot: neither keepalives, nor the status timer, nor the end', async () => {
    const before = await slotPosition();
    const stream = await begin(await open());
    await database.query(`INSERT INTO t VALUES (1, 'a')`);
    await readUntil(stream, 'C');
    await database.query(`CREATE TABLE noise AS SELECT generate_series(1, 1000)`);
    await sleep(2500);
    expect(stream.received).toBeGreaterThan(before);
    expect(await stream.flushConfirm(10_000)).toBe(true);
    await stream.stop();
    expect(await slotPosition()).toBe(before);
  });

  test('confirming only grows, and reaches the slot before the end of the connection', async () => {
    const stream = await begin(await open());
    await database.query(`INSERT INTO t VALUES (1, 'a')`);
    const { end } = await readUntil(stream, 'C');
    stream.confirm(end);
    stream.confirm(end - 100n);
    expect(stream.confirmed).toBe(end);
    await stream.stop();
    expect(await slotPosition()).toBe(end);
  });

  test('a reader that is blocked for longer than wal_sender_timeout keeps its connection, and holds the server back', async () => {
    await using stream = await begin(await open());
    await database.query(`INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series(1, 30000) i`);
    const memory = process.memoryUsage();
    await sleep(5000);
    expect(process.memoryUsage().arrayBuffers - memory.arrayBuffers).toBeLessThan(8_000_000);
    expect(stream.buffered).toBe(true);
    const { types, bytes } = await readUntil(stream, 'C');
    expect(types.length).toBe(30_003);
    expect(bytes).toBeGreaterThan(30_000_000);
  });

  test('a ping is answered with the end of the log, though nothing was changed', async () => {
    await using stream = await begin(await open());
    await database.query('CREATE TABLE noise (id int)');
    const [row] = await database.query<{ lsn: string }>('SELECT pg_current_wal_lsn()::text AS lsn');
    for (let end = 0n; end < parseLsn(row!.lsn); ) {
      stream.ping();
      const frames = (await stream.read())!;
      walkFrames(frames, { data: () => {}, keepalive: (walEnd) => void (end = walEnd) });
    }
    expect(await slotPosition()).toBeLessThan(parseLsn(row!.lsn));
  });

  test('a row of 30 MB is one message', async () => {
    await using stream = await begin(await open());
    await database.query(`INSERT INTO t SELECT 1, string_agg(md5(i::text), '') FROM generate_series(1, 1000000) i`);
    expect(await readUntil(stream, 'C')).toMatchObject({ types: 'BRIC', bytes: expect.any(Number) });
  });

  test('a quiet server is no silent one', async () => {
    await using stream = await begin(await open());
    await sleep(5000);
    await database.query(`INSERT INTO t VALUES (1, 'a')`);
    expect((await readUntil(stream, 'C')).types).toBe('BRIC');
  });

  test('a slot that another session holds is waited for, and then named with what ends that session', async () => {
    const first = await begin(await open());
    await using second = await open({ slot_wait: 0 });
    await expect(begin(second)).rejects.toMatchObject({ kind: 'transient_error', code: 'pg_slot_in_use', message: expect.stringMatching(/pg_terminate_backend\(\d+\)/) });
    const logs: string[] = [];
    await using third = await open({ slot_wait: 30 });
    const waiting = begin(third, { logs });
    while (logs.length === 0) await sleep(20);
    await first.stop();
    await waiting;
    await database.query(`INSERT INTO t VALUES (1, 'a')`);
    expect((await readUntil(third, 'C')).types).toBe('BRIC');
  });

  test('a slot that is not there', async () => {
    await using stream = await open();
    await database.query(`SELECT pg_drop_replication_slot('${database.name}')`);
    await expect(begin(stream)).rejects.toMatchObject({ kind: 'config_error', code: 'pg_slot_missing', message: expect.stringContaining('on_lost=resnapshot') });
  });

  test('a publication that is gone is an error at the first change, never silence: no commit is read past it', async () => {
    await using stream = await begin(await open(), { publications: ['p', 'Odd "name", with'] });
    await database.query(`INSERT INTO t VALUES (1, 'a')`);
    await expect(readUntil(stream, 'C')).rejects.toMatchObject({ kind: 'config_error', code: 'pg_publication_missing' });
    await expect(readUntil(stream, 'C')).rejects.toMatchObject({ code: 'pg_publication_missing' });
  });

  test('a publication that is dropped, and made again, in the middle: nothing that was changed in between is passed over in silence', async () => {
    await using stream = await begin(await open());
    await database.query(`INSERT INTO t VALUES (1, 'a')`);
    const { end } = await readUntil(stream, 'C');
    await database.query('DROP PUBLICATION p');
    await database.query(`INSERT INTO t VALUES (2, 'b')`);
    await database.query('CREATE PUBLICATION p FOR TABLE t');
    await database.query(`INSERT INTO t VALUES (3, 'c')`);
    // Up to 14 transactions in which nothing is published come, too.
    await expect(readUntil(stream, 'I')).rejects.toMatchObject({ kind: 'config_error', code: 'pg_publication_missing' });
    await stream.stop();
    await using again = await begin(await open(), { from: end });
    await expect(readUntil(again, 'I')).rejects.toMatchObject({ code: 'pg_publication_missing' });
  });

  test('a slot that somebody else drops in the middle: the stream is lost for a while, then for good', async () => {
    await using stream = await begin(await open());
    await database.query(`SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = '${database.name}'`);
    await expect(readUntil(stream, 'C')).rejects.toMatchObject({ kind: 'transient_error' });
    // The server lets go of the slot a moment after the connection.
    await vi.waitFor(() => database.query(`SELECT pg_drop_replication_slot('${database.name}')`), { timeout: 20_000 });
    await using again = await open();
    await expect(begin(again)).rejects.toMatchObject({ kind: 'config_error', code: 'pg_slot_missing' });
  });

  test('a session that the server ends is transient, and what came before is read first', async () => {
    await using stream = await begin(await open());
    await database.query(`INSERT INTO t VALUES (1, 'a')`);
    while (!stream.buffered) await sleep(10);
    await sleep(200);
    await database.query(`SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active`);
    await sleep(300);
    expect((await readUntil(stream, 'C')).types).toBe('BRIC');
    await expect(readUntil(stream, 'C')).rejects.toMatchObject({ kind: 'transient_error', code: 'pg_shutdown' });
    expect(await stream.flushConfirm(1000)).toBe(false);
  });

  test('a server that is silent for twice wal_sender_timeout, though asked, is lost', async () => {
    await using network = await startPooler(server, { refuse: false });
    await using stream = await begin(await open({ port: network.port, sslmode: 'disable' }));
    network.stall();
    await expect(readUntil(stream, 'C')).rejects.toMatchObject({ kind: 'transient_error', code: 'pg_silent' });
  });

  test('a server that is killed is lost for a while only: what was not confirmed comes again', async () => {
    await using stream = await begin(await open());
    await database.query(`INSERT INTO t VALUES (1, 'a')`);
    await readUntil(stream, 'C');
    const reading = readUntil(stream, 'C');
    reading.catch(() => {});
    await server.kill9();
    await expect(reading).rejects.toMatchObject({ kind: 'transient_error', code: expect.stringMatching(/^pg_(connection_lost|shutdown)$/) });
    await server.restart();
    await using again = await begin(await open());
    expect((await readUntil(again, 'C')).types).toBe('BRIC');
  });

  test('a server that shuts down waits for the confirmation of all that it has sent, and then ends the stream', async () => {
    await using stream = await begin(await open());
    await database.query(`INSERT INTO t VALUES (1, 'a')`);
    const { end } = await readUntil(stream, 'C');
    stream.confirm(end);
    const reading = (async () => {
      for (let frames = await stream.read(); frames; frames = await stream.read()) walkFrames(frames, { data: () => {}, keepalive: (walEnd) => stream.confirm(walEnd) });
    })();
    const restarted = server.restart();
    await expect(reading).rejects.toMatchObject({ kind: 'transient_error', code: 'pg_shutdown' });
    await restarted;
  });

  test('what is confirmed before the start is told with it', async () => {
    const stream = await open();
    await database.query(`INSERT INTO t VALUES (1, 'a')`);
    const { walPosition } = await stream.identify();
    stream.confirm(walPosition);
    await begin(stream, { from: walPosition });
    expect(await stream.flushConfirm(10_000)).toBe(true);
    await stream.stop();
    expect(await slotPosition()).toBe(walPosition);
  });

  test('a position before the start of the stream never takes the slot back', async () => {
    const old = await slotPosition();
    await database.query(`INSERT INTO t VALUES (1, 'a')`);
    await using first = await begin(await open());
    const { end } = await readUntil(first, 'C');
    first.confirm(end);
    await first.stop();
    const stream = await open();
    stream.confirm(old);
    await begin(stream, { from: end });
    stream.confirm(old + 1n);
    expect([stream.confirmed, await stream.flushConfirm(10_000)]).toEqual([0n, true]);
    await stream.stop();
    expect(await slotPosition()).toBe(end);
  });

  test('aborted, it gives no more, and still confirms', async () => {
    const controller = new AbortController();
    const stream = await begin(await open(), { signal: controller.signal });
    await database.query(`INSERT INTO t VALUES (1, 'a')`);
    const { end } = await readUntil(stream, 'C');
    const reading = stream.read();
    controller.abort();
    for (let next = await reading; next; next = await stream.read());
    stream.confirm(end);
    expect(await stream.flushConfirm(10_000)).toBe(true);
    await stream.stop();
    expect(await slotPosition()).toBe(end);
  });

  test('a role without REPLICATION is told what to type', async () => {
    await database.query(`CREATE ROLE "no ${database.name}" LOGIN PASSWORD 'x'`);
    await expect(open({ user: `no ${database.name}`, password: 'x' })).rejects.toMatchObject({ kind: 'config_error', code: 'pg_no_replication', message: expect.stringContaining(`ALTER ROLE "no ${database.name}" REPLICATION;`) });
  });
});
