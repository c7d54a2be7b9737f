import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { workspaceRoot } from '../../services/index.js';
import { measure } from '../measure.js';
import type { FindPeers } from './peer.js';
import { virtualenv } from './virtualenv.js';

const version = '1.31.0';
const packages = [`dlt[parquet,filesystem]==${version}`, 'connectorx==0.4.6', 'sqlalchemy==2.1.9', 'psycopg2-binary==2.9.13', 'pyarrow==26.0.1'];
const program = join(workspaceRoot, 'test', 'bench', 'peers', 'dlt_events.py');

/** As it comes, and with its two quicker readers. */
export const findDlt: FindPeers = async ({ url, dir, postgresPid }) => {
  const venv = await virtualenv('dlt', packages);
  return ['sqlalchemy', 'pyarrow', 'connectorx'].map((backend) => {
    const folder = join(dir, backend);
    const args = [program, url.replace(/^postgres:/, 'postgresql+psycopg2:'), folder, backend];
    return {
      name: `dlt ${version}, ${backend}`,
      prepare: () => rm(folder, { recursive: true, force: true }),
      run: () => measure(join(venv, 'bin', 'python'), args, { postgresPid, cwd: dir, env: { HOME: dir, RUNTIME__DLTHUB_TELEMETRY: 'false' } }),
      rows: () => `'${join(folder, 'bench/events/*.parquet')}'`,
    };
  });
};
