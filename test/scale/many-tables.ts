import assert from 'node:assert/strict';
import { megabytes, seconds } from '../bench/report.js';
import type { Figures } from './figures.js';
import { createWorld } from './world.js';

/** A thousand small tables: copied, then followed, by one slot; each has all its rows, and a run with nothing to do stays short. */
export async function manyTables({ tables = 1000 }: { tables?: number } = {}): Promise<Figures> {
  await using world = await createWorld({ conf: { max_locks_per_transaction: 256 } });
  const { database } = world;
  const name = `'t' || lpad(i::text, 5, '0')`;
  const each = (sql: string) => `DO $do$ BEGIN FOR i IN 1..${tables} LOOP EXECUTE format($sql$ ${sql} $sql$, ${name}, i); END LOOP; END $do$`;
  for (let first = 1; first <= tables; first += 100) {
    await database.query(`DO $$ BEGIN FOR i IN ${first}..${Math.min(tables, first + 99)} LOOP
      EXECUTE format('CREATE TABLE %1$I (id int PRIMARY KEY, word text); INSERT INTO %1$I SELECT n, ''word '' || n || '' of %2$s'' FROM generate_series(1, 10) n', ${name}, i); END LOOP; END $$`);
  }
  const copied = await world.sync();
  assert.equal(copied.records, tables * 10, 'rows of the copies');

  // All tables in one transaction, then each in one of its own.
  await database.query(each(`INSERT INTO %1$I VALUES (11, 'new in %2$s'); UPDATE %1$I SET word = word || '!' WHERE id = 5`));
  await database.query(`DO $do$ BEGIN FOR i IN 1..${tables} LOOP EXECUTE format('DELETE FROM %I WHERE id = 1', ${name}); COMMIT; END LOOP; END $do$`);
  const followed = await world.sync();
  assert.equal(followed.records, tables * 3, 'changes');
  const idle = await world.sync();
  assert.equal(idle.records, 0);

  await database.query(`CREATE FUNCTION contents() RETURNS SETOF text LANGUAGE plpgsql AS $$ BEGIN FOR i IN 1..${tables} LOOP
    RETURN QUERY EXECUTE format('SELECT concat_ws('' '', %1$L, count(*), sum(id), string_agg(word, '','' ORDER BY id)) FROM %1$I', ${name}); END LOOP; END $$`);
  const theirs = (await database.query<{ contents: string }>('SELECT contents() COLLATE "C" AS contents ORDER BY 1')).map(({ contents }) => contents);
  const ours = await world.ask<{ contents: string }>(`
    WITH rows AS (SELECT *, split_part(filename, '/', -2) AS stream FROM read_parquet('${world.files('t*')}', filename = true, union_by_name = true)),
      folded AS (SELECT * FROM rows QUALIFY row_number() OVER (PARTITION BY stream, id ORDER BY _tapline_order DESC) = 1)
    SELECT concat_ws(' ', stream, count(*), sum(id), string_agg(word, ',' ORDER BY id)) AS contents FROM folded WHERE _ab_cdc_deleted_at IS NULL GROUP BY stream ORDER BY 1`);
  assert.deepEqual(ours.map(({ contents }) => contents), theirs);
  const [rows] = await world.ask(`SELECT count(*) AS n FROM '${world.files('t*')}'`);
  assert.equal(rows?.['n'], String(tables * 13), 'rows in the lake');
  return {
    tables: tables.toLocaleString('en'),
    'copy of all': `${seconds(copied.wallSeconds)}, tree ${megabytes(copied.peakPssBytes)}`,
    'a change in each, thrice': `${seconds(followed.wallSeconds)}, tree ${megabytes(followed.peakPssBytes)}`,
    'nothing to do': `${seconds(idle.wallSeconds)}, tree ${megabytes(idle.peakPssBytes)}`,
    files: String(await world.countFiles()),
  };
}
