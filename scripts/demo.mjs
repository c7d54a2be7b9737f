// npm run demo: a real PostgreSQL with real public data, into Parquet in ./demo-lake; then some rows change, and only those move.
// Needs Node and npm only. The server and its data stay in .cache, so that the second time takes seconds. No process stays behind.
import { spawn } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { childEnv, root, setup } from './setup.mjs';

const started = performance.now();
const bold = process.stdout.isTTY ? (text) => `\x1b[1m${text}\x1b[0m` : (text) => text;
const dim = process.stdout.isTTY ? (text) => `\x1b[2m${text}\x1b[0m` : (text) => text;

try {
  setup();
  await demo();
} catch (error) {
  console.error(`\nThe demo failed: ${error.message}`);
  process.exitCode = 1;
}

async function demo() {
  const { startDemoDatabase } = await import('./demo/database.mjs');
  const { question } = await import('./demo/question.mjs');

  step('1. A PostgreSQL with real data: flights, zip codes, bird strikes and movies');
  const database = await startDemoDatabase((text) => console.log(`   ${text}`));
  try {
    for (const { name, rows, what } of database.tables) console.log(`   ${rows.toLocaleString('en').padStart(9)} ${name.padEnd(12)} ${dim(what)}`);

    step('2. All of it into a folder of Parquet files');
    // Each demo begins at the beginning: with no lake, and no state of the sync that is called demo.
    command('rm -rf demo-lake .tapline/demo');
    for (const path of ['demo-lake', '.tapline/demo']) rmSync(join(root, path), { recursive: true, force: true });
    const sync = ['sync', '--source', database.url, '--dest', './demo-lake', '--mode', 'public.*=incremental:updated_at', '--sync', 'demo'];
    await runner(sync);
    const flights = 'demo-lake/public/flights/**/*.parquet';

    step('3. What any reader of Parquet sees');
    await question(`SELECT origin, destination, count(*) AS flights, round(avg(delay_minutes), 1) AS delay, max(distance_miles) AS miles
   FROM '${flights}' GROUP BY ALL ORDER BY flights DESC LIMIT 5`);
    await question(`SELECT title, released, imdb_rating, us_gross, details->>'director' AS director
   FROM 'demo-lake/public/movies/**/*.parquet' WHERE imdb_votes > 300000 ORDER BY imdb_rating DESC LIMIT 5`);

    step('4. In the database, some flights are late, and others are new');
    for (const statement of database.changes) {
      command(`psql -c "${statement.shown}"`);
      console.log(`   ${await statement.run()}`);
    }

    step('5. The same command again: only those rows move');
    await runner(sync);
    await question(`SELECT count(*) AS rows, count(DISTINCT flight_id) AS flights, count(*) - count(DISTINCT flight_id) AS newer_versions FROM '${flights}'`);
    await question(`SELECT flight_id, departed_at, delay_minutes, updated_at, _tapline_order
   FROM '${flights}' WHERE flight_id = 1 ORDER BY _tapline_order`);
  } finally {
    await database.stop();
  }
  console.log(`\nThat took ${((performance.now() - started) / 1000).toFixed(0)} s. The lake is in ./demo-lake, its state in .tapline/demo; the server is stopped.`);
  console.log(`Your own database: ${bold("npx --no-install runner sync --source 'postgres://USER@HOST/DATABASE' --dest ./lake")}`);
}

function step(title) {
  console.log(`\n${bold(title)}`);
}

function command(text) {
  console.log(`\n   ${dim('$')} ${text}`);
}

/** As the user would type it, with its own output. */
async function runner(args) {
  const typed = args.map((arg) => (/^[\w@%+=:,./-]+$/.test(arg) ? arg : `'${arg}'`)).join(' ');
  command(`npx --no-install runner ${typed}`);
  const program = join(root, 'node_modules', '.bin', 'runner');
  if (!existsSync(program)) throw new Error(`there is no ${program}: npm run setup`);
  const child = spawn(program, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'], env: childEnv() });
  const code = await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', resolve);
  });
  if (code !== 0) throw new Error(`runner sync exited with ${code}`);
}
