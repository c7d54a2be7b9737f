import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PostgresServer, TestDatabase } from '../services/index.js';
import { askDuckdb } from './ask-duckdb.js';
import { mixedTable, startBenchServer } from './bench-server.js';
import { comparisonTable, keptRuns, mediansOf, profileOf, type Runs } from './comparison.js';
import { digestInDuckdb, digestInPostgres, requireSameRows } from './events-digest.js';
import { copyToNothing, csvBytes, hasPsql, pipeIntoParquet, shell } from './hand.js';
import type { Measured } from './measure.js';
import { count, megabytes, report, type Bar } from './report.js';
import { freshSync, transportsOf } from './tapline.js';

export interface MemoryOptions {
  readonly rows?: number;
  readonly megabytesOfRow?: number;
  readonly transport?: string;
  /** Default: yes. */
  readonly save?: boolean;
}

/** The peak of the whole tree of processes: many rows, and one large one. Once each: memory does not waver as times do. */
export async function memory({ rows = 10_000_000, megabytesOfRow = 100, transport, save = true }: MemoryOptions = {}): Promise<void> {
  const server = await startBenchServer();
  const dir = await mkdtemp(join(tmpdir(), 'tapline-bench-'));
  try {
    const transports = transportsOf(transport);
    const lake = join(dir, 'lake');
    const runs: Record<string, Measured[]> = {};
    const sync = async (name: string, each: string, url: string): Promise<string> => {
      const empty = () => rm(lake, { recursive: true, force: true });
      const { prepare, run } = freshSync({ source: url, dest: lake, stateDir: join(dir, 'state'), transport: each, empty, measured: { postgresPid: server.pid, cwd: dir } });
      await prepare?.();
      runs[name] = [await run()];
      return join(lake, 'public/*/**/*.parquet');
    };

    const large = await largeRow(server, megabytesOfRow);
    for (const each of transports) {
      const name = `one row of ${megabytesOfRow} MB, ${each}`;
      await requireSameRow(large, await sync(name, each, large.url), name);
    }

    const { url, database } = await mixedTable(server, rows);
    const source = await digestInPostgres(server.database(database));
    const hand = join(dir, 'hand.parquet');
    runs['COPY to nothing'] = [await copyToNothing(url, server.pid)];
    runs['hand pipe'] = [await shell(pipeIntoParquet(await hasPsql(), url, hand), server.pid)];
    await requireSameRows(source, { 'hand pipe': await digestInDuckdb(`'${hand}'`) });
    const many = transports.map((each) => [`${count(rows)} rows, ${each}`, each] as const);
    for (const [name, each] of many) await requireSameRows(source, { [name]: await digestInDuckdb(`'${await sync(name, each, url)}'`) });

    await tell({ runs, rows, bytes: await csvBytes(url), many: many.map(([name]) => name), save });
  } finally {
    await server.stop();
    await rm(dir, { recursive: true, force: true });
  }
}

async function tell({ runs, rows, bytes, many, save }: { runs: Runs; rows: number; bytes: number; many: readonly string[]; save: boolean }): Promise<void> {
  const medians = mediansOf(runs);
  const ratios = { 'to COPY': medians['COPY to nothing']!.wallSeconds, 'to pipe': medians['hand pipe']!.wallSeconds };
  const table = comparisonTable({ medians, rows, bytes, ratios });
  // A rate and a ratio say nothing of one row.
  const told = table.map((line) => (line[0]?.startsWith('one row') ? line.map((text, at) => (at >= 2 && at <= 5 ? '' : text)) : line));
  await report({
    scenario: 'memory', save,
    title: `${count(rows)} rows of 9 columns, ${megabytes(bytes)} as CSV, and one large row; once each`,
    table: told,
    notes: Object.keys(runs).flatMap((name) => profileOf(name, runs)),
    bars: many.map((name): Bar => ({ what: `${name}, peak PSS of the tree`, value: medians[name]!.peakPssBytes, atMost: 400e6, as: megabytes })),
    figures: { rows, bytes, medians, runs: keptRuns(runs) },
  });
}

async function largeRow(server: PostgresServer, size: number): Promise<TestDatabase> {
  await server.database('large_row').drop();
  const database = await server.createDatabase('large_row');
  // 32 characters of md5 that compress badly, as often as it takes.
  await database.query(`CREATE TABLE one (id integer PRIMARY KEY, body text);
    INSERT INTO one SELECT 1, string_agg(md5(i::text), '') FROM generate_series(1, ${Math.ceil((size * 1e6) / 32)}) AS i`);
  return database;
}

async function requireSameRow(database: TestDatabase, files: string, name: string): Promise<void> {
  const digest = (from: string) => `SELECT concat_ws(' ', count(*), sum(length(body)), max(md5(body))) AS digest FROM ${from}`;
  const [theirs, ours] = [await database.query(digest('one')), await askDuckdb(digest(`'${files}'`))];
  if (JSON.stringify(theirs) !== JSON.stringify(ours)) throw new Error(`${name}: the row differs: ${JSON.stringify(theirs)} at the source, ${JSON.stringify(ours)} in the lake`);
}
