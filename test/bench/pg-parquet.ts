import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { mixedColumns, mixedTable, startBenchServer } from './bench-server.js';
import { measure, medianOf, type Measured } from './measure.js';
import { megabytes, printTable, ratio, saveResult, seconds, withoutOutput } from './report.js';
import { summaryOf, syncArgs } from './tapline.js';

export interface PgParquetOptions {
  readonly rows?: number;
  readonly repetitions?: number;
  readonly transport?: string;
}

const script = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
const quote = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

/** A table into a local folder: our sync beside the server's own COPY to nothing, and the pipe that an expert would type. */
export async function pgParquet({ rows = 1_000_000, repetitions = 5, transport = 'json' }: PgParquetOptions = {}): Promise<void> {
  const server = await startBenchServer();
  const dir = await mkdtemp(join(tmpdir(), 'tapline-bench-'));
  try {
    const { url } = await mixedTable(server, rows);
    const copy = `COPY (SELECT * FROM events) TO STDOUT (FORMAT csv)`;
    const columns = `{${Object.entries(mixedColumns).map(([name, type]) => `${name}: '${type}'`).join(', ')}}`;
    const parquet = join(dir, 'pipe.parquet');
    const load = `COPY (SELECT * FROM read_csv('/dev/stdin', header = false, columns = ${columns})) TO '${parquet}' (FORMAT parquet, COMPRESSION zstd)`;
    const node = quote(process.execPath);
    const reader = (await hasPsql()) ? `psql -X -q ${quote(url)} -c ${quote(copy)}` : `${node} ${quote(script('copy-out.js'))} ${quote(url)} ${quote(copy)}`;
    const pipe = `set -e; ${reader} | ${node} ${quote(script('duckdb-run.js'))} ${quote(load)}`;
    const postgresPid = server.pid;
    const lake = join(dir, 'lake');
    const contestants: Record<string, () => Promise<Measured>> = {
      'COPY to nothing': () => measure(process.execPath, [script('copy-out.js'), url, copy, 'discard'], { postgresPid }),
      'hand pipe': () => measure('/bin/sh', ['-c', pipe], { postgresPid }),
      tapline: async () => {
        await rm(lake, { recursive: true, force: true });
        await rm(join(dir, 'state'), { recursive: true, force: true });
        const args = syncArgs({ source: url, dest: lake, stateDir: join(dir, 'state'), more: ['--transport', transport] });
        return measure(process.execPath, args, { postgresPid, cwd: dir });
      },
    };
    const runs: Record<string, Measured[]> = Object.fromEntries(Object.keys(contestants).map((name) => [name, []]));
    for (let repetition = 0; repetition <= repetitions; repetition++) {
      for (const [name, run] of Object.entries(contestants)) {
        const measured = await run();
        // The first round warms the caches.
        if (repetition > 0) runs[name]?.push(measured);
      }
      process.stdout.write('.');
    }
    console.log();
    await sameRows(parquet, lake, rows);
    const medians = Object.fromEntries(Object.entries(runs).map(([name, all]) => [name, medianOf(all)]));
    const json = summaryOf(runs['tapline']?.[0]?.stdout ?? '');
    const csvBytes = Number(runs['COPY to nothing']?.[0]?.stdout);
    const wall = (name: string) => medians[name]?.wallSeconds ?? Number.NaN;
    console.log(`${rows.toLocaleString('en')} rows of 9 columns, ${megabytes(csvBytes)} as CSV, ${megabytes(json.bytes)} as JSON lines; medians of ${repetitions}\n`);
    printTable([
      ['', 'wall', 'to COPY', 'to pipe', 'rows/s', 'CSV MB/s', 'CPU', 'CPU postgres', 'peak RSS', 'peak PSS'],
      ...Object.entries(medians).map(([name, m]) => [
        name, seconds(m.wallSeconds), ratio(m.wallSeconds / wall('COPY to nothing')), ratio(m.wallSeconds / wall('hand pipe')),
        Math.round(rows / m.wallSeconds).toLocaleString('en'), (csvBytes / m.wallSeconds / 1e6).toFixed(0),
        seconds(m.cpuSeconds), seconds(m.postgresCpuSeconds), megabytes(m.peakRssBytes), megabytes(m.peakPssBytes),
      ]),
    ]);
    const parts = Object.entries(runs['tapline']?.at(-1)?.cpuOf ?? {}).sort(([, a], [, b]) => b - a);
    console.log(`\nCPU of the last run: ${parts.map(([process, cpu]) => `${process} ${seconds(cpu)}`).join(', ')}`);
    const all = Object.fromEntries(Object.entries(runs).map(([name, each]) => [name, each.map(withoutOutput)]));
    await saveResult('pg-parquet', { rows, transport, csvBytes, jsonBytes: json.bytes, medians, runs: all });
  } finally {
    await server.stop();
    await rm(dir, { recursive: true, force: true });
  }
}

/** What is not right need not be fast. */
async function sameRows(parquet: string, lake: string, rows: number): Promise<void> {
  const digest = (from: string) => `SELECT count(*) AS n, sum(id) AS ids, sum(amount) AS amounts, count(note) AS notes, max(created_at) AS last, sum(customer_id) AS customers FROM '${from}'`;
  const ask = async (sql: string) => (await measure(process.execPath, [script('duckdb-run.js'), sql], { memory: false })).stdout.trim();
  const theirs = await ask(digest(parquet));
  const ours = await ask(digest(join(lake, 'public/events/**/*.parquet')));
  if (theirs !== ours || !ours.includes(`"n":"${rows}"`)) throw new Error(`the rows differ:\n  hand pipe ${theirs}\n  tapline   ${ours}`);
}

async function hasPsql(): Promise<boolean> {
  return measure('psql', ['--version'], { memory: false }).then(() => true, () => false);
}
