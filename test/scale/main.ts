import { parseArgs } from 'node:util';
import { destinationAway } from './destination-away.js';
import type { Figures } from './figures.js';
import { idleDatabase } from './idle-database.js';
import { largeRow } from './large-row.js';
import { largeTransaction } from './large-transaction.js';
import { manyTables } from './many-tables.js';

interface Scenario {
  readonly about: string;
  readonly run: (size: number | undefined) => Promise<Figures>;
}

const size = <Name extends string>(name: Name, value: number | undefined): Partial<Record<Name, number>> =>
  value === undefined ? {} : ({ [name]: value } as Partial<Record<Name, number>>);

const scenarios: Record<string, Scenario> = {
  'large-transaction': { about: 'one transaction of 5,000,000 rows (--size: rows)', run: (n) => largeTransaction(size('rows', n)) },
  'large-row': { about: 'one value of 100 MB, in and unchanged (--size: MB)', run: (n) => largeRow(size('size', n)) },
  'many-tables': { about: '1,000 tables (--size: tables)', run: (n) => manyTables(size('tables', n)) },
  'idle-database': { about: 'nothing to do beside 500 MB of log of others (--size: MB)', run: (n) => idleDatabase(size('size', n)) },
  'destination-away': { about: 'a destination that is stopped for 180 s under load (--size: seconds)', run: (n) => destinationAway(size('seconds', n)) },
};

const names = Object.keys(scenarios);
const usage = `npm run scale -- SCENARIO|all [--size N]

${names.map((name) => `  ${name.padEnd(18)} ${scenarios[name]?.about}`).join('\n')}

Change data capture at sizes that npm test has no time for. Prints figures, and fails if a row is lost, doubled or damaged, or a limit broken.`;

const { values, positionals } = parseArgs({ allowPositionals: true, options: { size: { type: 'string' }, help: { type: 'boolean' } } });
const chosen = positionals[0] === 'all' ? names : positionals;
if (values.help || chosen.length === 0 || chosen.some((name) => !scenarios[name])) {
  console.log(usage);
  process.exit(values.help ? 0 : 78);
}
for (const name of chosen) {
  console.log(`\n${name}: ${scenarios[name]?.about}`);
  try {
    const figures = await scenarios[name]?.run(values.size ? Number(values.size) : undefined);
    for (const [what, value] of Object.entries(figures ?? {})) console.log(`  ${what}: ${value}`);
    console.log('  held');
  } catch (error) {
    console.error(`  FAILED: ${error instanceof Error ? error.message : String(error)}`);
    process.exitCode = 1;
  }
}
