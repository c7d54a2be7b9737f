import type { TestDatabase } from '@tapline/test/services';
import { testDatabase } from '@tapline/test/shared';
import { PgoutputPlugin, type Pgoutput } from 'pg-logical-replication';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Log } from '../../fixtures/log.js';
import { readMessage, type WireRelation } from './messages.js';
import { int32, NULL, TEXT, uint16 } from './tuple.js';

/** Everything that pgoutput has to say; a transaction each. */
const story = [
  `CREATE TYPE mood AS ENUM ('fine');
   CREATE TABLE "Odd ""name" (id int PRIMARY KEY, "a b" text, big text, n numeric(5,2)); ALTER TABLE "Odd ""name" ALTER COLUMN big SET STORAGE EXTERNAL;
   CREATE TABLE whole (id int, t text, big text); ALTER TABLE whole REPLICA IDENTITY FULL; ALTER TABLE whole ALTER COLUMN big SET STORAGE EXTERNAL;
   CREATE TABLE by_index (a int NOT NULL, b text NOT NULL, c text); CREATE UNIQUE INDEX by ON by_index (b, a); ALTER TABLE by_index REPLICA IDENTITY USING INDEX by;
   CREATE TABLE insert_only (v mood);
   CREATE TABLE root (id int, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at); CREATE TABLE part PARTITION OF root FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')`,
  `INSERT INTO "Odd ""name" VALUES (1, 'é', repeat('x', 10000), 1.5), (-2, NULL, NULL, NULL);
   UPDATE "Odd ""name" SET n = 2 WHERE id = 1; UPDATE "Odd ""name" SET id = 3, n = 'NaN' WHERE id = 1`,
  `INSERT INTO whole VALUES (1, '', repeat('y', 10000)), (NULL, NULL, NULL); UPDATE whole SET t = 'b'; DELETE FROM whole`,
  `INSERT INTO by_index VALUES (1, 'x', 'y'); UPDATE by_index SET c = 'z'; UPDATE by_index SET b = 'w'; DELETE FROM by_index`,
  `INSERT INTO insert_only VALUES ('fine')`,
  `INSERT INTO root VALUES (1, '2026-05-05'); UPDATE root SET id = 2`,
  `SELECT pg_logical_emit_message(false, 'of us', 'content'); SELECT pg_logical_emit_message(true, 'in it', '')`,
  `ALTER TABLE whole ADD COLUMN more text[]; INSERT INTO whole VALUES (5, 'c', NULL, '{a}')`,
  `DELETE FROM "Odd ""name"; TRUNCATE whole, by_index CASCADE`,
];

describe.each([14, 18] as const)('messages of PostgreSQL %i', (version) => {
  let database: TestDatabase;
  let messages: Buffer[] = [];

  beforeAll(async () => {
    database = await testDatabase(version);
    await using log = await Log.from(database);
    for (const transaction of story) await database.query(transaction);
    messages = await log.messages();
  });
  afterAll(() => database.drop());

  test('are read as the parser of pg-logical-replication reads them', () => {
    const plugin = new PgoutputPlugin({ protoVersion: 1, publicationNames: [] });
    const theirs = messages.map((bytes) => told(plugin.parse(bytes)));
    const ours = messages.map((bytes) => read(bytes));
    expect(ours).toEqual(theirs);
    expect(new Set(ours.map(({ tag }) => tag))).toEqual(new Set(['begin', 'commit', 'relation', 'insert', 'update', 'delete', 'truncate', 'message', 'nothing']));
  });

  test('lie anywhere in a bigger buffer', () => {
    for (const bytes of messages) {
      const at = 7;
      const among = Buffer.concat([Buffer.alloc(at, 0x55), bytes, Buffer.alloc(9, 0x4e)]);
      expect(read(among, at, at + bytes.length)).toEqual(read(bytes));
    }
  });
});

type Told = { readonly tag: string } & Record<string, unknown>;

/** What we read, in their words. */
function read(bytes: Buffer, start = 0, end = bytes.length): Told {
  let seen: Told = { tag: 'nothing' };
  readMessage(bytes, start, end, {
    begin: (lsn, time, xid) => (seen = { tag: 'begin', lsn, time, xid }),
    commit: (lsn, endLsn) => (seen = { tag: 'commit', lsn, end: endLsn }),
    relation: (relation) => {
      relations.set(relation.oid, relation);
      seen = { tag: 'relation', ...relation };
    },
    insert: (oid, from, tuple) => (seen = { tag: 'insert', oid, new: tupleOf(from, tuple, oid) }),
    update: (oid, from, old, kind, tuple) => (seen = { tag: 'update', oid, kind, old: old === -1 ? undefined : tupleOf(from, old, oid, kind), new: tupleOf(from, tuple, oid, undefined, kind === 'O' ? old : -1) }),
    delete: (oid, from, old, kind) => (seen = { tag: 'delete', oid, kind, old: tupleOf(from, old, oid, kind) }),
    truncate: (oids) => (seen = { tag: 'truncate', oids }),
    message: (prefix, lsn, transactional) => (seen = { tag: 'message', prefix, lsn, transactional }),
  });
  return seen;
}

const relations = new Map<number, WireRelation>();

function tupleOf(bytes: Buffer, tuple: number, oid: number, kind?: 'K' | 'O', fallback = -1): Record<string, unknown> {
  const { columns } = relations.get(oid)!;
  expect(uint16(bytes, tuple)).toBe(columns.length);
  const before = fallback === -1 ? {} : tupleOf(bytes, fallback, oid);
  let at = tuple + 2;
  return Object.fromEntries(columns.flatMap(({ name, key }): [string, unknown][] => {
    const marker = bytes[at];
    const length = marker === TEXT ? int32(bytes, at + 1) : 0;
    const value = marker === TEXT ? bytes.toString('utf8', at + 5, at + 5 + length) : marker === NULL ? null : before[name];
    at += marker === TEXT ? 5 + length : 1;
    return kind === 'K' && !key ? [] : [[name, value]];
  }));
}

function told(message: Pgoutput.Message): Told {
  const lsn = (text: string | null): bigint => BigInt(`0x${text!.replace('/', '')}`);
  switch (message.tag) {
    case 'begin': return { tag: 'begin', lsn: lsn(message.commitLsn), time: message.commitTime as unknown as bigint, xid: message.xid };
    case 'commit': return { tag: 'commit', lsn: lsn(message.commitLsn), end: lsn(message.commitEndLsn) };
    case 'relation': {
      const { relationOid: oid, schema, name, replicaIdentity } = message;
      // Texts as they are: what it makes of values is another matter.
      for (const column of message.columns) column.parser = (text: unknown) => text;
      const columns = message.columns.map((column) => ({ name: column.name, key: (column.flags & 1) === 1, typeOid: column.typeOid, modifier: column.typeMod }));
      return { tag: 'relation', oid, schema, name, identity: replicaIdentity[0], columns };
    }
    case 'insert': return { tag: 'insert', oid: message.relation.relationOid, new: { ...message.new } };
    case 'update':
    case 'delete': {
      const kind = message.key ? 'K' : message.old ? 'O' : undefined;
      const old = message.key ?? message.old;
      const both = { tag: message.tag, oid: message.relation.relationOid, kind, old: old ? { ...old } : undefined };
      return message.tag === 'update' ? { ...both, new: { ...message.new } } : both;
    }
    case 'truncate': return { tag: 'truncate', oids: message.relations.map(({ relationOid }) => relationOid) };
    case 'message': return { tag: 'message', prefix: message.prefix, lsn: lsn(message.messageLsn), transactional: message.transactional };
    case 'type':
    case 'origin': return { tag: 'nothing' };
  }
}
