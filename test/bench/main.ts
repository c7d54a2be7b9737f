import { parseArgs } from 'node:util';
import { memory } from './memory.js';
import { merge } from './merge.js';
import { pgCdc } from './pg-cdc.js';
import { pgParquet } from './pg-parquet.js';
import { pgDuckdb, pgPg } from './pg-warehouse.js';
import { router } from './router.js';
import { startup } from './startup.js';

const usage = `npm run bench -- SCENARIO [--rows N] [--repetitions N] [--transport json|batch]
       npm run bench -- merge [--rows N] [--changes N] [--repetitions N] [--engine duckdb|postgres]
       npm run bench -- pg-cdc [--changes N] [--repetitions N] [--seconds N]

  pg-parquet   1,000,000 rows of 9 mixed columns from PostgreSQL into a folder; beside it COPY to nothing, and a hand-made pipe
  pg-duckdb    the same table into a DuckDB file; beside it COPY into read_csv by hand
  pg-pg        the same table into another database of the server; beside it COPY into COPY
  merge        100,000 changes into a table of 10,000,000 rows, in DuckDB and PostgreSQL; beside it the statement of a hand
  pg-cdc       1,000,000 changes behind a slot into a folder and to nothing, beside pg_recvlogical; then commit to file, at 500 transactions/s
               (--changes 0 or --seconds 0: without the one or the other)
  startup      --help, spec, and a sync that has nothing to do
  memory       10,000,000 rows, and one row of 50 MB: the peak of the whole tree of processes
  router       the runner alone: prepared lines through it to nothing

Results are kept in test/bench/results. Numbers compare within one run only.`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { rows: { type: 'string' }, repetitions: { type: 'string' }, transport: { type: 'string' }, changes: { type: 'string' }, seconds: { type: 'string' }, engine: { type: 'string' }, help: { type: 'boolean' } },
});
const options = {
  ...(values.rows ? { rows: Number(values.rows) } : {}),
  ...(values.repetitions ? { repetitions: Number(values.repetitions) } : {}),
  ...(values.transport ? { transport: values.transport } : {}),
  ...(values.changes ? { changes: Number(values.changes) } : {}),
  ...(values.engine ? { engine: values.engine } : {}),
  ...(values.seconds ? { latencySeconds: Number(values.seconds) } : {}),
};
const scenarios: Record<string, (chosen: typeof options) => Promise<void>> = { 'pg-parquet': pgParquet, 'pg-duckdb': pgDuckdb, 'pg-pg': pgPg, merge, 'pg-cdc': pgCdc, startup, memory, router };
const run = scenarios[positionals[0] ?? ''];
if (!run || values.help) {
  console.log(usage);
  process.exit(values.help ? 0 : 78);
}
await run(options);
