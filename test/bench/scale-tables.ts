import { join } from 'node:path';
import type { PostgresServer, TestDatabase } from '../services/index.js';
import { askDuckdb } from './ask-duckdb.js';
import { keptRuns, mediansOf, physicalLimit, takeTurns, type Contestant } from './comparison.js';
import { hasPsql } from './hand.js';
import { count, megabytes, ratio, report, seconds } from './report.js';
import { manyByHand } from './scale-hand.js';
import { cpuOf, lakeOf, nameOf, syncOf, type World } from './scale-world.js';

const rowsOfTable = 100;
const kinds = { copies: 'COPY into files', files: 'files to Parquet', hand: 'by hand' };

/** What a table costs as they become many. */
export async function tablesOf(world: World, numbers: readonly number[]): Promise<void> {
  const { server, transports, repetitions, save } = world;
  const contestants: Record<string, Contestant> = {};
  const add = (kind: string, tables: number, contestant: Contestant, check?: () => Promise<void>): void => {
    const run = async () => {
      const measured = await contestant.run();
      await check?.();
      return measured;
    };
    contestants[nameOf(kind, tables)] = { ...contestant, run };
  };
  const psql = await hasPsql();
  for (const tables of numbers) {
    const database = await manyTables(server, tables);
    const same = (kind: string, lake: string) => () => requireSameTables(database, join(lake, '*/*.parquet'), nameOf(kind, tables));
    if (psql) {
      const hand = await manyByHand({ dir: join(world.dir, `hand-${tables}`), url: database.url, tables, postgresPid: server.pid });
      add(kinds.copies, tables, hand.copies);
      add(kinds.files, tables, hand.files);
      add(kinds.hand, tables, hand.whole, same(kinds.hand, hand.lake));
    }
    for (const transport of transports) add(`tapline, ${transport}`, tables, syncOf(world, database.url, transport), same(`tapline, ${transport}`, join(lakeOf(world), 'public')));
  }
  const runs = await takeTurns(contestants, { repetitions, warm: false });
  const medians = mediansOf(runs);
  const told = [...(psql ? Object.values(kinds) : []), ...transports.map((transport) => `tapline, ${transport}`)];
  await report({
    scenario: 'scale-tables', save,
    title: `${numbers.map(count).join(', ')} tables of ${rowsOfTable} rows; medians of ${repetitions}`,
    table: [
      ['', 'tables', 'wall', 'to limit', 'to hand', 'ms a table', 'CPU ms a table', 'CPU', 'CPU postgres', 'peak PSS'],
      ...told.flatMap((kind) => numbers.map((tables) => {
        const m = medians[nameOf(kind, tables)]!;
        const to = (base: () => number): string => (psql ? ratio(m.wallSeconds / base()) : '');
        const milliseconds = (value: number): string => ((value / tables) * 1000).toFixed(1);
        return [
          kind, count(tables), seconds(m.wallSeconds),
          to(() => physicalLimit(medians, [kinds.copies, kinds.files].map((part) => nameOf(part, tables)))), to(() => medians[nameOf(kinds.hand, tables)]!.wallSeconds),
          milliseconds(m.wallSeconds), milliseconds(cpuOf(medians, nameOf(kind, tables))), seconds(m.cpuSeconds), seconds(m.postgresCpuSeconds), megabytes(m.peakPssBytes),
        ];
      })),
    ],
    notes: psql ? [] : ['by hand: left out, no psql on this machine'],
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
