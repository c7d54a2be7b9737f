import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { measure } from '../measure.js';
import type { FindPeers } from './peer.js';

/** From PATH only: what the registries have of it fetches its program from elsewhere. It writes Parquet into buckets, not into folders. */
export const findIngestr: FindPeers = async ({ url, dir, postgresPid, bucket }) => {
  const asked = await measure('ingestr', ['--version'], { memory: false, env: { HOME: dir } }).catch((cause: unknown) => {
    throw new Error((cause as NodeJS.ErrnoException).code === 'ENOENT' ? 'no ingestr on PATH' : 'the ingestr on PATH does not tell its version', { cause });
  });
  const version = /\b1\.\d+\.\d+/.exec(asked.stdout)?.[0];
  if (version === undefined) throw new Error(`the ingestr on PATH is no 1.x: ${asked.stdout.trim().slice(0, 60)}`);
  const { access, name, download } = await bucket();
  const uri = `s3://?${new URLSearchParams({ access_key_id: access.accessKey, secret_access_key: access.secretKey, region: access.region, endpoint_url: access.endpoint }).toString()}`;
  let round = 0;
  const args = () => [
    'ingest', '--source-uri', `${url.replace(/^postgres:/, 'postgresql:')}?sslmode=disable`, '--source-table', 'public.events',
    '--dest-uri', uri, '--dest-table', `${name}/ingestr-${round}`, '--yes',
  ];
  return [{
    name: `ingestr ${version}, S3`,
    prepare: async () => void round++,
    run: () => measure('ingestr', args(), { postgresPid, cwd: dir, env: { HOME: dir } }),
    async rows() {
      const downloaded = join(dir, 'downloaded');
      await rm(downloaded, { recursive: true, force: true });
      await download(`ingestr-${round}`, downloaded);
      return `'${downloaded}/*.parquet'`;
    },
  }];
};
