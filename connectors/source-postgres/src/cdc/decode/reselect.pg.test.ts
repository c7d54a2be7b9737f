import type { TestDatabase } from '@tapline/test/services';
import { testDatabase } from '@tapline/test/shared';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { Connection } from '../../connection.js';
import { configOf } from '../../fixtures/harness.js';
import { Log } from '../../fixtures/log.js';
import type { LineBuffer } from './line-buffer.js';
import { fillHoles } from './reselect.js';

interface Record { readonly data: { readonly [name: string]: unknown }; readonly meta?: unknown }

describe.each([14, 18] as const)('values that PostgreSQL %i leaves out of the log', (version) => {
  let database: TestDatabase;
  let log: Log;

  beforeAll(async () => {
    database = await testDatabase(version);
    await database.query(`CREATE EXTENSION citext; CREATE TYPE mood AS ENUM ('a', 'b'); CREATE TYPE pair AS (n int, m mood); CREATE DOMAIN code AS citext`);
    log = await Log.from(database);
  });
  beforeEach(async () => {
    await database.query(`DROP TABLE IF EXISTS docs, "Odd ""key", root, pairs CASCADE;
      CREATE TABLE docs (id int PRIMARY KEY, n int, body text, raw bytea, big bigint[]);
      ALTER TABLE docs ALTER body SET STORAGE EXTERNAL, ALTER raw SET STORAGE EXTERNAL, ALTER big SET STORAGE EXTERNAL;
      INSERT INTO docs SELECT i, 0, repeat('x' || i, 3000), decode(repeat('00ff', 3000), 'hex'), array_fill(9223372036854775807, ARRAY[1000]) FROM generate_series(1, 3) i`);
    await log.messages();
  });
  afterAll(async () => {
    await log[Symbol.asyncDispose]();
    await database.drop();
  });

  async function filled(out: LineBuffer, connection = log.connection): Promise<Record[]> {
    const records: Record[] = [];
    for await (const bytes of fillHoles(out, connection)) for (const line of bytes.toString().split('\n').slice(0, -1)) records.push((JSON.parse(line) as { record: Record }).record);
    return records;
  }

  test('are selected by key, each in its form and its place', async () => {
    await database.query(`INSERT INTO docs VALUES (0, 7, 'in between'); UPDATE docs SET n = id; INSERT INTO docs VALUES (9)`);
    const out = await log.lines();
    expect(out.holes).toHaveLength(9);
    const records = await filled(out);
    expect(records.map(({ data }) => data['id'])).toEqual([0, 1, 2, 3, 0, 9]);
    for (const { data, meta } of records.slice(1, 4)) {
      expect(data).toMatchObject({ n: data['id'], body: `x${String(data['id'])}`.repeat(3000), raw: Buffer.alloc(6000, '00ff', 'hex').toString('base64') });
      expect(data['big']).toBe(`[${Array.from({ length: 1000 }, () => '9223372036854775807').join(',')}]`);
      expect(meta).toBeUndefined();
    }
  });

  test('are as new as the answer; of a row that is gone they are null, and the record says why', async () => {
    await database.query(`UPDATE docs SET n = 1`);
    await database.query(`UPDATE docs SET body = 'newer' WHERE id = 1; UPDATE docs SET raw = NULL WHERE id = 2; DELETE FROM docs WHERE id = 3`);
    const [first, second, third] = await filled(await log.lines());
    expect(first!.data['body']).toBe('newer');
    expect(second!.data['raw']).toBeNull();
    expect(second!.meta).toBeUndefined();
    expect(third!.data).toMatchObject({ id: 3, n: 1, body: null, raw: null, big: null });
    expect(third!.meta).toEqual({ changes: ['body', 'raw', 'big'].map((field) => ({ field, change: 'NULLED', reason: 'SOURCE_RETRIEVAL_ERROR' })) });
  });

  test('are found after the table was renamed, and told as gone after the column or the table was dropped', async () => {
    await database.query(`UPDATE docs SET n = 1 WHERE id = 1`);
    await database.query(`ALTER TABLE docs RENAME TO papers`);
    const messages = await log.messages();
    expect((await filled(await log.encode(messages)))[0]!.data['body']).toHaveLength(6000);
    await database.query(`ALTER TABLE papers DROP COLUMN body`);
    const [record] = await filled(await log.encode(messages));
    expect(record!.meta).toEqual({ changes: [{ field: 'body', change: 'NULLED', reason: 'SOURCE_RETRIEVAL_ERROR' }] });
    expect(record!.data['raw']).toHaveLength(8000);
    await database.query('DROP TABLE papers');
    expect((await filled(await log.encode(messages)))[0]!.data).toMatchObject({ body: null, raw: null, big: null });
  });

  test('are told as gone where a column of another type stands under the name by now, and where the key has another type', async () => {
    await database.query(`UPDATE docs SET n = 1 WHERE id = 1`);
    const messages = await log.messages();
    const told = (...fields: string[]) => ({ changes: fields.map((field) => ({ field, change: 'NULLED', reason: 'SOURCE_RETRIEVAL_ERROR' })) });
    await database.query(`ALTER TABLE docs DROP raw, ADD raw json; UPDATE docs SET raw = '{}'`);
    const [record] = await filled(await log.encode(messages));
    expect(record!.data).toMatchObject({ id: 1, n: 1, raw: null });
    expect(record!.data['body']).toHaveLength(6000);
    expect(record!.meta).toEqual(told('raw'));
    await database.query(`ALTER TABLE docs ALTER id TYPE text`);
    expect((await filled(await log.encode(messages)))[0]!.meta).toEqual(told('body', 'raw', 'big'));
  });

  test('are found by any key: several columns, quoted names, a type of an extension, of partitions by their root', async () => {
    await database.query(`
      CREATE TABLE "Odd ""key" ("the ""id" code, at timestamptz, c char(4), body text, n int, PRIMARY KEY ("the ""id", at, c)); ALTER TABLE "Odd ""key" ALTER body SET STORAGE EXTERNAL;
      CREATE TABLE root (id int, at date, body text, n int, PRIMARY KEY (id, at)) PARTITION BY RANGE (at); CREATE TABLE part PARTITION OF root FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
      ALTER TABLE root ALTER body SET STORAGE EXTERNAL; ALTER TABLE part ALTER body SET STORAGE EXTERNAL;
      INSERT INTO "Odd ""key" VALUES ('Ab''"\\', '2026-01-01 00:00:00.123456+00', 'c', repeat('y', 5000)), ('x,{}', 'infinity', '', repeat('z', 5000)); INSERT INTO root VALUES (1, '2026-05-05', repeat('r', 5000))`);
    await log.messages();
    await database.query(`UPDATE "Odd ""key" SET n = 1; UPDATE root SET n = 1`);
    const out = await log.lines();
    expect(out.holes).toHaveLength(3);
    expect((await filled(out)).map(({ data }) => data['body'])).toEqual(['y', 'z', 'r'].map((letter) => letter.repeat(5000)));
  });

  test('a key that lies in TOAST itself is in every change, and finds its row', async () => {
    await database.query(`CREATE TABLE pairs (id text PRIMARY KEY, body text, n int); ALTER TABLE pairs ALTER id SET STORAGE EXTERNAL, ALTER body SET STORAGE EXTERNAL;
      INSERT INTO pairs VALUES (repeat('k', 9000), repeat('v', 5000))`);
    await log.messages();
    await database.query(`UPDATE pairs SET n = 1`);
    const [update] = await filled(await log.lines());
    expect(update!.data).toMatchObject({ id: 'k'.repeat(9000), body: 'v'.repeat(5000), n: 1 });
    await database.query(`DELETE FROM pairs`);
    const [gone] = await filled(await log.lines());
    expect(gone!.data).toMatchObject({ id: 'k'.repeat(9000) });
  });

  test('many are asked for in batches, one row once, and lines keep their order', async () => {
    await database.query(`INSERT INTO docs SELECT i, 0, repeat('b', 3000) FROM generate_series(10, 2009) i`);
    await log.messages();
    await database.query(`UPDATE docs SET n = 1 WHERE id > 9; UPDATE docs SET n = 2 WHERE id > 9`);
    let asked = 0;
    const counting = new Proxy(log.connection, {
      get: (target, name) => (name !== 'query' ? Reflect.get(target, name, target) as unknown : (sql: string, values: unknown[]) => {
        asked++;
        return target.query(sql, values);
      }),
    });
    const records = await filled(await log.lines(), counting);
    expect(records.map(({ data }) => [data['n'], data['id']])).toEqual([1, 2].flatMap((n) => Array.from({ length: 2000 }, (_, i) => [n, i + 10])));
    expect(new Set(records.map(({ data }) => (data['body'] as string).length))).toEqual(new Set([3000]));
    expect(asked).toBeLessThan(12);
  });

  test('one that can no longer be read as its type is null and told, and the others are not', async () => {
    await database.query(`CREATE TABLE pairs (id int PRIMARY KEY, p pair[])`);
    await database.query(`INSERT INTO pairs VALUES (1, ARRAY[ROW(1, 'a')::pair]), (2, ARRAY[ROW(2, 'b')::pair]), (3, NULL)`);
    const out = await log.lines();
    await database.query(`ALTER TYPE mood RENAME VALUE 'b' TO 'c'`);
    const records = await filled(out);
    await database.query(`ALTER TYPE mood RENAME VALUE 'c' TO 'b'`);
    expect(records.map(({ data }) => data['p'])).toEqual(['[{"n":1,"m":"a"}]', null, null]);
    expect(records.map(({ meta }) => meta)).toEqual([undefined, { changes: [{ field: 'p', change: 'NULLED', reason: 'SOURCE_SERIALIZATION_ERROR' }] }, undefined]);
  });

  test('stay open when the server does not answer: the lines can be had later', async () => {
    await database.query(`UPDATE docs SET n = 5`);
    const out = await log.lines();
    await using other = await Connection.open(configOf(database, { lock_timeout: 0.1 }));
    const locker = await database.connect();
    await locker.query('BEGIN; LOCK TABLE docs IN ACCESS EXCLUSIVE MODE');
    await expect(filled(out, other)).rejects.toMatchObject({ kind: 'transient_error' });
    await locker.end();
    expect((await filled(out)).map(({ data }) => [data['n'], (data['body'] as string).length])).toEqual([[5, 6000], [5, 6000], [5, 6000]]);
  });
});
