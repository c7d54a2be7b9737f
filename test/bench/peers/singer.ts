import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { mixedColumns } from '../bench-server.js';
import { measure } from '../measure.js';
import type { FindPeers } from './peer.js';
import { virtualenv } from './virtualenv.js';

const [tapVersion, targetVersion] = ['0.10.0', '0.1.4'];

interface SingerStream {
  replication_method?: string;
  metadata: { breadcrumb: string[]; metadata: Record<string, unknown> }[];
}

/** A tap into a target that writes JSON lines: no target that writes Parquet and is kept up installs from the registries. */
export const findSinger: FindPeers = async ({ url, dir, postgresPid }) => {
  const tap = join(await virtualenv('tap-postgres', [`meltanolabs-tap-postgres==${tapVersion}`]), 'bin', 'tap-postgres');
  const target = join(await virtualenv('target-jsonl', [`target-jsonl==${targetVersion}`]), 'bin', 'target-jsonl');
  const [config, catalog, into, out] = ['tap.json', 'catalog.json', 'target.json', 'out'].map((name) => join(dir, name)) as [string, string, string, string];
  await writeFile(config, JSON.stringify({ sqlalchemy_url: url.replace(/^postgres:/, 'postgresql+psycopg2:'), filter_schemas: ['public'] }));
  await writeFile(into, JSON.stringify({ destination_path: out }));
  const { stdout } = await measure(tap, ['--config', config, '--discover'], { memory: false });
  const { streams } = JSON.parse(stdout) as { streams: SingerStream[] };
  for (const stream of streams) {
    stream.replication_method = 'FULL_TABLE';
    for (const { breadcrumb, metadata } of stream.metadata) if (breadcrumb.length === 0) Object.assign(metadata, { selected: true, 'replication-method': 'FULL_TABLE' });
  }
  await writeFile(catalog, JSON.stringify({ streams }));
  const columns = Object.entries(mixedColumns).map(([name, type]) => `${name}: '${type}'`).join(', ');
  return [{
    name: `tap-postgres ${tapVersion} | target-jsonl ${targetVersion}`,
    async prepare() {
      await rm(out, { recursive: true, force: true });
      await mkdir(out);
    },
    run: () => measure('/bin/sh', ['-c', `'${tap}' --config '${config}' --catalog '${catalog}' | '${target}' --config '${into}'`], { postgresPid, cwd: dir, env: { HOME: dir } }),
    rows: () => `read_json('${out}/*.jsonl', format = 'newline_delimited', columns = {${columns}})`,
  }];
};
