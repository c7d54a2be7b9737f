/** Changes a lake behind Tapline's back: what `verify` is there to notice. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { folderOf, parquetKeys, type Lake } from '../harness/lake.js';

/** Replaces each file of the stream by what `select` makes of it; `lake` is the name of the file's rows. */
export async function tamper(lake: Lake, table: string, select: string): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'tapline-tamper-'));
  const instance = await DuckDBInstance.create(':memory:', { autoinstall_known_extensions: 'false' });
  const connection = await instance.connect();
  try {
    for (const key of await parquetKeys(lake, folderOf('public', table))) {
      const [from, to] = [join(directory, 'from.parquet'), join(directory, 'to.parquet')];
      await writeFile(from, await lake.read(key));
      await connection.run(`COPY (WITH lake AS (SELECT * FROM read_parquet('${from}')) ${select}) TO '${to}' (FORMAT parquet)`);
      await lake.write(key, await readFile(to));
    }
  } finally {
    connection.closeSync();
    instance.closeSync();
    await rm(directory, { recursive: true, force: true });
  }
}
