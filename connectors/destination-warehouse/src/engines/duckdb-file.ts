/** The file of a DuckDB warehouse: there as a whole, ours alone, and attached. */
import type { DuckDBConnection } from '@duckdb/node-api';
import { access, constants, link, mkdir, realpath, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { configError, ConnectorError, transientError } from '@tapline/protocol';
import { sqlString } from '@tapline/columnar';
import { catalogName } from '../dialects/duckdb-name.js';

/** The engine's lock is the process's: a second warehouse of the same process would get it, too. */
const open = new Set<string>();

/** Makes the file if there is none, with its folder, and attaches it. Resolves with what gives it free for this process. */
export async function attachFile(connection: DuckDBConnection, path: string): Promise<() => void> {
  await prepare(connection, path);
  const real = await realpath(path);
  if (open.has(real)) throw transientError(`the DuckDB file ${path} is open in this process already (pid ${process.pid})`, { code: 'locked' });
  open.add(real);
  try {
    await connection.run(`ATTACH ${sqlString(path)} AS ${catalogName} (TYPE duckdb, READ_WRITE)`);
    await connection.run(`USE ${catalogName}`);
  } catch (error) {
    open.delete(real);
    throw error;
  }
  return () => void open.delete(real);
}

async function prepare(connection: DuckDBConnection, path: string): Promise<void> {
  const found = await stat(path).catch(absent);
  if (!found) return await make(connection, path);
  if (found.isDirectory()) throw configError(`${path} is a folder: name a file in it, such as ${join(path, 'warehouse.db')}`, { code: 'not_a_file' });
  if (!found.isFile()) throw configError(`${path} is no regular file: name another one`, { code: 'not_a_file' });
  if (found.size === 0) throw configError(`${path} is empty, so it is no DuckDB file: remove it, and the run makes a new one`, { code: 'not_duckdb' });
  // The engine would find out at the first commit: its log lies beside the file.
  await writable(path, constants.R_OK | constants.W_OK, path);
  await writable(dirname(path), constants.W_OK | constants.X_OK, path);
}

/** Under another name first: a process killed in between leaves no half of a file in its place. */
async function make(connection: DuckDBConnection, path: string): Promise<void> {
  const folder = dirname(path);
  await mkdir(folder, { recursive: true }).catch((error: unknown) => refused(error, folder));
  await writable(folder, constants.W_OK | constants.X_OK, path);
  if (await stat(`${path}.wal`).catch(absent)) {
    throw configError(`${path} is gone, but its log ${path}.wal is there: put the file back, or remove the log, too, if the warehouse is to begin anew`, { code: 'damaged' });
  }
  const draft = join(folder, `.${basename(path)}.${process.pid}.new`);
  try {
    await connection.run(`ATTACH ${sqlString(draft)} AS ${catalogName} (TYPE duckdb)`);
    await connection.run(`CHECKPOINT ${catalogName}`);
    await connection.run(`DETACH ${catalogName}`);
    // A link does not replace what another process has made meanwhile; not every disk knows links.
    await link(draft, path).catch(async (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') await rename(draft, path);
    });
  } finally {
    await Promise.all([draft, `${draft}.wal`].map((file) => rm(file, { force: true })));
  }
}

async function writable(place: string, mode: number, path: string): Promise<void> {
  await access(place, mode).catch((error: NodeJS.ErrnoException) => {
    const why = error.code === 'EROFS' ? 'its disk is mounted read-only' : place === path ? 'this user may not write to it' : `this user may not write to its folder ${place}, where its log is kept`;
    throw configError(`cannot write to the DuckDB file ${path}: ${why}. Give the user of this process the rights, or name another file`, { code: 'not_writable', cause: error });
  });
}

function refused(error: unknown, folder: string): never {
  if (error instanceof ConnectorError) throw error;
  const code = (error as NodeJS.ErrnoException).code ?? 'unknown';
  const why = { EACCES: 'this user may not', EROFS: 'its disk is mounted read-only', ENOSPC: 'its disk is full', ENOTDIR: 'a part of its path is a file', EEXIST: 'a file stands in its place' }[code] ?? code;
  throw configError(`cannot make the folder ${folder} for the DuckDB file: ${why}`, { code: code === 'ENOSPC' ? 'disk_full' : 'not_writable', cause: error });
}

function absent(error: NodeJS.ErrnoException): undefined {
  // A part of the path that is a file is told where the folder is made.
  if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined;
  throw configError(`cannot read the DuckDB file's place: ${error.code ?? 'unknown error'}. Give the user of this process the rights, or name another file`, { code: 'not_writable', cause: error });
}
