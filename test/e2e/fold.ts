/** A lake of changes, folded to the latest row of each key, held against a lake of rows: value for value. */
import { DuckDBInstance, type DuckDBConnection } from '@duckdb/node-api';
import { folderOf, parquetKeys, type Lake } from '../harness/lake.js';

/** What differs between the folded stream of `changes` and the rows of `rows`, both folders; empty = the same. `key`: an integer. */
export async function foldedDifferences(changes: Lake, rows: Lake, tables: readonly string[], key = 'id'): Promise<string[]> {
  const instance = await DuckDBInstance.create(':memory:', { autoinstall_known_extensions: 'false' });
  const connection = await instance.connect();
  try {
    const found: string[] = [];
    for (const table of tables) {
      const here = await view(connection, `folded_${table}`, changes, table, `QUALIFY row_number() OVER (PARTITION BY "${key}" ORDER BY _tapline_order DESC) = 1`);
      const there = await view(connection, `fresh_${table}`, rows, table, '');
      if (!here || !there) {
        if (Boolean(here) !== Boolean(there) && (await anyRow(connection, here ? `folded_${table} WHERE _ab_cdc_deleted_at IS NULL` : `fresh_${table}`))) found.push(`${table}: there in one of the two only`);
        continue;
      }
      await connection.run(`CREATE TABLE alive_${table} AS SELECT * FROM folded_${table} WHERE _ab_cdc_deleted_at IS NULL`);
      found.push(...(await differencesOf(connection, table, key, here, there)));
    }
    return found;
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}

type Columns = ReadonlyMap<string, string>;

async function differencesOf(connection: DuckDBConnection, table: string, key: string, here: Columns, there: Columns): Promise<string[]> {
  const found: string[] = [];
  const ask = async (sql: string): Promise<unknown[][]> => (await connection.runAndReadAll(sql)).getRows();
  for (const [from, to, what] of [[`alive_${table}`, `fresh_${table}`, 'only in the stream'], [`fresh_${table}`, `alive_${table}`, 'missing in the stream']] as const) {
    const ids = (await ask(`SELECT "${key}" FROM ${from} EXCEPT SELECT "${key}" FROM ${to} ORDER BY 1 LIMIT 10`)).map(([id]) => String(id as number));
    if (ids.length > 0) found.push(`${table}: rows ${what}: ${ids.join(', ')}`);
  }
  for (const [column, type] of there) {
    if (/^_airbyte_|^_tapline_|^_ab_cdc_/.test(column)) continue;
    // A change of type went on in a column of its own.
    const candidates = [...here.keys()].filter((name) => name === column || name.startsWith(`${column}__`));
    let best: string[] | undefined;
    for (const candidate of candidates) {
      const rows = await ask(
        `SELECT a."${key}", left(f."${column}"::VARCHAR, 60), left(a."${candidate}"::VARCHAR, 60) FROM alive_${table} a JOIN fresh_${table} f ON a."${key}" = f."${key}"
           WHERE TRY_CAST(a."${candidate}" AS ${type}) IS DISTINCT FROM f."${column}" OR (a."${candidate}" IS NULL) <> (f."${column}" IS NULL) ORDER BY 1 LIMIT 5`,
      );
      const wrong = rows.map(([id, want, got]) => `${table}.${column} (${type}) of row ${String(id as number)}: ${JSON.stringify(want)} in the table, ${JSON.stringify(got)} in the stream's ${candidate} (${here.get(candidate)})`);
      if (!best || wrong.length < best.length) best = wrong;
    }
    found.push(...(best ?? [`${table}.${column}: no such column in the stream`]));
  }
  return found;
}

/** undefined: it has no file. */
async function view(connection: DuckDBConnection, name: string, lake: Lake, table: string, clause: string): Promise<Columns | undefined> {
  const files = (await parquetKeys(lake, folderOf('public', table))).map((key) => `'${lake.path!}/${key}'`);
  if (files.length === 0) return undefined;
  await connection.run(`CREATE TABLE ${name} AS SELECT * FROM read_parquet([${files.join(', ')}], union_by_name = true, hive_partitioning = false) ${clause}`);
  const columns = (await connection.runAndReadAll(`DESCRIBE ${name}`)).getRows();
  return new Map(columns.map(([column, type]) => [column as string, type as string]));
}

const anyRow = async (connection: DuckDBConnection, from: string): Promise<boolean> => (await connection.runAndReadAll(`SELECT 1 FROM ${from} LIMIT 1`)).getRows().length > 0;
