import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { measure } from '../measure.js';
import type { FindPeers } from './peer.js';
import { virtualenv } from './virtualenv.js';

const version = '1.4.11';

/** The last version whose program is in a package of pip; by its own writer, as it would fetch a DuckDB for the other one. */
export const findSling: FindPeers = async ({ url, dir, postgresPid }) => {
  const venv = await virtualenv('sling', [`sling-linux-amd64==${version}`]);
  const { stdout } = await measure(join(venv, 'bin', 'python'), ['-c', 'import os, sling_linux_amd64 as s; print(os.path.join(os.path.dirname(s.__file__), "bin", "sling-linux-amd64"))'], { memory: false });
  const file = join(dir, 'events.parquet');
  const env = { HOME: dir, SLING_DISABLE_TELEMETRY: 'TRUE', SLING_DUCKDB_COMPUTE: 'false', BENCH: `${url}?sslmode=disable` };
  return [{
    name: `sling ${version}`,
    prepare: () => rm(file, { recursive: true, force: true }),
    run: () => measure(stdout.trim(), ['run', '--src-conn', 'BENCH', '--src-stream', 'public.events', '--tgt-object', `file://${file}`], { postgresPid, cwd: dir, env }),
    rows: () => `'${file}'`,
  }];
};
