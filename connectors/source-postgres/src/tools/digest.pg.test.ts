import type { ConfiguredStream, DigestAnswer, DigestRequest } from '@tapline/protocol';
import type { ToolContext } from '@tapline/sdk';
import type { TestDatabase } from '@tapline/test/services';
import { testDatabase } from '@tapline/test/shared';
import { describe, expect, onTestFinished, test } from 'vitest';
import { readMessage, type PgoutputHandler } from '../cdc/decode/messages.js';
import type { Config } from '../config.js';
import { configOf, configure, discoverAll } from '../fixtures/harness.js';
import { digest } from './digest.js';

interface Conversation {
  ask(request: DigestRequest): Promise<DigestAnswer[]>;
  readonly warnings: string[];
}

/** The tool in this process, asked one thing after the other. */
async function converse(database: TestDatabase, streams: readonly ConfiguredStream[], extra: Record<string, unknown> = {}): Promise<Conversation> {
  const waiting: { request: DigestRequest | undefined; wake: () => void } = { request: undefined, wake: () => undefined };
  let ended = false;
  async function* requests() {
    while (!ended) {
      if (waiting.request) {
        const { request } = waiting;
        waiting.request = undefined;
        yield request;
      } else await new Promise<void>((resolve) => (waiting.wake = resolve));
    }
  }
  const warnings: string[] = [];
  const context = { config: configOf(database, extra), catalog: { streams: [...streams] }, signal: new AbortController().signal, log: (_level: string, message: string) => warnings.push(message), session: undefined, requests: requests() };
  const answers = digest(context as unknown as ToolContext<Config>);
  onTestFinished(async () => {
    ended = true;
    waiting.wake();
    await answers.return();
  });
  return {
    warnings,
    async ask(request) {
      waiting.request = request;
      waiting.wake();
      const all: DigestAnswer[] = [];
      for (;;) {
        const { value, done } = await answers.next();
        if (done) return all;
        all.push(value);
        if (value.is !== 'ranges' && value.is !== 'rows') return all;
      }
    },
  };
}

const stream = { name: 't', namespace: 'public' };
const rowsIn = (answers: readonly DigestAnswer[]): number => answers.flatMap((answer) => (answer.is === 'ranges' ? answer.ranges : [])).reduce((sum, [, rows]) => sum + rows, 0);

async function seeded(version: 14 | 18, sql: string): Promise<{ database: TestDatabase; streams: ConfiguredStream[] }> {
  const database = await testDatabase(version);
  onTestFinished(() => database.drop());
  await database.query(sql);
  return { database, streams: configure(await discoverAll(configOf(database)), { t: {} }) };
}

describe.each([18, 14] as const)('PostgreSQL %i: a digest', (version) => {
  test('answers everything out of the snapshot that it opened with', async () => {
    const { database, streams } = await seeded(version, 'CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, i FROM generate_series(1, 1000) i');
    const tool = await converse(database, streams);
    expect(await tool.ask({ ask: 'open' })).toMatchObject([{ is: 'opened', position_text: expect.stringMatching(/^[0-9A-F]+\/[0-9A-F]+$/) as string }]);
    const before = await tool.ask({ ask: 'ranges', stream, bits: 4 });
    await database.query(`UPDATE t SET v = 'x'; DELETE FROM t WHERE id > 500; INSERT INTO t VALUES (2000, 'y')`);
    expect(await tool.ask({ ask: 'ranges', stream, bits: 4 })).toEqual(before);
    expect(rowsIn(before)).toBe(1000);
    const rows = (await tool.ask({ ask: 'rows', stream, bits: 4, ranges: [3] })).flatMap((answer) => (answer.is === 'rows' ? answer.rows : []));
    expect(rows).toHaveLength(before.flatMap((answer) => (answer.is === 'ranges' ? answer.ranges : [])).find(([range]) => range === 3)![1]);
  });

  test('with replication has an exact place in the log, under load', async () => {
    const { database, streams } = await seeded(version, 'CREATE TABLE t (id int PRIMARY KEY); CREATE PUBLICATION watched FOR TABLE t');
    const slot = `watch_${database.name}`.slice(0, 63).toLowerCase().replaceAll(/[^a-z0-9_]/g, '_');
    await database.query(`SELECT pg_create_logical_replication_slot('${slot}', 'pgoutput')`);
    let stop = false;
    const writers = [0, 1, 2, 3].map(async (writer) => {
      const client = await database.connect();
      for (let n = 0; !stop; n++) await client.query(`INSERT INTO t SELECT ${writer} + 4 * (i + ${n * 3}) FROM generate_series(0, 2) i`);
      await client.end();
    });
    try {
      for (let round = 0; round < 5; round++) {
        const tool = await converse(database, streams);
        const [opened] = await tool.ask({ ask: 'open', replicated: true });
        expect(opened).toMatchObject({ is: 'opened', exact: true });
        const seen = rowsIn(await tool.ask({ ask: 'ranges', stream, bits: 0 }));
        expect(seen).toBe(await insertedBefore(database, slot, BigInt((opened as { position: string }).position)));
        expect(tool.warnings).toEqual([]);
      }
    } finally {
      stop = true;
      await Promise.all(writers);
      await database.query(`SELECT pg_drop_replication_slot('${slot}')`);
    }
    expect(await database.query(`SELECT slot_name FROM pg_replication_slots WHERE database = current_database()`)).toEqual([]);
  });
});

/** How many rows the log's transactions before a position inserted, by the positions of their commits. */
async function insertedBefore(database: TestDatabase, slot: string, position: bigint): Promise<number> {
  const messages = await database.query<{ data: Buffer }>(`SELECT data FROM pg_logical_slot_peek_binary_changes('${slot}', NULL, NULL, 'proto_version', '1', 'publication_names', 'watched')`);
  let count = 0;
  let counts = false;
  const handler: PgoutputHandler = {
    begin: (lsn) => void (counts = lsn < position), insert: () => void (counts && count++),
    commit() {}, relation() {}, update() {}, delete() {}, truncate() {},
  };
  for (const { data } of messages) readMessage(data, 0, data.length, handler);
  return count;
}

test('where no exact place can be had it is sampled, and a warning says so', async () => {
  const { database, streams } = await seeded(18, 'CREATE TABLE t (id int PRIMARY KEY)');
  const role = `plain_${database.name}`.toLowerCase().replaceAll(/[^a-z0-9_]/g, '_');
  await database.query(`CREATE ROLE ${role} LOGIN PASSWORD 'x'; GRANT SELECT ON t TO ${role}`);
  onTestFinished(() => database.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`).then(() => undefined));
  const tool = await converse(database, streams, { user: role, password: 'x' });
  expect(await tool.ask({ ask: 'open', replicated: true })).toMatchObject([{ is: 'opened', exact: false, position: expect.stringMatching(/^\d+$/) as string }]);
  expect(tool.warnings.join()).toContain('rows that change just now may differ');
});

test('a table that cannot be read fails alone: the snapshot is still there for the next', async () => {
  const { database, streams } = await seeded(18, 'CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1); CREATE VIEW v AS SELECT 1 / (id - 1) AS x FROM t');
  const tool = await converse(database, [...streams, ...configure(await discoverAll(configOf(database)), { v: {} })]);
  await tool.ask({ ask: 'open' });
  expect(await tool.ask({ ask: 'ranges', stream: { name: 'v', namespace: 'public' }, bits: 0 })).toMatchObject([{ is: 'failed', message: expect.not.stringMatching(/closed the connection/) as string }]);
  expect(rowsIn(await tool.ask({ ask: 'ranges', stream, bits: 0 }))).toBe(1);
});

test('how far states are behind the snapshot is told in bytes of the log; states without a position tell nothing', async () => {
  const { database, streams } = await seeded(18, 'CREATE TABLE t (id int PRIMARY KEY)');
  const tool = await converse(database, streams);
  const [opened] = await tool.ask({ ask: 'open' });
  const position = BigInt((opened as { position: string }).position);
  const lsn = `${((position - 100n) >> 32n).toString(16)}/${((position - 100n) & 0xffff_ffffn).toString(16)}`;
  expect(await tool.ask({ ask: 'behind', states: [JSON.stringify({ type: 'GLOBAL', global: { shared_state: { mode: 'cdc', lsn }, stream_states: [] } })] })).toEqual([{ is: 'behind', bytes: 100 }]);
  expect(await tool.ask({ ask: 'behind', states: ['{"type":"STREAM","stream":{"stream_descriptor":{"name":"t"},"stream_state":{"mode":"cursor"}}}'] })).toEqual([{ is: 'behind', bytes: null }]);
});
