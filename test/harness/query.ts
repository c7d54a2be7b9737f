/** SQL over what a lake holds, where speed counts: the engine reads, tables are large. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { parquetKeys, type Lake } from './lake.js';

/** Gives the first column of the first row. */
export type Ask = (sql: string) => Promise<unknown>;

/** `streams`: view name to folder. A view exists only if the folder has a Parquet file; `present` says which do. */
export async function queryLake<T>(lake: Lake, streams: Readonly<Record<string, string>>, use: (ask: Ask, present: ReadonlySet<string>) => Promise<T>): Promise<T> {
  const directory = await mkdtemp(join(tmpdir(), 'tapline-query-'));
  const instance = await DuckDBInstance.create(':memory:', { threads: '2', autoinstall_known_extensions: 'false' });
  const connection = await instance.connect();
  try {
    const present = new Set<string>();
    for (const [name, folder] of Object.entries(streams)) {
      const keys = await parquetKeys(lake, folder);
      if (keys.length === 0) continue;
      const files = await Promise.all(
        keys.map(async (key) => {
          const file = lake.path === undefined ? join(directory, key) : join(lake.path, key);
          if (lake.path === undefined) {
            await mkdir(dirname(file), { recursive: true });
            await writeFile(file, await lake.read(key));
          }
          return `'${file.replaceAll("'", "''")}'`;
        }),
      );
      await connection.run(`CREATE VIEW ${name} AS SELECT * FROM read_parquet([${files.join(', ')}], union_by_name = true, hive_partitioning = false)`);
      present.add(name);
    }
    return await use(async (sql) => (await connection.runAndReadAll(sql)).getRows()[0]?.[0], present);
  } finally {
    connection.closeSync();
    instance.closeSync();
    await rm(directory, { recursive: true, force: true });
  }
}

/** `<rows> rows, <distinct> distinct <column>` of one stream. */
export const countOf = (lake: Lake, folder: string, column = 'id'): Promise<string> =>
  queryLake(lake, { stream: folder }, async (ask, present) =>
    present.size === 0 ? '0 rows' : String(await ask(`SELECT count(*) || ' rows, ' || count(DISTINCT "${column}") || ' distinct ${column}' FROM stream`)),
  );
