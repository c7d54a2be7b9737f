import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { mixedTable, startBenchServer } from './bench-server.js';
import { keptRuns, mediansOf, takeTurns, type Contestant } from './comparison.js';
import { digestInDuckdb, digestInPostgres, requireSameRows } from './events-digest.js';
import { count, megabytes, ratio, report, seconds } from './report.js';
import { cpuOf, lakeOf, syncOf, type World } from './scale-world.js';
import { transportsOf } from './tapline.js';

export interface WorkersOptions {
  readonly rows?: number;
  readonly repetitions?: number;
  readonly transport?: string;
  /** Default: yes. */
  readonly save?: boolean;
}

const sessions = [1, 2, 4];
const ten = Array.from({ length: 10 }, (_, at) => `events_${at + 1}`);

/** What it is worth that several sessions read (`workers`): the ranges of one table, with a key and without one, and several tables at once. */
export async function workers({ rows = 1_000_000, repetitions = 5, transport, save = true }: WorkersOptions = {}): Promise<void> {
  const server = await startBenchServer();
  const dir = await mkdtemp(join(tmpdir(), 'tapline-bench-'));
  const world: World = { server, dir, transports: transportsOf(transport), repetitions, save };
  try {
    const shapes = [
      { shape: 'one table with a key', tables: ['events'], keyed: true },
      { shape: 'one table without a key', tables: ['events'], keyed: false },
      { shape: `${ten.length} tables`, tables: ten, keyed: true },
    ];
    const contestants: Record<string, Contestant> = {};
    for (const { shape, tables, keyed } of shapes) {
      const { url, database } = await mixedTable(server, rows, { tables, keyed });
      const source = await digestInPostgres(server.database(database), `(${tables.map((table) => `TABLE ${table}`).join(' UNION ALL ')}) AS all_rows`);
      for (const by of world.transports) {
        for (const some of sessions) {
          const name = nameOf(shape, by, some);
          const sync = syncOf(world, `${url}${url.includes('?') ? '&' : '?'}workers=${some}`, by);
          contestants[name] = { ...sync, run: async () => {
            const measured = await sync.run();
            await requireSameRows(source, { [name]: await digestInDuckdb(`'${join(lakeOf(world), 'public/*/*.parquet')}'`) });
            return measured;
          } };
        }
      }
    }
    const runs = await takeTurns(contestants, { repetitions });
    const medians = mediansOf(runs);
    await report({
      scenario: 'workers', save,
      title: `${count(rows)} rows of 9 columns into a folder; the server has ${availableParallelism()} cores, and shares them; medians of ${repetitions}`,
      table: [
        ['', 'transport', 'workers', 'wall', 'to 1', 'CPU of all', 'to 1', 'CPU', 'CPU postgres', 'peak PSS'],
        ...shapes.flatMap(({ shape }) => world.transports.flatMap((by) => sessions.map((some) => {
          const [name, one] = [nameOf(shape, by, some), nameOf(shape, by, 1)];
          const m = medians[name]!;
          return [
            shape, by, String(some), seconds(m.wallSeconds), ratio(m.wallSeconds / medians[one]!.wallSeconds),
            seconds(cpuOf(medians, name)), ratio(cpuOf(medians, name) / cpuOf(medians, one)), seconds(m.cpuSeconds), seconds(m.postgresCpuSeconds), megabytes(m.peakPssBytes),
          ];
        }))),
      ],
      figures: { rows, repetitions, medians, runs: keptRuns(runs) },
    });
  } finally {
    await server.stop();
    await rm(dir, { recursive: true, force: true });
  }
}

const nameOf = (shape: string, transport: string, some: number): string => `${shape}, ${transport}, ${some}`;
