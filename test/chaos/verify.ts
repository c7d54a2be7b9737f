/** Counts what a lake holds against what the database holds. */
import type { Lake } from '../harness/lake.js';
import { queryLake, type Ask } from '../harness/query.js';
import type { TestDatabase } from '../services/postgres.js';

const streams = { events: 'public/events/', keyed: 'public/keyed/', heap: 'public/heap/' };

/** Everything that is wrong once a run has succeeded and nobody writes; empty = every row is there once. */
export async function damage(database: TestDatabase, lake: Lake): Promise<string[]> {
  return await queryLake(lake, streams, async (ask, present) => {
    const found = await doubled(ask, present);
    for (const name of ['keyed', 'heap'] as const) {
      const there = await contents(ask, name, present.has(name));
      const [here] = await database.query<Record<string, string>>(
        `SELECT count(*)::text AS rows, coalesce(md5(string_agg(id || ':' || version, ',' ORDER BY id, version)), '') AS digest FROM ${name}`,
      );
      if (there.rows !== here?.['rows']) found.push(`${name}: ${there.rows} rows in the lake, ${here?.['rows']} in the database`);
      else if (there.digest !== here?.['digest']) found.push(`${name}: as many rows as in the database, but others`);
      if (present.has(name) && Number(await ask(`SELECT count(DISTINCT _airbyte_generation_id) FROM ${name}`)) > 1) found.push(`${name}: several generations are visible`);
    }
    found.push(...(await eventsOf(database, ask, present.has('events'))));
    const keys = await lake.keys();
    const staged = keys.filter((key) => key.includes('/staged/'));
    if (staged.length > 0) found.push(`${staged.length} staged objects were left behind: ${staged.slice(0, 3).join(', ')}`);
    return found;
  });
}

/** What is doubled or damaged, after whatever crash: a reader must never see that. */
export const duplicates = (lake: Lake): Promise<string[]> => queryLake(lake, streams, doubled);

async function doubled(ask: Ask, present: ReadonlySet<string>): Promise<string[]> {
  const found: string[] = [];
  for (const name of present) {
    const rows = Number(await ask(`SELECT count(*) FROM ${name}`));
    const orders = Number(await ask(`SELECT count(DISTINCT (_airbyte_generation_id, _tapline_order)) FROM ${name}`));
    if (orders !== rows) found.push(`${name}: _tapline_order repeats (${rows} rows, ${orders} orders)`);
    const ids = Number(await ask(`SELECT count(DISTINCT _airbyte_raw_id) FROM ${name}`));
    if (ids !== rows) found.push(`${name}: _airbyte_raw_id repeats (${rows} rows, ${ids} ids)`);
    const bad = Number(await ask(`SELECT count(*) FROM ${name} WHERE body IS DISTINCT FROM repeat(md5(id || ':' || version), 6)`));
    if (bad > 0) found.push(`${name}: ${bad} rows whose body is not theirs`);
  }
  if (present.has('events')) {
    const twice = Number(await ask('SELECT count(*) FROM (SELECT id, version FROM events GROUP BY ALL HAVING count(*) > 1)'));
    if (twice > 0) found.push(`events: ${twice} versions of rows are there more than once`);
  }
  if (present.has('keyed')) {
    const twice = Number(await ask('SELECT count(*) FROM (SELECT id FROM keyed GROUP BY id, _airbyte_generation_id HAVING count(*) > 1)'));
    if (twice > 0) found.push(`keyed: ${twice} rows are there more than once in a generation`);
  }
  return found;
}

async function contents(ask: Ask, name: string, present: boolean): Promise<{ rows: string; digest: string }> {
  if (!present) return { rows: '0', digest: '' };
  return {
    rows: String(await ask(`SELECT count(*) FROM ${name}`)),
    digest: (await ask(`SELECT coalesce(md5(string_agg(id || ':' || version, ',' ORDER BY id, version)), '') FROM ${name}`)) as string,
  };
}

/** Of each row the last version, and of those before it each at most once, in their order. */
async function eventsOf(database: TestDatabase, ask: Ask, present: boolean): Promise<string[]> {
  const found: string[] = [];
  const [here] = await database.query<{ rows: string; digest: string }>(
    `SELECT count(*)::text AS rows, md5(string_agg(id || ':' || version, ',' ORDER BY id)) AS digest FROM events`,
  );
  if (!present) return [`events: not in the lake at all (${here?.rows} rows)`];
  const last = '(SELECT id, arg_max(version, _tapline_order) AS version FROM events GROUP BY id)';
  const rows = String(await ask(`SELECT count(*) FROM ${last}`));
  const digest = String(await ask(`SELECT md5(string_agg(id || ':' || version, ',' ORDER BY id)) FROM ${last}`));
  if (rows !== here?.rows) found.push(`events: ${rows} keys in the lake, ${here?.rows} in the database`);
  else if (digest !== here.digest) found.push('events: the last version in the lake is not the one in the database');
  const backwards = Number(
    await ask('SELECT count(*) FROM (SELECT version <= lag(version) OVER (PARTITION BY id ORDER BY _airbyte_generation_id, _tapline_order) AS back FROM events) WHERE back'),
  );
  if (backwards > 0) found.push(`events: ${backwards} versions come before an older one of the same key`);
  return found;
}
