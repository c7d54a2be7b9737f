import { DuckDBInstance } from '@duckdb/node-api';
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { configError, type LogLevel } from '@tapline/protocol';
import { duckdbDialect as dialect } from '../dialects/duckdb.js';
import type { Warehouse } from '../warehouse.js';
import { openDuckdb } from './duckdb.js';

let folder: string;
const log = (_level: LogLevel, _message: string): void => undefined;
let files = 0;
const fresh = (): string => join(folder, `${++files}.db`);
const opened = (path = fresh(), more: { memoryBytes?: number } = {}): Promise<Warehouse> => openDuckdb({ path, scratch: join(folder, 'scratch'), log, ...more });

beforeAll(async () => void (folder = await mkdtemp(join(tmpdir(), 'tapline-duckdb-'))));
afterAll(() => rm(folder, { recursive: true, force: true }));

const int = { kind: 'int', bits: 32 } as const;
const text = { kind: 'text' } as const;
const orders = { schema: 'shop', table: 'orders' };
const columns = [{ name: 'id', type: int, nullable: false }, { name: 'word', type: text, nullable: true }];

async function made(warehouse: Warehouse, table = orders): Promise<void> {
  for (const sql of [dialect.createSchema(table.schema), ...dialect.createTable(table, columns, ['id'])]) await warehouse.run(sql);
}

const rows = (warehouse: Warehouse, table = orders): Promise<unknown> => warehouse.run(`SELECT * FROM ${dialect.table(table)} ORDER BY 1`);

describe('a statement', () => {
  test('takes parameters of every kind, and answers whole numbers of 64 bits as text', async () => {
    await using warehouse = await opened();
    expect(await warehouse.run('SELECT $1 AS a, $2 AS b, $3 AS c, $4 AS d, $5 AS e, $1 AS f', ['x\u0000y', 9_007_199_254_740_991, 1.5, true, null])).toEqual([
      { a: 'x\u0000y', b: '9007199254740991', c: 1.5, d: true, e: null, f: 'x\u0000y' },
    ]);
  });

  test('finds a schema that is named like the file, or like a catalog of the engine', async () => {
    await using warehouse = await opened(join(folder, 'shop.db'));
    for (const schema of ['shop', 'main', 'temp', 'system', 'memory', 'a.b', 'a"b']) {
      await made(warehouse, { schema, table: 'orders' });
      await warehouse.run(`INSERT INTO ${dialect.table({ schema, table: 'orders' })} VALUES (1, $1)`, [schema]);
    }
    for (const schema of ['shop', 'main', 'temp', 'system', 'memory', 'a.b', 'a"b']) expect(await rows(warehouse, { schema, table: 'orders' })).toEqual([{ id: 1, word: schema }]);
  });

  test('of a user finds tables by schema and name', async () => {
    await using warehouse = await opened();
    await made(warehouse);
    expect(await warehouse.run('SELECT count(*)::INTEGER AS n FROM shop.orders')).toEqual([{ n: 0 }]);
  });
});

describe('a transaction', () => {
  test('is there as a whole, or not at all', async () => {
    const path = fresh();
    {
      await using warehouse = await opened(path);
      await made(warehouse);
      await warehouse.transaction(() => warehouse.run("INSERT INTO shop.orders VALUES (1, 'kept')"));
      const failing = warehouse.transaction(async () => {
        await warehouse.run("INSERT INTO shop.orders VALUES (2, 'lost')");
        await warehouse.run('CREATE TABLE shop.other (a int)');
        throw configError('no more');
      });
      await expect(failing).rejects.toThrow('no more');
    }
    await using again = await opened(path);
    expect(await rows(again)).toEqual([{ id: 1, word: 'kept' }]);
    await expect(again.run('SELECT * FROM shop.other')).rejects.toMatchObject({ kind: 'system_error', code: 'duckdb_catalog' });
  });

  test('in which a statement failed does not commit, even where the failure was caught', async () => {
    await using warehouse = await opened();
    await made(warehouse);
    const work = warehouse.transaction(async () => {
      await warehouse.run("INSERT INTO shop.orders VALUES (1, 'first')");
      await warehouse.run("INSERT INTO shop.orders VALUES (NULL, 'second')").catch(() => undefined);
      return 'done';
    });
    await expect(work).rejects.toMatchObject({ kind: 'system_error', code: 'duckdb_constraint' });
    expect(await rows(warehouse)).toEqual([]);
    await warehouse.transaction(() => warehouse.run("INSERT INTO shop.orders VALUES (3, 'next')"));
    expect(await rows(warehouse)).toEqual([{ id: 3, word: 'next' }]);
  });

  test('is left alone by a query over staged files that fails', async () => {
    await using warehouse = await opened();
    await made(warehouse);
    await warehouse.transaction(async () => {
      await warehouse.run("INSERT INTO shop.orders VALUES (1, 'a')");
      await expect(warehouse.query("SELECT * FROM read_parquet('/nowhere.parquet')")).rejects.toMatchObject({ kind: 'system_error', code: 'duckdb_io' });
    });
    expect(await rows(warehouse)).toEqual([{ id: 1, word: 'a' }]);
  });

  test('takes its temporary tables with it', async () => {
    await using warehouse = await opened();
    const { table, statements } = dialect.createTemporary('staged "1"', columns);
    for (const round of [1, 2]) {
      await warehouse.transaction(async () => {
        for (const sql of statements) await warehouse.run(sql);
        await warehouse.run(`INSERT INTO ${dialect.table(table)} VALUES ($1, 'x')`, [round]);
        expect(await rows(warehouse, table)).toEqual([{ id: round, word: 'x' }]);
      });
      expect(await warehouse.run('SELECT table_name FROM duckdb_tables() WHERE temporary')).toEqual([]);
    }
  });
});

describe('a load', () => {
  test('appends what a query over Parquet files gives, by name, and counts it', async () => {
    await using warehouse = await opened();
    await made(warehouse);
    const file = join(folder, 'words.parquet');
    const instance = await DuckDBInstance.create();
    const connection = await instance.connect();
    await connection.run(`COPY (SELECT i::INTEGER AS id, 'w' || i AS word FROM range(5000) t(i)) TO '${file}'`);
    instance.closeSync();
    const loaded = await warehouse.transaction(() =>
      warehouse.load({ table: orders, columns: [{ name: 'word', type: text }, { name: 'id', type: int }], select: `SELECT word, id FROM read_parquet('${file}') WHERE id < 4000` }));
    expect(loaded).toBe(4000);
    expect(await warehouse.run('SELECT count(*)::INTEGER AS n, max(word) AS w, sum(id)::INTEGER AS s FROM shop.orders')).toEqual([{ n: 4000, w: 'w999', s: 7_998_000 }]);
  });
});

test('our own columns hold what does not suit the way they are packed in', async () => {
  const path = fresh();
  const own = ['_airbyte_raw_id', '_tapline_order', '_airbyte_meta'].map((name) => ({ name, type: text, nullable: name !== '_tapline_order' }));
  const select = "SELECT repeat('x', i * 100), repeat(md5(i::VARCHAR), i % 300), CASE WHEN i % 2 = 0 THEN NULL ELSE repeat(md5((i + 1)::VARCHAR), 1 + i % 500) END FROM range(400) t(i)";
  {
    await using warehouse = await opened(path);
    await warehouse.run(dialect.createSchema('shop'));
    for (const sql of dialect.createTable(orders, own, [])) await warehouse.run(sql);
    await warehouse.transaction(() => warehouse.run(`INSERT INTO shop.orders ${select}`));
    await warehouse.transaction(() => warehouse.run(`INSERT INTO shop.orders ${select}`));
  }
  await using again = await opened(path);
  expect(await again.run(`SELECT count(*)::INTEGER AS n FROM (SELECT * FROM shop.orders EXCEPT ${select} UNION ALL (${select} EXCEPT SELECT * FROM shop.orders))`)).toEqual([{ n: 0 }]);
  expect(await again.run('SELECT count(*)::INTEGER AS n FROM shop.orders')).toEqual([{ n: 800 }]);
});

test('a key that takes nulls from now on takes them in the same transaction, and may be told so twice', async () => {
  await using warehouse = await opened();
  await made(warehouse);
  await warehouse.run("INSERT INTO shop.orders VALUES (1, 'a'), (2, 'b')");
  for (const id of [3, 4]) {
    await warehouse.transaction(async () => {
      for (const sql of dialect.dropKey(orders, ['id', 'word'])) await warehouse.run(sql);
      await warehouse.run('DELETE FROM shop.orders WHERE id = $1', [id - 2]);
      await warehouse.run('INSERT INTO shop.orders VALUES (NULL, NULL)');
    });
  }
  expect(await warehouse.run('SELECT count(*)::INTEGER AS n, count(id)::INTEGER AS ids FROM shop.orders')).toEqual([{ n: 2, ids: 0 }]);
});

describe('a table that takes the place of another', () => {
  const next = { schema: 'shop', table: '_tapline_next' };
  const away = { schema: '_tapline', table: 'g1 orders' };
  test.each([['of its schema', next], ['of another schema', away]])('%s: rows, columns and NOT NULL are its own; views, comments and indexes stay', async (_, from) => {
    await using warehouse = await opened();
    await made(warehouse);
    await made(warehouse, from);
    await warehouse.run(`INSERT INTO shop.orders VALUES (1, 'old'); CREATE VIEW shop.words AS SELECT word FROM shop.orders; CREATE INDEX "by word" ON shop.orders (word);
      COMMENT ON TABLE shop.orders IS 'it''s ours'; COMMENT ON COLUMN shop.orders.word IS 'a word'`);
    await warehouse.run(`ALTER TABLE ${dialect.table(from)} ADD COLUMN more INTEGER; INSERT INTO ${dialect.table(from)} VALUES (7, 'new', 8)`);
    await warehouse.transaction(() => warehouse.replaceTable(from, orders));
    expect(await rows(warehouse)).toEqual([{ id: 7, word: 'new', more: 8 }]);
    expect(await warehouse.run('SELECT * FROM shop.words')).toEqual([{ word: 'new' }]);
    expect(await warehouse.run("SELECT comment FROM duckdb_tables() WHERE table_name = 'orders'")).toEqual([{ comment: "it's ours" }]);
    expect(await warehouse.run("SELECT column_name AS c, comment, is_nullable AS n FROM duckdb_columns() WHERE table_name = 'orders' ORDER BY 1")).toEqual([
      { c: 'id', comment: null, n: false }, { c: 'more', comment: null, n: true }, { c: 'word', comment: 'a word', n: true },
    ]);
    expect(await warehouse.run("SELECT index_name FROM duckdb_indexes() WHERE schema_name = 'shop' AND table_name = 'orders'")).toEqual([{ index_name: 'by word' }]);
    expect(await warehouse.run("SELECT count(*)::INTEGER AS n FROM duckdb_tables() WHERE table_name <> 'orders'")).toEqual([{ n: 0 }]);
  });

  test('may find none', async () => {
    await using warehouse = await opened();
    await made(warehouse, next);
    await warehouse.run(`INSERT INTO ${dialect.table(next)} VALUES (7, 'new')`);
    await warehouse.transaction(() => warehouse.replaceTable(next, orders));
    expect(await rows(warehouse)).toEqual([{ id: 7, word: 'new' }]);
  });

  test('is not there where the transaction ends badly', async () => {
    await using warehouse = await opened();
    await made(warehouse);
    await made(warehouse, away);
    await warehouse.run("INSERT INTO shop.orders VALUES (1, 'old')");
    const failing = warehouse.transaction(async () => {
      await warehouse.replaceTable(away, orders);
      throw configError('no more');
    });
    await expect(failing).rejects.toThrow('no more');
    expect(await rows(warehouse)).toEqual([{ id: 1, word: 'old' }]);
    expect(await rows(warehouse, away)).toEqual([]);
  });

  test('does not replace a view', async () => {
    await using warehouse = await opened();
    await made(warehouse, next);
    await warehouse.run('CREATE VIEW shop.orders AS SELECT 1 AS a');
    await expect(warehouse.transaction(() => warehouse.replaceTable(next, orders))).rejects.toMatchObject({ kind: 'config_error', code: 'not_a_table' });
  });
});

test('a table that is written anew run after run takes no more of the disk than a few times its size', async () => {
  const path = fresh();
  const sizes: number[] = [];
  for (let run = 0; run < 10; run++) {
    {
      await using warehouse = await opened(path);
      await warehouse.transaction(async () => {
        for (const sql of [dialect.createSchema('shop'), ...dialect.createTable({ schema: 'shop', table: '_tapline_g1' }, columns, [])]) await warehouse.run(sql);
        await warehouse.run('INSERT INTO shop._tapline_g1 SELECT i, md5((i + $1)::VARCHAR) FROM range(200000) t(i)', [run]);
        await warehouse.replaceTable({ schema: 'shop', table: '_tapline_g1' }, orders);
      });
    }
    sizes.push((await stat(path)).size);
  }
  expect(Math.max(...sizes)).toBeLessThan(3.5 * sizes[0]!);
});

test('closed, a warehouse is one file, without a log beside it', async () => {
  const path = fresh();
  {
    await using warehouse = await opened(path);
    await made(warehouse);
    await warehouse.transaction(() => warehouse.run("INSERT INTO shop.orders VALUES (1, 'kept')"));
  }
  expect((await readdir(folder)).filter((name) => name.startsWith(`${files}.db`))).toEqual([`${files}.db`]);
  const instance = await DuckDBInstance.create(path);
  const connection = await instance.connect();
  expect((await connection.runAndReadAll('SELECT word FROM shop.orders')).getRowsJson()).toEqual([['kept']]);
  instance.closeSync();
});
