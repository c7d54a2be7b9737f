/** What an expert would type to bring a table of PostgreSQL elsewhere, and the parts of it alone: the least that any program has to do. */
import { mixedColumns } from './bench-server.js';
import { measure, type Measured } from './measure.js';
import { benchProgram } from './tapline.js';

const quote = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;
const node = quote(process.execPath);

export const hasPsql = (): Promise<boolean> => measure('psql', ['--version'], { memory: false }).then(() => true, () => false);

const copyByNode = (program: string, url: string, sql: string): string => `${node} ${quote(benchProgram(program))} ${quote(url)} ${quote(sql)}`;
const copyByPsql = (url: string, sql: string): string => `psql -X -q ${quote(url)} -c ${quote(sql)}`;
export const copyOut = (psql: boolean, url: string, sql: string): string => (psql ? copyByPsql(url, sql) : copyByNode('copy-out.js', url, sql));
export const copyIn = (psql: boolean, url: string, sql: string): string => (psql ? copyByPsql(url, sql) : copyByNode('copy-in.js', url, sql));
export const duckdb = (sql: string): string => `${node} ${quote(benchProgram('duckdb-run.js'))} ${quote(sql)}`;
export const shell = (line: string, postgresPid?: number): Promise<Measured> => measure('/bin/sh', ['-c', `set -e; ${line}`], postgresPid ? { postgresPid } : {});

const copyCsv = 'COPY (SELECT * FROM events) TO STDOUT (FORMAT csv)';
const columns = `{${Object.entries(mixedColumns).map(([name, type]) => `${name}: '${type}'`).join(', ')}}`;
const csv = `read_csv('/dev/stdin', header = false, columns = ${columns})`;
const zstdFile = (file: string): string => `TO '${file}' (FORMAT parquet, COMPRESSION zstd)`;

/** COPY out as text, into a table that is there, is empty, and has no key yet. */
export const pipeIntoPostgres = (psql: boolean, source: string, dest: string): string =>
  `${copyOut(psql, source, 'COPY events TO STDOUT')} | ${copyIn(psql, dest, 'COPY events FROM STDIN')}`;
/** COPY out as CSV, into a new table of a DuckDB file. */
export const pipeIntoDuckdb = (psql: boolean, source: string, file: string): string =>
  `${copyOut(psql, source, copyCsv)} | ${duckdb(`ATTACH '${file}' AS w; CREATE TABLE w.events AS SELECT * FROM ${csv}; CHECKPOINT w`)}`;
/** COPY out as CSV, into one Parquet file. */
export const pipeIntoParquet = (psql: boolean, source: string, file: string): string =>
  `${copyOut(psql, source, copyCsv)} | ${duckdb(`COPY (SELECT * FROM ${csv}) ${zstdFile(file)}`)}`;

/** Bytes of the table as CSV: what the rates in MB count, whichever way it travels. */
export async function csvBytes(url: string): Promise<number> {
  const { stdout } = await measure(process.execPath, [benchProgram('copy-out.js'), url, copyCsv, 'discard'], { memory: false });
  return Number(stdout);
}

/** The source's part: the server's quickest form, thrown away. */
export const copyToNothing = (url: string, postgresPid: number): Promise<Measured> =>
  measure(process.execPath, [benchProgram('copy-out.js'), url, 'COPY events TO STDOUT (FORMAT binary)', 'discard'], { postgresPid });

/** Input for the destination's part: the table as a Parquet file that costs next to nothing to read. */
export async function prepareParquet(psql: boolean, url: string, file: string): Promise<void> {
  await shell(`${copyOut(psql, url, copyCsv)} | ${duckdb(`COPY (SELECT * FROM ${csv}) TO '${file}' (FORMAT parquet, COMPRESSION uncompressed, DICTIONARY_SIZE_LIMIT 0)`)}`);
}

/** The destination's part, where Parquet is wanted: from that file into zstd at its quickest, as ours is. */
export const parquetToParquet = (from: string, to: string): Promise<Measured> =>
  shell(duckdb(`COPY (SELECT * FROM '${from}') TO '${to}' (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)`));
