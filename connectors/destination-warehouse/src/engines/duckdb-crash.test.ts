import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openDuckdb } from './duckdb.js';

let folder: string;
beforeAll(async () => void (folder = await mkdtemp(join(tmpdir(), 'tapline-duckdb-crash-'))));
afterAll(() => rm(folder, { recursive: true, force: true }));

const rowsOfRound = 40_000;

/** Commits rounds of rows and of changes, each with its number in a checkpoint, and says so before and after each COMMIT. */
const writer = (path: string): string => `
  import { openDuckdb } from ${JSON.stringify(new URL('../../dist/engines/duckdb.js', import.meta.url).href)};
  const warehouse = await openDuckdb({ path: ${JSON.stringify(path)}, scratch: ${JSON.stringify(`${path}.scratch`)}, log() {} });
  await warehouse.run('CREATE TABLE IF NOT EXISTS facts (round INTEGER, part INTEGER, word VARCHAR); CREATE TABLE IF NOT EXISTS latest (part INTEGER, round INTEGER); CREATE TABLE IF NOT EXISTS checkpoint (round INTEGER)');
  const [last] = await warehouse.run('SELECT coalesce(max(round), 0)::INTEGER AS round FROM checkpoint');
  for (let round = last.round + 1; ; round++) {
    await warehouse.transaction(async () => {
      await warehouse.run('DELETE FROM checkpoint; INSERT INTO checkpoint VALUES (' + round + ')');
      await warehouse.run('INSERT INTO facts SELECT ' + round + ', i, md5(i::VARCHAR) FROM range(${rowsOfRound}) t(i)');
      await warehouse.run('DELETE FROM latest; INSERT INTO latest SELECT i, ' + round + ' FROM range(${rowsOfRound}) t(i)');
      console.log('commit ' + round);
    });
    console.log('done ' + round);
  }`;

test('killed in the middle of a commit, again and again, the file holds whole transactions, and all that were told', async () => {
  const path = join(folder, 'killed.db');
  let told = 0;
  for (let kill = 0; kill < 6; kill++) {
    const child = spawn(process.execPath, ['--input-type=module', '-e', writer(path)], { stdio: ['ignore', 'pipe', 'inherit'], cwd: fileURLToPath(new URL('../..', import.meta.url)) });
    const until = told + 2 + (kill % 2);
    for await (const line of createInterface({ input: child.stdout })) {
      const [word, round] = line.split(' ');
      if (word === 'done') told = Number(round);
      // A commit takes some 20 ms here: the kills fall before, into and behind it.
      else if (Number(round) >= until) setTimeout(() => child.kill('SIGKILL'), kill * 3);
    }
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    await using warehouse = await openDuckdb({ path, scratch: join(folder, 'scratch'), log: () => undefined });
    const [found] = await warehouse.run(`SELECT (SELECT max(round) FROM checkpoint) AS round, (SELECT count(*) FROM facts)::INTEGER AS facts,
      (SELECT count(DISTINCT (round, part)) FROM facts)::INTEGER AS different, (SELECT list(DISTINCT round) FROM latest)::VARCHAR AS latest, (SELECT count(*) FROM latest)::INTEGER AS parts`);
    const round = Number(found!['round']);
    expect([told, told + 1], `round ${round} after kill ${kill}`).toContain(round);
    expect(found).toEqual({ round, facts: round * rowsOfRound, different: round * rowsOfRound, latest: `[${round}]`, parts: rowsOfRound });
    told = round;
  }
}, 120_000);
