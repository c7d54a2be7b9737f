import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PostgresServer } from '../services/index.js';
import { mixedTable, startBenchServer } from './bench-server.js';
import { measure, type Measured } from './measure.js';
import { megabytes, printTable, saveResult, seconds, withoutOutput } from './report.js';
import { summaryOf, syncArgs } from './tapline.js';

const limitBytes = 600e6;

/** The peak of the whole tree of processes: many rows, and one large one. Fails over 600 MB. */
export async function memory({ rows = 10_000_000, megabytesOfRow = 50 }: { rows?: number; megabytesOfRow?: number } = {}): Promise<void> {
  const server = await startBenchServer();
  const dir = await mkdtemp(join(tmpdir(), 'tapline-bench-'));
  try {
    const sync = async (name: string, url: string): Promise<[string, Measured]> => {
      const args = syncArgs({ source: url, dest: join(dir, 'lake', name), stateDir: join(dir, 'state', name) });
      const measured = await measure(process.execPath, args, { postgresPid: server.pid, cwd: dir });
      await rm(join(dir, 'lake'), { recursive: true, force: true });
      return [name, measured];
    };
    const runs = [
      await sync(`one row of ${megabytesOfRow} MB`, await largeRow(server, megabytesOfRow)),
      await sync(`${rows.toLocaleString('en')} rows`, (await mixedTable(server, rows)).url),
    ];
    printTable([
      ['', 'records', 'wall', 'CPU', 'peak RSS', 'peak PSS'],
      ...runs.map(([name, m]) => [name, summaryOf(m.stdout).records.toLocaleString('en'), seconds(m.wallSeconds), seconds(m.cpuSeconds), megabytes(m.peakRssBytes), megabytes(m.peakPssBytes)]),
    ]);
    for (const [name, { atPeak }] of runs) {
      const parts = Object.entries(atPeak).sort(([, a], [, b]) => b - a);
      console.log(`\n${name}, at the peak: ${parts.map(([process, bytes]) => `${process} ${megabytes(bytes)}`).join(', ')}`);
    }
    await saveResult('memory', { runs: Object.fromEntries(runs.map(([name, m]) => [name, withoutOutput(m)])) });
    const over = runs.filter(([, m]) => m.peakPssBytes > limitBytes);
    if (over.length > 0) throw new Error(`over ${megabytes(limitBytes)}: ${over.map(([name]) => name).join(', ')}`);
  } finally {
    await server.stop();
    await rm(dir, { recursive: true, force: true });
  }
}

async function largeRow(server: PostgresServer, size: number): Promise<string> {
  await server.database('large_row').drop();
  const database = await server.createDatabase('large_row');
  // 32 characters of md5 that compress badly, as often as it takes.
  await database.query(`CREATE TABLE one (id integer PRIMARY KEY, body text);
    INSERT INTO one SELECT 1, string_agg(md5(i::text), '') FROM generate_series(1, ${Math.ceil((size * 1e6) / 32)}) AS i`);
  return database.url;
}
