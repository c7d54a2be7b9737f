import { parseArgs } from 'node:util';
import { jsonlParquet } from './jsonl-parquet.js';
import { memory } from './memory.js';
import { merge } from './merge.js';
import { peers } from './peers.js';
import { pgCdc } from './pg-cdc.js';
import { pgParquet } from './pg-parquet.js';
import { pgS3 } from './pg-s3.js';
import { pgDuckdb, pgPg } from './pg-warehouse.js';
import { publish } from './publish.js';
import { router } from './router.js';
import { scale } from './scale.js';
import { startup } from './startup.js';
import { workers } from './workers.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rows: { type: 'string' }, repetitions: { type: 'string' }, transport: { type: 'string' }, changes: { type: 'string' }, seconds: { type: 'string' },
    engine: { type: 'string' }, tables: { type: 'string' }, dry: { type: 'boolean' }, help: { type: 'boolean' },
  },
});
const options = {
  ...(values.rows ? { rows: Number(values.rows) } : {}),
  ...(values.repetitions ? { repetitions: Number(values.repetitions) } : {}),
  ...(values.transport ? { transport: values.transport } : {}),
  ...(values.changes ? { changes: Number(values.changes) } : {}),
  ...(values.engine ? { engine: values.engine } : {}),
  ...(values.tables ? { tables: Number(values.tables) } : {}),
  ...(values.seconds ? { latencySeconds: Number(values.seconds) } : {}),
  save: !values.dry,
};

interface Scenario {
  readonly about: string;
  readonly run: (chosen: typeof options) => Promise<void>;
}

const scenarios: Record<string, Scenario> = {
  'pg-parquet': { about: '1,000,000 rows of 9 mixed columns from PostgreSQL into a folder; beside it the pipe of a hand', run: pgParquet },
  'pg-s3': { about: 'the same table into a bucket of an S3 server beside it, and into a folder', run: pgS3 },
  'pg-duckdb': { about: 'the same table into a DuckDB file; beside it COPY into read_csv by hand', run: pgDuckdb },
  'pg-pg': { about: 'the same table into another database of the server; beside it COPY into COPY', run: pgPg },
  merge: { about: '100,000 changes into a table of 10,000,000 rows, in DuckDB and PostgreSQL (--engine); beside it the statement of a hand', run: merge },
  'pg-cdc': { about: '1,000,000 changes (--changes) behind a slot, beside pg_recvlogical; then commit to file for 30 s (--seconds)', run: pgCdc },
  'jsonl-parquet': { about: '1,000,000 RECORD lines in a file through our destination; beside it read_json by hand', run: jsonlParquet },
  'runner-throughput': { about: 'the runner alone: prepared lines through it to nothing', run: router },
  startup: { about: '--help, spec, and a sync that has nothing to do', run: startup },
  memory: { about: '10,000,000 rows, and one row of 100 MB: the peak of the whole tree of processes', run: memory },
  scale: { about: '100,000, 1,000,000 and 10,000,000 rows; 1, 10 and 1,000 tables (--tables): what each costs', run: scale },
  workers: { about: '1,000,000 rows in a table with a key, in one without, and in 10 tables, read by 1, 2 and 4 sessions', run: workers },
  peers: { about: 'the first of these beside dlt, sling, Singer and ingestr, where they can be had; not among all', run: peers },
};

const names = Object.keys(scenarios);
const usage = `npm run bench [-- SCENARIO…] [--rows N] [--repetitions N] [--transport json|batch] [--dry]
       npm run bench -- docs

${names.map((name) => `  ${name.padEnd(18)} ${scenarios[name]?.about}`).join('\n')}

Without a name, all of these. Records travel by both transports unless one is named.
Each prints wall, CPU, peak memory of the tree and rates, beside what a hand would type and what its parts take alone, all in one run, and only once
it has found the same rows on both sides. Results are kept in test/bench/results, but for those of --dry; docs puts the newest of each scenario into
docs/performance.md. Numbers compare within one run only.`;

if (positionals[0] === 'docs') {
  await publish();
  process.exit();
}
const chosen = positionals.length > 0 ? positionals : names.filter((name) => name !== 'peers');
if (values.help || chosen.some((name) => !scenarios[name])) {
  console.log(usage);
  process.exit(values.help ? 0 : 78);
}
for (const name of chosen) {
  try {
    await scenarios[name]!.run(options);
  } catch (error) {
    console.error(`${name} FAILED: ${error instanceof Error ? error.message : String(error)}`);
    process.exitCode = 1;
  }
}
