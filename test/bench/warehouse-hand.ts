/** What an expert would type to bring a table of PostgreSQL into a warehouse, and what is in it then. */
import { fileURLToPath } from 'node:url';
import { mixedColumns } from './bench-server.js';
import { measure } from './measure.js';

const script = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
const quote = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;
const node = quote(process.execPath);

export const hasPsql = (): Promise<boolean> => measure('psql', ['--version'], { memory: false }).then(() => true, () => false);

export const copyOut = (psql: boolean, url: string, sql: string): string =>
  psql ? `psql -X -q ${quote(url)} -c ${quote(sql)}` : `${node} ${quote(script('copy-out.js'))} ${quote(url)} ${quote(sql)}`;
export const copyIn = (psql: boolean, url: string, sql: string): string =>
  psql ? `psql -X -q ${quote(url)} -c ${quote(sql)}` : `${node} ${quote(script('copy-in.js'))} ${quote(url)} ${quote(sql)}`;
export const duckdb = (sql: string): string => `${node} ${quote(script('duckdb-run.js'))} ${quote(sql)}`;

/** One shell line: COPY out, into a table that is there, is empty, and has no key yet. */
export function pipeIntoPostgres(psql: boolean, source: string, dest: string): string {
  return `set -e; ${copyOut(psql, source, 'COPY events TO STDOUT')} | ${copyIn(psql, dest, 'COPY events FROM STDIN')}`;
}

/** One shell line: COPY out as CSV, into a new table of a DuckDB file. */
export function pipeIntoDuckdb(psql: boolean, source: string, file: string): string {
  const columns = `{${Object.entries(mixedColumns).map(([name, type]) => `${name}: '${type}'`).join(', ')}}`;
  const load = `ATTACH '${file}' AS w; CREATE TABLE w.events AS SELECT * FROM read_csv('/dev/stdin', header = false, columns = ${columns}); CHECKPOINT w`;
  return `set -e; ${copyOut(psql, source, 'COPY (SELECT * FROM events) TO STDOUT (FORMAT csv)')} | ${duckdb(load)}`;
}

/** A few sums over the table: what is not right need not be fast. */
export const digestSql = (table: string): string =>
  `SELECT count(*) AS n, sum(id) AS ids, sum(amount) AS amounts, count(note) AS notes, max(created_at) = timestamptz '2025-01-01' AS none, sum(customer_id) AS customers, count(score) AS scores FROM ${table}`;

/** Rows of a statement on a DuckDB file, attached as `w`; the last one's where there are several. */
export async function askDuckdb(file: string, sql: string): Promise<unknown[]> {
  const { stdout } = await measure(process.execPath, [script('duckdb-run.js'), `ATTACH '${file}' AS w; USE w; ${sql}`], { memory: false });
  return JSON.parse(stdout) as unknown[];
}
