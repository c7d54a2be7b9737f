import { parseArgs } from 'node:util';
import { memory } from './memory.js';
import { pgParquet } from './pg-parquet.js';
import { router } from './router.js';
import { startup } from './startup.js';

const usage = `npm run bench -- SCENARIO [--rows N] [--repetitions N] [--transport json|batch]

  pg-parquet   1,000,000 rows of 9 mixed columns from PostgreSQL into a folder; beside it COPY to nothing, and a hand-made pipe
  startup      --help, spec, and a sync that has nothing to do
  memory       10,000,000 rows, and one row of 50 MB: the peak of the whole tree of processes
  router       the runner alone: prepared lines through it to nothing

Results are kept in test/bench/results. Numbers compare within one run only.`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { rows: { type: 'string' }, repetitions: { type: 'string' }, transport: { type: 'string' }, help: { type: 'boolean' } },
});
const options = {
  ...(values.rows ? { rows: Number(values.rows) } : {}),
  ...(values.repetitions ? { repetitions: Number(values.repetitions) } : {}),
  ...(values.transport ? { transport: values.transport } : {}),
};
const scenarios: Record<string, (chosen: typeof options) => Promise<void>> = { 'pg-parquet': pgParquet, startup, memory, router };
const run = scenarios[positionals[0] ?? ''];
if (!run || values.help) {
  console.log(usage);
  process.exit(values.help ? 0 : 78);
}
await run(options);
