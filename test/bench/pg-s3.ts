import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startBenchBucket } from './bench-bucket.js';
import { mixedTable, startBenchServer } from './bench-server.js';
import { comparisonTable, keptRuns, mediansOf, physicalLimit, profileOf, takeTurns, type Contestant, type Contestants } from './comparison.js';
import { digestInDuckdb, digestInPostgres, requireSameRows } from './events-digest.js';
import { copyToNothing, csvBytes, hasPsql, parquetToParquet, pipeIntoParquet, prepareParquet } from './hand.js';
import { measure, median } from './measure.js';
import type { PgParquetOptions } from './pg-parquet.js';
import { count, megabytes, report, seconds } from './report.js';
import { benchProgram, freshSync, transportsOf } from './tapline.js';

/** A table into a bucket of a real server beside it, and the same sync into a local folder. */
export async function pgS3({ rows = 1_000_000, repetitions = 5, transport, save = true }: PgParquetOptions = {}): Promise<void> {
  const server = await startBenchServer();
  const dir = await mkdtemp(join(tmpdir(), 'tapline-bench-'));
  await using bucket = await startBenchBucket();
  try {
    const { url, database } = await mixedTable(server, rows);
    const measured = { postgresPid: server.pid, cwd: dir, env: bucket.env };
    const psql = await hasPsql();
    const file = (name: string): string => join(dir, name);
    await prepareParquet(psql, url, file('plain.parquet'));
    await parquetToParquet(file('plain.parquet'), file('zstd.parquet'));
    const bytes = await csvBytes(url);
    const put = (from: string, key: string) => measure(process.execPath, [benchProgram('s3-put.js'), from, bucket.name, key], measured);
    const parts: Contestants = {
      'COPY to nothing': { run: () => copyToNothing(url, server.pid) },
      'Parquet to zstd Parquet': { run: () => parquetToParquet(file('plain.parquet'), file('again.parquet')) },
      'PUT of the file': { run: () => put(file('zstd.parquet'), 'put.parquet') },
    };
    // By hand the file is made whole, then sent: what COPY and the SDK's own upload come to.
    const quoted = [process.execPath, benchProgram('s3-put.js'), file('hand.parquet'), bucket.name, 'hand/hand.parquet'].map((word) => `'${word}'`).join(' ');
    const hand = { run: () => measure('/bin/sh', ['-c', `set -e; ${pipeIntoParquet(psql, url, file('hand.parquet'))}; ${quoted}`], measured) };
    const transports = transportsOf(transport);
    const s3Cpu: Record<string, number[]> = {};
    let round = 0;
    const last: Record<string, string> = { 'hand pipe and PUT': 'hand' };
    const syncs: Record<string, Contestant> = {};
    for (const name of transports) {
      const lake = file(`lake-${name}`);
      const [toFolder, toS3] = [`tapline, ${name}, folder`, `tapline, ${name}, S3`];
      syncs[toFolder] = freshSync({ source: url, dest: lake, stateDir: file('state'), transport: name, empty: () => rm(lake, { recursive: true, force: true }), measured });
      const sync = freshSync({ source: url, dest: () => bucket.uri((last[toS3] = `${name}-${round++}`)), stateDir: file('state'), transport: name, measured });
      syncs[toS3] = {
        ...sync,
        async run() {
          const before = bucket.cpu();
          const run = await sync.run();
          (s3Cpu[toS3] ??= []).push(bucket.cpu() - before);
          return run;
        },
      };
    }
    const runs = await takeTurns({ ...parts, 'hand pipe and PUT': hand, ...syncs }, { repetitions });

    const copies: Record<string, string> = {};
    for (const name of transports) copies[`tapline, ${name}, folder`] = await digestInDuckdb(`'${join(file(`lake-${name}`), 'public/events/**/*.parquet')}'`);
    for (const [name, prefix] of Object.entries(last)) {
      await bucket.download(prefix, file(`down-${prefix}`));
      copies[name] = await digestInDuckdb(`'${join(file(`down-${prefix}`), '*.parquet')}'`);
    }
    await requireSameRows(await digestInPostgres(server.database(database)), copies);
    const medians = mediansOf(runs);
    const wall = (name: string): number => medians[name]!.wallSeconds;
    const limit = physicalLimit(medians, Object.keys(parts));
    await report({
      scenario: 'pg-s3', save,
      title: `${count(rows)} rows of 9 columns, ${megabytes(bytes)} as CSV, into zstd Parquet in a bucket on this machine; medians of ${repetitions}`,
      table: comparisonTable({ medians, rows, bytes, ratios: { 'to limit': limit, 'to pipe': wall('hand pipe and PUT') } }),
      notes: [
        `CPU of the S3 server, medians: ${Object.entries(s3Cpu).map(([name, all]) => `${name} ${seconds(median(all))}`).join(', ')}`,
        ...Object.keys(syncs).filter((name) => name.endsWith('S3')).flatMap((name) => profileOf(name, runs)),
      ],
      bars: transports.map((name) => ({ what: `${name}: S3 to the folder`, value: wall(`tapline, ${name}, S3`) / wall(`tapline, ${name}, folder`), atMost: 1.25 })),
      figures: { rows, bytes, repetitions, limitSeconds: limit, s3Cpu, medians, runs: keptRuns(runs) },
    });
  } finally {
    await server.stop();
    await rm(dir, { recursive: true, force: true });
  }
}
