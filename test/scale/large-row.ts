import assert from 'node:assert/strict';
import { megabytes, seconds } from '../bench/report.js';
import type { Figures } from './figures.js';
import { createWorld } from './world.js';

/** A row of 100 MB, inserted, then updated without its large value, which the log then does not carry. */
export async function largeRow({ size = 100, limitBytes = 2e9 }: { size?: number; limitBytes?: number } = {}): Promise<Figures> {
  await using world = await createWorld({ seed: 'CREATE TABLE docs (id int PRIMARY KEY, title text, body text)' });
  await world.sync();
  const body = `(SELECT string_agg(md5(i::text), '') FROM generate_series(1, ${Math.ceil((size * 1e6) / 32)}) AS i)`;
  await world.database.query(`INSERT INTO docs SELECT i, 'small ' || i, repeat('x', i) FROM generate_series(1, 1000) AS i`);
  await world.database.query(`INSERT INTO docs VALUES (0, 'large', ${body})`);
  await world.database.query(`UPDATE docs SET title = 'small again' WHERE id % 10 = 1`);
  const inserted = await world.sync();
  assert.equal(inserted.records, 1101);
  await world.database.query(`UPDATE docs SET title = 'large, renamed' WHERE id = 0; DELETE FROM docs WHERE id = 500`);
  const updated = await world.sync();
  assert.equal(updated.records, 2);
  const [source] = await world.database.query<{ md5: string; bytes: string }>('SELECT md5(body) AS md5, length(body)::text AS bytes FROM docs WHERE id = 0');
  const large = await world.ask(`SELECT title, md5(body) AS md5, length(body)::text AS bytes FROM '${world.files('docs')}' WHERE id = 0 ORDER BY _tapline_order`);
  assert.deepEqual(large, [{ title: 'large', ...source }, { title: 'large, renamed', ...source }]);
  const [small] = await world.ask(`SELECT count(*) AS n, count(*) FILTER (WHERE _ab_cdc_deleted_at IS NOT NULL) AS deleted FROM '${world.files('docs')}' WHERE id <> 0`);
  assert.deepEqual(small, { n: '1101', deleted: '1' });
  const peak = Math.max(inserted.peakPssBytes, updated.peakPssBytes);
  assert(peak < limitBytes, `a tree of ${megabytes(peak)}, over ${megabytes(limitBytes)}`);
  const parts = (atPeak: Readonly<Record<string, number>>) => Object.entries(atPeak).map(([name, bytes]) => `${name} ${megabytes(bytes)}`).join(', ');
  return {
    'one value': megabytes(Number(source?.bytes)),
    'inserted: time': seconds(inserted.wallSeconds),
    'inserted: peak of the tree': `${megabytes(inserted.peakPssBytes)} (${parts(inserted.atPeak)})`,
    'updated without it: time': seconds(updated.wallSeconds),
    'updated without it: peak of the tree': `${megabytes(updated.peakPssBytes)} (${parts(updated.atPeak)})`,
  };
}
