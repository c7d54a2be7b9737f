import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mixedTable, startBenchServer } from './bench-server.js';
import { keptRuns, mediansOf, takeTurns, type Contestant, type Medians, type Runs } from './comparison.js';
import { measure } from './measure.js';
import { report, type Bar } from './report.js';
import { connector, summaryOf, syncArgs, tapline } from './tapline.js';

export interface StartupOptions {
  readonly repetitions?: number;
  /** Default: yes. */
  readonly save?: boolean;
}

/** What a command costs that has nothing to do, beside a Node that runs an empty program. */
export async function startup({ repetitions = 10, save = true }: StartupOptions = {}): Promise<void> {
  const server = await startBenchServer();
  const dir = await mkdtemp(join(tmpdir(), 'tapline-bench-'));
  try {
    const { url } = await mixedTable(server, 1000);
    // What a machine adds to Node's certificates is read by each process before anything else, and is no cost of ours.
    const node = (...args: string[]): Contestant => ({ run: () => measure(process.execPath, args, { cwd: dir, memory: false, env: { NODE_EXTRA_CA_CERTS: '' } }) });
    const sync = (dest: string): Contestant => node(...syncArgs({ source: url, dest, stateDir: join(dir, 'state'), more: ['--mode', 'public.events=incremental:created_at'] }));
    const runs = await takeTurns({
      'node, nothing': node('-e', ''),
      'runner --help': node(tapline, '--help'),
      'runner sync --help': node(tapline, 'sync', '--help'),
      ...Object.fromEntries(['source-postgres', 'destination-s3', 'destination-warehouse'].map((name) => [`${name} spec`, node(connector(name), 'spec')])),
      [intoFolder]: sync(join(dir, 'lake')),
      [intoDuckdb]: sync(`duckdb://${join(dir, 'warehouse.db')}`),
    }, { repetitions });
    requireNothingMoved(runs);
    const medians = mediansOf(runs);
    await report({
      scenario: 'startup', save,
      title: `commands that have nothing to do; medians of ${repetitions}`,
      table: [['', 'wall', 'CPU'], ...Object.entries(medians).map(([name, m]) => [name, milliseconds(m.wallSeconds), milliseconds(m.cpuSeconds)])],
      bars: bars(medians),
      figures: { repetitions, medians, runs: keptRuns(runs) },
    });
  } finally {
    await server.stop();
    await rm(dir, { recursive: true, force: true });
  }
}

const intoFolder = 'sync into a folder, nothing new';
const intoDuckdb = 'sync into DuckDB, nothing new';

const milliseconds = (value: number): string => `${Math.round(value * 1000)} ms`;

const bars = (medians: Medians): Bar[] =>
  ([['runner --help', 0.1], [intoFolder, 0.7], [intoDuckdb, 0.7]] as const).map(([what, atMost]) => ({ what, value: medians[what]!.wallSeconds, atMost, as: milliseconds }));

/** The round that is not counted moved the rows. */
function requireNothingMoved(runs: Runs): void {
  for (const name of [intoFolder, intoDuckdb]) {
    for (const { stdout } of runs[name] ?? []) {
      const { records } = summaryOf(stdout);
      if (records > 0) throw new Error(`${name}: it moved ${records} records`);
    }
  }
}
