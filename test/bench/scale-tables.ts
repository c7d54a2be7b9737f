import { join } from 'node:path';
import type { PostgresServer, TestDatabase } from '../services/index.js';
import { askDuckdb } from './ask-duckdb.js';
import { keptRuns, mediansOf, takeTurns, type Contestant } from './comparison.js';
import { count, megabytes, report, seconds } from './report.js';
import { cpuOf, lakeOf, nameOf, syncOf, type World } from './scale-world.js';

const rowsOfTable = 100;

/** What a table costs as they become many. */
export async function tablesOf(world: World, numbers: readonly number[]): Promise<void> {
  const { server, transports, repetitions, save } = world;
  const contestants: Record<string, Contestant> = {};
  for (const tables of numbers) {
    const database = await manyTables(server, tables);
    for (const transport of transports) {
      const name = nameOf(`tapline, ${transport}`, tables);
      const sync = syncOf(world, database.url, transport);
      contestants[name] = { ...sync, run: async () => {
        const measured = await sync.run();
        await requireSameTables(database, join(lakeOf(world), 'public/*/*.parquet'), name);
        return measured;
      } };
    }
  }
  const runs = await takeTurns(contestants, { repetitions, warm: false });
  const medians = mediansOf(runs);
  await report({
    scenario: 'scale-tables', save,
    title: `${numbers.map(count).join(', ')} tables of ${rowsOfTable} rows; medians of ${repetitions}`,
    table: [
      ['', 'tables', 'wall', 'ms a table', 'CPU ms a table', 'CPU', 'CPU postgres', 'peak PSS'],
      ...transports.flatMap((transport) => numbers.map((tables) => {
        const name = nameOf(`tapline, ${transport}`, tables);
        const m = medians[name]!;
        const milliseconds = (value: number) => ((value / tables) * 1000).toFixed(1);
        return [`tapline, ${transport}`, count(tables), seconds(m.wallSeconds), milliseconds(m.wallSeconds), milliseconds(cpuOf(medians, name)), seconds(m.cpuSeconds), seconds(m.postgresCpuSeconds), megabytes(m.peakPssBytes)];
      })),
    ],
    figures: { numbers, repetitions, medians, runs: keptRuns(runs) },
  });
}

async function manyTables(server: PostgresServer, tables: number): Promise<TestDatabase> {
  await server.database(`tables_${tables}`).drop();
  const database = await server.createDatabase(`tables_${tables}`);
  for (let first = 1; first <= tables; first += 100) {
    await database.query(`DO $$ BEGIN FOR i IN ${first}..${Math.min(tables, first + 99)} LOOP
      EXECUTE format('CREATE TABLE t%1$s (id int PRIMARY KEY, word text); INSERT INTO t%1$s SELECT n, ''word '' || n || '' of %1$s'' FROM generate_series(1, ${rowsOfTable}) n', i); END LOOP; END $$`);
  }
  return database;
}

async function requireSameTables(database: TestDatabase, files: string, name: string): Promise<void> {
  const theirs = await database.query<{ digest: string }>(`CREATE OR REPLACE FUNCTION contents() RETURNS SETOF text LANGUAGE plpgsql AS $$ DECLARE t regclass; BEGIN
    FOR t IN SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' LOOP
      RETURN QUERY EXECUTE format('SELECT concat_ws('' '', %L, count(*), sum(id), max(word COLLATE "C")) FROM %s', t, t); END LOOP; END $$;
    SELECT contents() COLLATE "C" AS digest ORDER BY 1`);
  const ours = await askDuckdb(`SELECT concat_ws(' ', split_part(filename, '/', -2), count(*), sum(id), max(word)) AS digest FROM read_parquet('${files}', filename = true)
    GROUP BY split_part(filename, '/', -2) ORDER BY 1`);
  if (JSON.stringify(theirs) !== JSON.stringify(ours)) throw new Error(`${name}: the tables in the lake differ from the source's`);
}
