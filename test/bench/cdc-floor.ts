import { accessSync, constants, readdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { TestDatabase } from '../services/index.js';
import { benchProgram } from './tapline.js';

/** The least that can read a slot: what any other reader is measured by. */
export interface Floor {
  readonly name: string;
  /** Where its program was found. */
  readonly found: string;
  command(slot: string, publication: string, end: string): { command: string; args: string[]; env: Record<string, string> };
}

/** pg_recvlogical where there is one, else a reader of our own that does as little. */
export function findFloor(database: TestDatabase): Floor {
  const program = pgRecvlogical();
  const own = benchProgram('replication-reader.js');
  if (!program) {
    return {
      name: 'plain reader to nothing',
      found: 'no pg_recvlogical on this machine: in its place test/bench/replication-reader.ts',
      command: (slot, publication, end) => ({ command: process.execPath, args: [own, database.url, slot, publication, end], env: {} }),
    };
  }
  const { host, port, user, password, name } = database;
  return {
    name: 'pg_recvlogical to nothing',
    found: program,
    command: (slot, publication, end) => ({
      command: program,
      args: [
        '--start', '--no-loop', '-h', host, '-p', String(port), '-U', user, '-d', name, '-S', slot, '-f', '/dev/null',
        '-o', 'proto_version=1', '-o', `publication_names=${publication}`, `--endpos=${end}`,
      ],
      env: { PGPASSWORD: password },
    }),
  };
}

/** Debian keeps the programs of each version in a folder of their own; what stands on PATH is a script that chooses one. */
function pgRecvlogical(): string | undefined {
  const parent = '/usr/lib/postgresql';
  const versions = list(parent).sort((a, b) => Number(b) - Number(a)).map((version) => join(parent, version, 'bin'));
  const path = (process.env['PATH'] ?? '').split(delimiter).filter(Boolean);
  return [...versions, ...path].map((folder) => join(folder, 'pg_recvlogical')).find(executable);
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function executable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
