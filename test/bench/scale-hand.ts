import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Contestant } from './comparison.js';
import { shell } from './hand.js';
import { benchProgram } from './tapline.js';

export interface ManyByHand {
  /** Each half of it alone, the second from the files that the first has left. */
  readonly copies: Contestant;
  readonly files: Contestant;
  readonly whole: Contestant;
  /** Of the Parquet files, a folder a table. */
  readonly lake: string;
}

/** What an expert would write for many tables named t1, t2 …: one psql session that copies all of them into files, one DuckDB that reads them. */
export async function manyByHand({ dir, url, tables, postgresPid }: { dir: string; url: string; tables: number; postgresPid: number }): Promise<ManyByHand> {
  const [csv, lake, copySql, loadSql] = [join(dir, 'csv'), join(dir, 'lake'), join(dir, 'copy.sql'), join(dir, 'load.sql')];
  await mkdir(csv, { recursive: true });
  const names = Array.from({ length: tables }, (_, at) => `t${at + 1}`);
  await writeFile(copySql, names.map((name) => `\\copy ${name} to '${csv}/${name}.csv' csv\n`).join(''));
  await writeFile(loadSql, names.map((name) => `COPY (SELECT * FROM read_csv('${csv}/${name}.csv', header = false, columns = {id: 'INTEGER', word: 'VARCHAR'})) TO '${lake}/${name}/${name}.parquet' (FORMAT parquet, COMPRESSION zstd);\n`).join(''));
  const copy = `psql -X -q '${url}' -f '${copySql}'`;
  const load = `'${process.execPath}' '${benchProgram('duckdb-run.js')}' - < '${loadSql}'`;
  const prepare = async (): Promise<void> => {
    await rm(lake, { recursive: true, force: true });
    for (const name of names) await mkdir(join(lake, name), { recursive: true });
  };
  return {
    copies: { run: () => shell(copy, postgresPid) },
    files: { prepare, run: () => shell(load) },
    whole: { prepare, run: () => shell(`${copy}; ${load}`, postgresPid) },
    lake,
  };
}
