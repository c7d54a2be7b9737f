import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startBenchBucket, type BenchBucket } from './bench-bucket.js';
import { mixedTable, startBenchServer } from './bench-server.js';
import { comparisonTable, keptRuns, mediansOf, physicalLimit, takeTurns, type Contestant, type Contestants } from './comparison.js';
import { digestInDuckdb, digestInPostgres } from './events-digest.js';
import { copyToNothing, csvBytes, hasPsql, parquetToParquet, pipeIntoParquet, prepareParquet, shell } from './hand.js';
import type { Measured } from './measure.js';
import { findDlt } from './peers/dlt.js';
import { findIngestr } from './peers/ingestr.js';
import type { FindPeers, Peer, PeerWorld } from './peers/peer.js';
import { findSinger } from './peers/singer.js';
import { findSling } from './peers/sling.js';
import type { PgParquetOptions } from './pg-parquet.js';
import { count, megabytes, report, type Bar } from './report.js';
import { freshSync, transportsOf } from './tapline.js';

const finders: Record<string, FindPeers> = { ingestr: findIngestr, dlt: findDlt, sling: findSling, 'tap-postgres': findSinger };

/** One table into files, by us, by hand and by other people's programs, each looked at afterwards: what is there, and is it right? */
export async function peers({ rows = 1_000_000, repetitions = 3, transport, save = true }: PgParquetOptions = {}): Promise<void> {
  const server = await startBenchServer();
  const dir = await mkdtemp(join(tmpdir(), 'tapline-bench-'));
  let bucket: BenchBucket | undefined;
  try {
    const { url, database } = await mixedTable(server, rows);
    const file = (name: string): string => join(dir, name);
    const measured = { postgresPid: server.pid, cwd: dir };
    const psql = await hasPsql();
    await prepareParquet(psql, url, file('plain.parquet'));
    const parts: Contestants = {
      'COPY to nothing': { run: () => copyToNothing(url, server.pid) },
      'Parquet to zstd Parquet': { run: () => parquetToParquet(file('plain.parquet'), file('zstd.parquet')) },
    };
    const hand: Peer = { name: 'hand pipe', run: () => shell(pipeIntoParquet(psql, url, file('hand.parquet')), server.pid), rows: () => `'${file('hand.parquet')}'` };
    const ours = transportsOf(transport).map((name): Peer => {
      const lake = file(`lake-${name}`);
      const sync = freshSync({ source: url, dest: lake, stateDir: file('state'), transport: name, empty: () => rm(lake, { recursive: true, force: true }), measured });
      return { ...sync, name: `tapline, ${name}`, rows: () => `'${join(lake, 'public/events/**/*.parquet')}'` };
    });

    const notes: string[] = [];
    const found: Peer[] = [];
    await server.database('postgres').query(`DO $$ BEGIN CREATE ROLE bench SUPERUSER LOGIN PASSWORD 'bench'; EXCEPTION WHEN duplicate_object THEN NULL; END $$`);
    for (const [name, find] of Object.entries(finders)) {
      const own = file(name);
      await mkdir(own);
      const world: PeerWorld = {
        url: `postgres://bench:bench@${server.host}:${server.port}/${database}`, dir: own, postgresPid: server.pid,
        bucket: async () => (bucket ??= await startBenchBucket()),
      };
      try {
        found.push(...(await find(world)));
      } catch (error) {
        notes.push(`${name}: left out, ${lastLine(error)}`);
      }
    }
    // Who writes into a bucket is met there.
    if (bucket) ours.push(...transportsOf(transport).map((name) => intoBucket(bucket!, { url, dir, name, postgresPid: server.pid })));

    const source = await digestInPostgres(server.database(database));
    const output: Record<string, string> = {};
    const contestants: Record<string, Contestant> = { ...parts };
    for (const peer of [hand, ...ours, ...found]) {
      try {
        const tried = await tryOut(peer, source);
        output[peer.name] = tried.right ? 'right' : 'WRONG';
        if (!tried.right) notes.push(`${peer.name}: WRONG, exit 0: ${tried.digest}; the source: ${source}`);
        contestants[peer.name] = tried.slow ? { run: () => Promise.resolve(tried.measured) } : peer;
        if (tried.slow) notes.push(`${peer.name}: once, as it took over a minute`);
      } catch (error) {
        notes.push(`${peer.name}: left out, it failed: ${lastLine(error)}`);
      }
    }
    const runs = await takeTurns(contestants, { repetitions, warm: false });
    const medians = mediansOf(runs);
    const bytes = await csvBytes(url);
    const limit = physicalLimit(medians, Object.keys(parts));
    const table = comparisonTable({ medians, rows, bytes, ratios: { 'to limit': limit, 'to pipe': medians['hand pipe']!.wallSeconds } });
    await report({
      scenario: 'peers', save,
      title: `${count(rows)} rows of 9 columns, ${megabytes(bytes)} as CSV, into files; medians of ${repetitions}`,
      table: table.map((line, at) => [...line, at === 0 ? 'output' : (output[line[0] ?? ''] ?? '')]),
      notes,
      bars: against('ingestr', medians),
      figures: { rows, bytes, repetitions, limitSeconds: limit, output, medians, runs: keptRuns(runs) },
    });
    if (Object.keys(output).some((name) => (name === 'hand pipe' || name.startsWith('tapline')) && output[name] !== 'right')) throw new Error('what we wrote is wrong');
  } finally {
    await bucket?.[Symbol.asyncDispose]();
    await server.stop();
    await rm(dir, { recursive: true, force: true });
  }
}

const slowSeconds = 60;

/** A first run, which warms the caches, and shows whether the program works here and how long it takes. */
async function tryOut(peer: Peer, source: string): Promise<{ measured: Measured; slow: boolean; right: boolean; digest: string }> {
  await peer.prepare?.();
  const measured = await peer.run();
  // In the types of the source: a decimal with more places, a time as text are not wrong.
  const cast = `(SELECT * REPLACE (amount::DECIMAL(12,2) AS amount, created_at::TIMESTAMPTZ AS created_at) FROM ${await peer.rows()})`;
  const digest = await digestInDuckdb(cast).catch((error: unknown) => lastLine(error));
  return { measured, slow: measured.wallSeconds > slowSeconds, right: digest === source, digest };
}

function intoBucket(bucket: BenchBucket, { url, dir, name, postgresPid }: { url: string; dir: string; name: string; postgresPid: number }): Peer {
  let round = 0;
  const prefix = () => `${name}-${round}`;
  const sync = freshSync({
    source: url, dest: () => bucket.uri(prefix()), stateDir: join(dir, 'state'), transport: name,
    empty: async () => void round++, measured: { postgresPid, cwd: dir, env: bucket.env },
  });
  return {
    ...sync,
    name: `tapline, ${name}, S3`,
    async rows() {
      await bucket.download(prefix(), join(dir, `down-${name}`));
      return `'${join(dir, `down-${name}`, '*.parquet')}'`;
    },
  };
}

/** What is to be reached, where that peer took part: on equal terms, both into the bucket. */
function against(peer: string, medians: ReturnType<typeof mediansOf>): Bar[] {
  const theirs = Object.entries(medians).find(([name]) => name.startsWith(peer))?.[1];
  const ours = medians['tapline, batch, S3'];
  if (!theirs || !ours) return [];
  return [
    { what: `batch to ${peer}, wall`, value: ours.wallSeconds / theirs.wallSeconds, atMost: 1 },
    { what: `batch to ${peer}, CPU`, value: ours.cpuSeconds / theirs.cpuSeconds, atMost: 1.2 },
  ];
}

const lastLine = (error: unknown): string => (error instanceof Error ? error.message : String(error)).trimEnd().split('\n').at(-1)?.slice(0, 300) ?? '';
