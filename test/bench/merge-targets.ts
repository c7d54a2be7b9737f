/** What the bench of merges needs of a warehouse: a large table, its copy for each run, and the statement of a hand. */
import { copyFile, rm } from 'node:fs/promises';
import type { PostgresServer } from '../services/index.js';
import { askDuckdb } from './ask-duckdb.js';
import { copyIn, copyOut, duckdb, hasPsql, shell } from './hand.js';

export interface MergeTarget {
  /** Of a sync; the same in each run. */
  readonly uri: string;
  /** One shell line that merges the source's table. */
  readonly byHand: string;
  /** The same from a prepared file: the destination's part alone. */
  readonly fromFile: string;
  /** Writes that file, from the source's table. */
  prepare(): Promise<unknown>;
  /** The rows that the first sync did not bring; what there is then is what {@link restore} brings back. */
  fill(rows: number): Promise<void>;
  restore(): Promise<void>;
  digest(): Promise<unknown>;
  drop(): Promise<void>;
}

const columns = ['id', 'customer_id', 'amount', 'status', 'note', 'created_at', 'attributes', 'paid', 'score', 'updated_at'];
const list = columns.join(', ');
const digestSql = 'SELECT count(*) AS n, sum(id) AS ids, sum(amount) AS amounts, count(note) AS notes, sum(customer_id) AS customers FROM public.events';
const own = '_airbyte_raw_id, _airbyte_extracted_at, _airbyte_meta, _airbyte_generation_id, _tapline_order';

/** Rows 1,001 to `rows`, in SQL that both engines know. */
const rowsSql = (series: string, json: string): string => `SELECT i, i * 7919 % 100000, (i * 31 % 10000000) / 100.0, 'paid', 'order ' || i || ' of ' || md5(CAST(i AS varchar)) || ', left at the door',
  timestamptz '2025-01-01', CAST('{"sku": "' || md5(CAST(i * 3 AS varchar)) || '"}' AS ${json}), i % 3 = 0, sin(i), timestamptz '2025-01-01',
  'filled-' || i, timestamptz '2025-01-02', CAST('{"changes":[]}' AS ${json}), 1, '00000000000000000000000000000000' FROM ${series}`;

export async function duckdbMerge(_server: PostgresServer, file: string, source: string): Promise<MergeTarget> {
  const filled = `${file}.filled`;
  const forms = "{id: 'BIGINT', customer_id: 'INTEGER', amount: 'DECIMAL(12,2)', status: 'VARCHAR', note: 'VARCHAR', created_at: 'TIMESTAMPTZ', attributes: 'VARCHAR', paid: 'BOOLEAN', score: 'DOUBLE', updated_at: 'TIMESTAMPTZ'}";
  const statement = `ATTACH '${file}' AS w; CREATE TEMP TABLE s AS SELECT * FROM read_csv('/dev/stdin', header = false, columns = ${forms}); BEGIN;
    DELETE FROM w.public.events AS t USING s WHERE t.id = s.id AND t.updated_at < s.updated_at; INSERT INTO w.public.events (${list}) SELECT ${list} FROM s; COMMIT; CHECKPOINT w`;
  const out = copyOut(await hasPsql(), source, `COPY (SELECT ${list} FROM events) TO STDOUT (FORMAT csv)`);
  const changes = `${file}.changes`;
  return {
    uri: `duckdb://${file}`,
    byHand: `${out} | ${duckdb(statement)}`,
    fromFile: `${duckdb(statement)} < '${changes}'`,
    prepare: () => shell(`${out} > '${changes}'`),
    async fill(rows) {
      await askDuckdb(`ATTACH '${file}' AS w; USE w; INSERT INTO public.events (${list}, ${own}) ${rowsSql(`range(1001, ${rows + 1}) t(i)`, 'varchar')}; CHECKPOINT w`);
      await copyFile(file, filled);
    },
    restore: async () => {
      await rm(`${file}.wal`, { force: true });
      await copyFile(filled, file);
    },
    digest: () => askDuckdb(`ATTACH '${file}' AS w; USE w; ${digestSql}`),
    drop: async () => void (await Promise.all([file, filled].map((path) => rm(path, { force: true })))),
  };
}

export async function postgresMerge(server: PostgresServer, file: string, source: string): Promise<MergeTarget> {
  const admin = server.database('postgres');
  const [name, filled] = ['bench_merge', 'bench_merge_filled'];
  const drop = (database: string): Promise<unknown> => admin.query(`DROP DATABASE IF EXISTS ${database} WITH (FORCE)`);
  await drop(name);
  await drop(filled);
  const { url } = await server.createDatabase(name);
  const set = columns.filter((column) => column !== 'id').map((column) => `${column} = excluded.${column}`).join(', ');
  const statement = `CREATE TEMP TABLE s AS SELECT ${list} FROM public.events LIMIT 0; COPY s FROM STDIN; ANALYZE s;
    INSERT INTO public.events AS t (${list}) SELECT ${list} FROM s ON CONFLICT (id) DO UPDATE SET ${set} WHERE t.updated_at < excluded.updated_at`;
  const psql = await hasPsql();
  const out = copyOut(psql, source, `COPY (SELECT ${list} FROM events) TO STDOUT`);
  const changes = `${file}.changes`;
  return {
    uri: url,
    byHand: `${out} | ${copyIn(psql, url, statement)}`,
    fromFile: `${copyIn(psql, url, statement)} < '${changes}'`,
    prepare: () => shell(`${out} > '${changes}'`),
    async fill(rows) {
      await server.database(name).query(`INSERT INTO public.events (${list}, ${own}) ${rowsSql(`generate_series(1001, ${rows}::bigint) i`, 'jsonb')}`);
      await server.database(name).query('VACUUM (ANALYZE) public.events');
      await admin.query(`ALTER DATABASE ${name} RENAME TO ${filled}`);
    },
    async restore() {
      await drop(name);
      await admin.query(`CREATE DATABASE ${name} TEMPLATE ${filled} STRATEGY FILE_COPY`);
      await admin.query('CHECKPOINT');
    },
    digest: () => server.database(name).query(digestSql),
    drop: async () => {
      await drop(name);
      await drop(filled);
    },
  };
}
