import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mixedTable, startBenchServer } from './bench-server.js';
import { comparisonTable, keptRuns, mediansOf, physicalLimit, profileOf, takeTurns, type Contestants } from './comparison.js';
import { digestInDuckdb, digestInPostgres, requireSameRows } from './events-digest.js';
import { copyToNothing, csvBytes, hasPsql, parquetToParquet, pipeIntoParquet, prepareParquet, shell } from './hand.js';
import { count, megabytes, report } from './report.js';
import { freshSync, transportsOf } from './tapline.js';

export interface PgParquetOptions {
  readonly rows?: number;
  readonly repetitions?: number;
  readonly transport?: string;
  /** Default: yes. */
  readonly save?: boolean;
}

/** A table into a local folder: our sync by each transport, beside the pipe that an expert would type, and the parts that nobody can do without. */
export async function pgParquet({ rows = 1_000_000, repetitions = 5, transport, save = true }: PgParquetOptions = {}): Promise<void> {
  const server = await startBenchServer();
  const dir = await mkdtemp(join(tmpdir(), 'tapline-bench-'));
  try {
    const { url, database } = await mixedTable(server, rows);
    const postgresPid = server.pid;
    const psql = await hasPsql();
    const file = (name: string): string => join(dir, name);
    await prepareParquet(psql, url, file('plain.parquet'));
    const bytes = await csvBytes(url);
    const parts: Contestants = {
      'COPY to nothing': { run: () => copyToNothing(url, postgresPid) },
      'Parquet to zstd Parquet': { run: () => parquetToParquet(file('plain.parquet'), file('zstd.parquet')) },
    };
    const transports = transportsOf(transport);
    const lake = (name: string): string => file(`lake-${name}`);
    const syncs: Contestants = Object.fromEntries(transports.map((name) => [
      `tapline, ${name}`,
      freshSync({
        source: url, dest: lake(name), stateDir: file('state'), transport: name,
        empty: () => rm(lake(name), { recursive: true, force: true }), measured: { postgresPid, cwd: dir },
      }),
    ]));
    const hand = { run: () => shell(pipeIntoParquet(psql, url, file('hand.parquet')), postgresPid) };
    const runs = await takeTurns({ ...parts, 'hand pipe': hand, ...syncs }, { repetitions });

    const files = Object.fromEntries([['hand pipe', file('hand.parquet')], ...transports.map((name) => [`tapline, ${name}`, join(lake(name), 'public/events/**/*.parquet')])]) as Record<string, string>;
    const digests = await Promise.all(Object.entries(files).map(async ([name, path]) => [name, await digestInDuckdb(`'${path}'`)] as const));
    await requireSameRows(await digestInPostgres(server.database(database)), Object.fromEntries(digests));
    const medians = mediansOf(runs);
    const limit = physicalLimit(medians, Object.keys(parts));
    const pipe = medians['hand pipe']!.wallSeconds;
    const bars = { json: 2, batch: 0.65 } as Record<string, number>;
    await report({
      scenario: 'pg-parquet', save,
      title: `${count(rows)} rows of 9 columns, ${megabytes(bytes)} as CSV, into zstd Parquet in a folder; medians of ${repetitions}`,
      table: comparisonTable({ medians, rows, bytes, ratios: { 'to limit': limit, 'to pipe': pipe } }),
      notes: Object.keys(syncs).flatMap((name) => profileOf(name, runs)),
      bars: transports.flatMap((name) => (bars[name] === undefined ? [] : [{ what: `${name} to the hand pipe`, value: medians[`tapline, ${name}`]!.wallSeconds / pipe, atMost: bars[name] }])),
      figures: { rows, bytes, repetitions, limitSeconds: limit, medians, runs: keptRuns(runs) },
    });
  } finally {
    await server.stop();
    await rm(dir, { recursive: true, force: true });
  }
}
