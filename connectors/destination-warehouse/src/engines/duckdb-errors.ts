/**
 * What DuckDB's errors mean to the user. It has no codes: its errors begin with their kind, and go on in words that may quote a value
 * of a row, so that nothing of them gets into ours but paths and numbers.
 */
import { configError, ConnectorError, systemError, transientError } from '@tapline/protocol';

export interface ErrorPlace {
  /** The warehouse's file. */
  readonly path: string;
  /** Where the engine spills. */
  readonly scratch: string;
  readonly memoryBytes: number;
}

interface Rule {
  readonly test: RegExp;
  /** Also for errors about a name, which they do not quote: a table may be called `corrupt`. */
  readonly names?: true;
  tell(place: ErrorPlace, match: RegExpExecArray, message: string): ConnectorError;
}

const retried = 'What was committed is safe; the next run goes on from there.';
const config = (code: string, message: string): ConnectorError => configError(message, { code });

const rules: readonly Rule[] = [
  {
    test: /Could not set lock on file .*?(?:held in (.+?) \(PID (\d+)\)|$)/s,
    tell: ({ path }, [, program, pid]) =>
      transientError(`the DuckDB file ${path} is open in another process${pid ? ` (pid ${pid}, ${program})` : ''}: end it, or let it close the file`, { code: 'locked' }),
  },
  {
    test: /no space left on device|disk quota exceeded|could not write all bytes|failed to offload/i,
    tell: ({ path, scratch }, [word], message) =>
      message.includes(scratch) || word === 'failed to offload'
        ? config('staging', `the disk is full where ${scratch} lies: free some space, or set staging_dir to another folder. ${retried}`)
        : config('disk_full', `the disk is full: cannot write to the DuckDB file ${path}. Free some space. ${retried}`),
  },
  {
    // Wherever it stands: a commit that fails for memory is told as one that was damaged, or as a checkpoint that failed.
    test: /out of memory|failed to (?:allocate|pin|reserve)|could not allocate/i,
    tell: ({ memoryBytes }) => config('memory', `DuckDB needs more memory than the ${Math.floor(memoryBytes / 1_000_000)} MB it has: raise memory_mb, or lower flush_mb, so that a commit holds less. Very wide rows need some 2,000 times their width. ${retried}`),
  },
  { test: /read-only file system/i, tell: ({ path }) => config('not_writable', `cannot write to the DuckDB file ${path}: its disk is mounted read-only`) },
  {
    test: /permission denied|operation not permitted|attached in read-only mode|cannot execute statement of type .* read-only/i,
    tell: ({ path }) => config('not_writable', `no permission to write to the DuckDB file ${path}, or in its folder, where its log is kept: give the user of this process the rights, or choose another file`),
  },
  { test: /is a directory/i, tell: ({ path }) => config('not_a_file', `${path} is a folder: name a file in it, such as ${path}/warehouse.db`) },
  {
    test: /not a valid DuckDB database file/i,
    tell: ({ path }) => config('not_duckdb', `${path} is there, but is no DuckDB file: name another file, or remove this one if nobody needs it`),
  },
  {
    test: /version number (\d+), but we can only read versions? (?:between (\d+) and (\d+)|(\d+))|newer version of DuckDB|(?:older|newer) DuckDB version/i,
    tell: ({ path }, [, version]) =>
      config('newer_version', `the DuckDB file ${path} was written by a newer DuckDB${version ? ` (storage version ${version})` : ''} than the one in this connector: update Tapline, or export the file to an older storage version (ATTACH … (STORAGE_VERSION 'v1.0.0'); COPY FROM DATABASE)`),
  },
  { test: /encrypt/i, tell: ({ path }) => config('encrypted', `the DuckDB file ${path} is encrypted, which is not supported: name another file`) },
  {
    test: /replaying wal|write-ahead log|wal file/i,
    tell: ({ path }) => config('damaged', `the log ${path}.wal does not fit its DuckDB file, or is damaged: restore both from a backup, or move the log away if what it holds may be lost`),
  },
  {
    test: /corrupt|checksum|could not read enough bytes|serialization error/i,
    tell: ({ path }) => config('damaged', `the DuckDB file ${path} is damaged: restore it from a backup, or name another file and load it anew`),
  },
  {
    names: true,
    test: /^Dependency Error|an index depends on/,
    tell: ({ path }) => config('depended_on', `an index or another table of the DuckDB file ${path} depends on a table that has to change: drop it, and make it again after the run (post_sql)`),
  },
  {
    test: /database has been invalidated/i,
    tell: ({ path }) => systemError(`DuckDB has given up on ${path} after an earlier error. ${retried}`, { code: 'duckdb_invalidated' }),
  },
  {
    names: true,
    test: /because this table is main key table/i,
    tell: ({ path }) => config('depended_on', `a table of the DuckDB file ${path} has a foreign key to one that has to be replaced: drop that table or its key`),
  },
];

/** A {@link ConnectorError} comes back as it is. */
export function duckdbError(error: unknown, place: ErrorPlace): ConnectorError {
  if (error instanceof ConnectorError) return error;
  const message = error instanceof Error ? error.message : String(error);
  // Names, values and statements that it quotes are not its own words.
  const words = message.split(/\n\s*LINE \d+:/, 1)[0]!.replaceAll(/"[^"]*"|'[^']*'/g, "''");
  const aboutNames = /^(?:Catalog|Binder|Parser) Error/.test(message);
  for (const { test, names, tell } of rules) {
    const match = aboutNames && !names ? null : test.exec(words);
    if (match) return withCause(tell(place, match, message), error);
  }
  const kind = /^([A-Z][A-Za-z ]{1,30}) Error:/.exec(message)?.[1] ?? 'unknown';
  // These tell names, paths and what the system said; the others may tell a value.
  const more = ['IO', 'Catalog', 'Binder', 'Parser'].includes(kind) ? `: ${message.split('\n', 1)[0]!.slice(kind.length + ' Error: '.length)}` : '';
  return systemError(`DuckDB refused a statement on ${place.path} (${kind} error)${more}`, { code: `duckdb_${kind.toLowerCase().replaceAll(' ', '_')}`, cause: error });
}

const withCause = (error: ConnectorError, cause: unknown): ConnectorError => Object.assign(error, { cause });
