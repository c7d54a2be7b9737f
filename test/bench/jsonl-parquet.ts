import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mixedColumns, mixedTable, startBenchServer } from './bench-server.js';
import { comparisonTable, keptRuns, mediansOf, physicalLimit, profileOf, takeTurns } from './comparison.js';
import { digestInDuckdb, digestInPostgres, requireSameRows } from './events-digest.js';
import { duckdb, hasPsql, parquetToParquet, prepareParquet, shell } from './hand.js';
import { measure } from './measure.js';
import type { PgParquetOptions } from './pg-parquet.js';
import { writeRecordLines } from './record-lines.js';
import { count, megabytes, report } from './report.js';
import { connector } from './tapline.js';

/** A file of JSON lines, as any source of the protocol writes them, into Parquet: our destination alone, beside DuckDB's own reader of JSON. */
export async function jsonlParquet({ rows = 1_000_000, repetitions = 5, save = true }: PgParquetOptions = {}): Promise<void> {
  const server = await startBenchServer();
  const dir = await mkdtemp(join(tmpdir(), 'tapline-bench-'));
  const file = (name: string): string => join(dir, name);
  let source: string;
  try {
    const { url, database } = await mixedTable(server, rows);
    await prepareParquet(await hasPsql(), url, file('plain.parquet'));
    await writeRecordLines(url, dir);
    source = await digestInPostgres(server.database(database));
  } finally {
    await server.stop();
  }
  try {
    const [lines, lake] = [file('lines'), file('lake')];
    await writeFile(file('destination.json'), JSON.stringify({ path: lake }));
    const data = `STRUCT(${Object.entries(mixedColumns).map(([name, type]) => `${name} ${type}`).join(', ')})`;
    const records = `read_json('${lines}', format = 'newline_delimited', columns = {type: 'VARCHAR', record: 'STRUCT(data ${data})'})`;
    const runs = await takeTurns({
      'reading the file': { run: () => shell(`cat '${lines}' > /dev/null`) },
      'Parquet to zstd Parquet': { run: () => parquetToParquet(file('plain.parquet'), file('zstd.parquet')) },
      'read_json by hand': { run: () => shell(duckdb(`COPY (SELECT unnest(record.data) FROM ${records} WHERE type = 'RECORD') TO '${file('hand.parquet')}' (FORMAT parquet, COMPRESSION zstd)`)) },
      'destination-s3': {
        prepare: () => rm(lake, { recursive: true, force: true }),
        run: () => measure('/bin/sh', ['-c', `exec '${process.execPath}' '${connector('destination-s3')}' write --config destination.json --catalog catalog.json < lines`], { cwd: dir }),
      },
    }, { repetitions });
    await requireSameRows(source, {
      'read_json by hand': await digestInDuckdb(`'${file('hand.parquet')}'`),
      'destination-s3': await digestInDuckdb(`'${join(lake, 'public/events/**/*.parquet')}'`),
    });
    const medians = mediansOf(runs);
    const bytes = (await stat(lines)).size;
    const limit = physicalLimit(medians, ['reading the file', 'Parquet to zstd Parquet']);
    await report({
      scenario: 'jsonl-parquet', save,
      title: `${count(rows)} RECORD lines of 9 columns, ${megabytes(bytes)}, into zstd Parquet in a folder; medians of ${repetitions}`,
      table: comparisonTable({ medians, rows, bytes, ratios: { 'to limit': limit, 'to hand': medians['read_json by hand']!.wallSeconds } }),
      notes: profileOf('destination-s3', runs),
      figures: { rows, bytes, repetitions, limitSeconds: limit, medians, runs: keptRuns(runs) },
    });
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}
