import assert from 'node:assert/strict';
import { megabytes, seconds } from '../bench/report.js';
import type { Figures } from './figures.js';
import { createWorld } from './world.js';

/** One transaction with millions of rows: all of it, once, in its order, in memory that does not know how large it was. */
export async function largeTransaction({ rows = 5_000_000, limitBytes = 600e6 }: { rows?: number; limitBytes?: number } = {}): Promise<Figures> {
  await using world = await createWorld({ seed: 'CREATE TABLE ledger (id bigint PRIMARY KEY, account int NOT NULL, amount numeric(12,2), note text)' });
  await world.sync();
  await world.database.query(`INSERT INTO ledger SELECT i, i % 1000, i / 100.0, 'entry ' || i || ' ' || md5(i::text) FROM generate_series(1, ${rows}::bigint) AS i`);
  const run = await world.sync();
  assert.equal(run.records, rows);
  const [lake] = await world.ask(`
    SELECT count(*) AS n, count(DISTINCT id) AS ids, count(DISTINCT _tapline_order) AS orders, count(DISTINCT _ab_cdc_lsn) AS commits, sum(amount)::text AS amount,
      count(*) FILTER (WHERE note <> 'entry ' || id || ' ' || md5(id::text)) AS damaged
    FROM '${world.files('ledger')}'`);
  const [source] = await world.database.query<{ amount: string }>('SELECT sum(amount)::text AS amount FROM ledger');
  assert.deepEqual({ ...lake }, { n: String(rows), ids: String(rows), orders: String(rows), commits: '1', amount: source?.amount, damaged: '0' });
  const [swapped] = await world.ask(`SELECT count(*) AS n FROM (SELECT id, lag(id) OVER (ORDER BY _tapline_order) AS before FROM '${world.files('ledger')}') WHERE id <> before + 1`);
  assert.equal(swapped?.['n'], '0', 'rows out of the order of the transaction');
  const again = await world.sync();
  assert.equal(again.records, 0, 'nothing comes twice');
  assert(run.peakPssBytes < limitBytes, `a tree of ${megabytes(run.peakPssBytes)}, over ${megabytes(limitBytes)}`);
  return {
    'rows in one transaction': rows.toLocaleString('en'),
    time: seconds(run.wallSeconds),
    'rows/s': Math.round(rows / run.wallSeconds).toLocaleString('en'),
    'CPU a row': `${((run.cpuSeconds / rows) * 1e6).toFixed(1)} us`,
    'peak of the tree': megabytes(run.peakPssBytes),
    'at the peak': Object.entries(run.atPeak).map(([name, bytes]) => `${name} ${megabytes(bytes)}`).join(', '),
    files: String(await world.countFiles()),
  };
}
