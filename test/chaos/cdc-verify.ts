/** Holds what a lake received of the random load against what every row went through. */
import type { Lake } from '../harness/lake.js';
import { queryLake, type Ask } from '../harness/query.js';
import type { TestDatabase } from '../services/postgres.js';
import { bodyOf, blockSpan, deletedStep, lastStep, padOf, rolledBack, tables, type LoadTable } from './cdc-load.js';

const streams = Object.fromEntries(tables.map((table) => [`"${table}"`, `public/${table}/`]));

export interface Expectation {
  /** Where the load is, at whatever point. */
  readonly source?: TestDatabase;
  /** Rows of earlier blocks may be there by the copy, at the step that it saw; of later ones every step is. */
  readonly firstStreamedBlock?: number;
  /** The load has finished and a run has caught up since: nothing is missing at the end either. */
  readonly finished?: TestDatabase;
}

/** Everything that is wrong; empty = no change is lost, doubled, damaged, out of order or was never committed. */
export const damage = (lake: Lake, expected: Expectation = {}): Promise<string[]> =>
  queryLake(lake, streams, async (ask, present) => {
    const found: string[] = [];
    for (const table of tables) {
      if (present.has(`"${table}"`)) found.push(...(await damageOf(ask, table, expected)));
      else if (expected.finished) {
        const [row] = await expected.finished.query<{ rows: string }>(`SELECT count(*) AS rows FROM "${table}"`);
        if (row!.rows !== '0') found.push(`${table}: not in the lake at all (${row!.rows} rows)`);
      }
    }
    if (expected.finished) {
      const staged = (await lake.keys()).filter((key) => key.includes('/staged/'));
      if (staged.length > 0) found.push(`${staged.length} staged objects were left behind: ${staged.slice(0, 3).join(', ')}`);
    }
    return found;
  });

async function damageOf(ask: Ask, table: LoadTable, { firstStreamedBlock = Infinity, finished }: Expectation): Promise<string[]> {
  const found: string[] = [];
  const rows = `"${table}"`;
  const tell = async (what: string, sql: string, key = 'id'): Promise<void> => {
    const answer = await ask(`SELECT CASE WHEN count(*) > 0 THEN count(*) || ', such as ' || string_agg(DISTINCT ${key}::text, ' ' ORDER BY ${key}::text)[1:200] END FROM (${sql} LIMIT 1000)`);
    if (answer !== null && answer !== undefined) found.push(`${table}: ${what}: ${answer as string}`);
  };
  // Of the copy's rows all have one position, and none of the stream's that belongs to this generation is before it.
  const events = `all_${table}`;
  await ask(`CREATE TEMP TABLE ${events} AS SELECT id, coalesce(counter, -1) AS counter, body, pad, _ab_cdc_deleted_at IS NOT NULL AS deleted, CASE WHEN _ab_cdc_deleted_at IS NULL THEN counter ELSE ${deletedStep} END AS step,
    _tapline_order AS "order", _airbyte_generation_id AS generation, _airbyte_meta AS meta,
    row_number() OVER k AS number, lag(CASE WHEN _ab_cdc_deleted_at IS NULL THEN counter ELSE ${deletedStep} END) OVER k AS before,
    substr(_tapline_order, 1, 16) = min(substr(_tapline_order, 1, 16)) OVER (PARTITION BY _airbyte_generation_id) AS copied
    FROM ${rows} WINDOW k AS (PARTITION BY id, _airbyte_generation_id ORDER BY _tapline_order)`);
  const trail = (where: string) => `SELECT e.id || ' [' || string_agg(e.step::text, ' ' ORDER BY e."order") || ']' AS id FROM ${events} e WHERE id IN (SELECT id FROM ${events} WHERE ${where}) GROUP BY e.id`;

  await tell('_tapline_order repeats', `SELECT _tapline_order AS id FROM ${rows} GROUP BY _tapline_order, _airbyte_generation_id HAVING count(*) > 1`);
  await tell('_airbyte_raw_id repeats', `SELECT _airbyte_raw_id AS id FROM ${rows} GROUP BY _airbyte_raw_id HAVING count(*) > 1`);
  await tell('rows that were rolled back', `SELECT id FROM ${rows} WHERE counter >= ${rolledBack} OR id < 0`);
  await tell('steps lost, doubled or out of order', trail('number > 1 AND step IS DISTINCT FROM before + 1'));
  await tell('the first steps are missing, and no copy stands for them', trail(`number = 1 AND step <> 1 AND NOT (id < ${Math.min(firstStreamedBlock * blockSpan, 9e15)} AND step <> ${deletedStep} AND (copied OR step = ${deletedStep + 1}))`));
  await tell('the body is not that of its step', `SELECT id || '@' || step AS id FROM ${events} WHERE NOT deleted AND body IS DISTINCT FROM ${bodyOf('id', 'step')}`);
  // Selected again by its key, a large value is that of a later life of the row, or gone, which is told.
  const exact = `pad IS NOT DISTINCT FROM (CASE WHEN step < ${deletedStep} THEN ${padOf('id', 1)} ELSE ${padOf('id', 6)} END)`;
  const reselected = `step IN (2, 3, 4) AND id % 7 = 0 AND (pad IS NOT DISTINCT FROM ${padOf('id', 6)} OR (pad IS NULL AND meta LIKE '%"pad"%'))`;
  const instead = `CASE WHEN pad IS NULL THEN 'null' WHEN pad = ${padOf('id', 1)} THEN 'that of the first life' WHEN pad = ${padOf('id', 6)} THEN 'that of the second life' ELSE 'another' END`;
  await tell('the large value is not that of its row', `SELECT id || '@' || step || ': ' || ${instead} || ' ' || meta AS id FROM ${events} WHERE NOT deleted AND NOT (${exact}${table === 'full' ? '' : ` OR (${reselected})`})`);
  await tell('_ab_cdc_lsn is not the position in _tapline_order', `SELECT id FROM ${rows} WHERE _ab_cdc_lsn IS DISTINCT FROM ('0x' || substr(_tapline_order, 1, 16))::BIGINT`);
  if (!finished) return found;

  const generations = Number(await ask(`SELECT count(DISTINCT _airbyte_generation_id) FROM ${rows}`));
  if (generations > 1) found.push(`${table}: ${generations} generations are visible`);
  await tell('end before the last step', `SELECT id || '@' || max_by(step, "order") AS id FROM ${events} GROUP BY id HAVING max_by(step, "order") <> ${lastStep}`);
  const there = await ask(`SELECT count(DISTINCT id) || ' rows, digest ' || md5(string_agg(DISTINCT id::text, ',' ORDER BY id::text)) FROM ${rows}`);
  const [here] = await finished.query<{ text: string }>(`SELECT count(*) || ' rows, digest ' || md5(string_agg(id::text, ',' ORDER BY id::text COLLATE "C")) AS text FROM "${table}"`);
  if (there !== here!.text) found.push(`${table}: ${String(there)} in the lake, ${here!.text} in the database`);
  return found;
}
