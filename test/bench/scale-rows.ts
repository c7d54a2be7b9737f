import { join } from 'node:path';
import { mixedTable } from './bench-server.js';
import { keptRuns, mediansOf, takeTurns, type Contestant } from './comparison.js';
import { digestInDuckdb, digestInPostgres, requireSameRows } from './events-digest.js';
import { copyToNothing, hasPsql, pipeIntoParquet, shell } from './hand.js';
import { count, megabytes, ratio, report, seconds, type Bar } from './report.js';
import { cpuOf, lakeOf, nameOf, syncOf, type World } from './scale-world.js';

/** What a row costs as a table grows. */
export async function rowsOf(world: World, sizes: readonly number[]): Promise<void> {
  const { server, dir, transports, repetitions, save } = world;
  const contestants: Record<string, Contestant> = {};
  const psql = await hasPsql();
  for (const rows of sizes) {
    const { url, database } = await mixedTable(server, rows);
    const hand = join(dir, 'hand.parquet');
    const source = await digestInPostgres(server.database(database));
    const checked = (name: string, contestant: Contestant, files: string): void => {
      contestants[name] = { ...contestant, run: async () => {
        const measured = await contestant.run();
        await requireSameRows(source, { [name]: await digestInDuckdb(`'${files}'`) });
        return measured;
      } };
    };
    contestants[nameOf('COPY to nothing', rows)] = { run: () => copyToNothing(url, server.pid) };
    checked(nameOf('hand pipe', rows), { run: () => shell(pipeIntoParquet(psql, url, hand), server.pid) }, hand);
    for (const transport of transports) checked(nameOf(`tapline, ${transport}`, rows), syncOf(world, url, transport), join(lakeOf(world), 'public/events/**/*.parquet'));
  }
  const runs = await takeTurns(contestants, { repetitions, warm: false });
  const medians = mediansOf(runs);
  const kinds = ['COPY to nothing', 'hand pipe', ...transports.map((name) => `tapline, ${name}`)];
  const [, middle = 0, largest = 0] = sizes;
  const bars = kinds.slice(2).map((kind): Bar => {
    const cost = (rows: number) => cpuOf(medians, nameOf(kind, rows)) / rows;
    return { what: `${kind}: CPU a row at ${count(largest)} rows to ${count(middle)}`, value: cost(largest) / cost(middle), atMost: 1.1 };
  });
  await report({
    scenario: 'scale-rows', save,
    title: `one table of ${sizes.map(count).join(', ')} rows of 9 columns; medians of ${repetitions}`,
    table: [
      ['', 'rows', 'wall', 'to COPY', 'to pipe', 'us a row', 'CPU us a row', 'CPU', 'CPU postgres', 'peak PSS'],
      ...kinds.flatMap((kind) => sizes.map((rows) => {
        const m = medians[nameOf(kind, rows)]!;
        const to = (other: string) => ratio(m.wallSeconds / medians[nameOf(other, rows)]!.wallSeconds);
        return [
          kind, count(rows), seconds(m.wallSeconds), to('COPY to nothing'), to('hand pipe'), microseconds(m.wallSeconds / rows),
          microseconds(cpuOf(medians, nameOf(kind, rows)) / rows), seconds(m.cpuSeconds), seconds(m.postgresCpuSeconds), megabytes(m.peakPssBytes),
        ];
      })),
    ],
    bars,
    figures: { sizes, repetitions, medians, runs: keptRuns(runs) },
  });
}

const microseconds = (value: number): string => (value * 1e6).toFixed(2);
