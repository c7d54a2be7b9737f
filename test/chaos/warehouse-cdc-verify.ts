/** Holds what a warehouse shows of the random load against the rows that the source has, and against what it has done to them. */
import type { TestDatabase } from '../services/test-database.js';
import { blockSpan, bodyOf, deletedStep, padOf, rolledBack, tables, type LoadTable } from './cdc-load.js';
import type { Expectation } from './cdc-verify.js';
import type { ChaosWarehouse, Sight, WarehouseRow } from './warehouse-place.js';
import { tornTransactions, trailOf, type Transaction } from './warehouse-trail.js';

/** `hard`, `soft`: one row a key, and what becomes of deletions. `scd2`: one row a version. */
export const forms = ['hard', 'soft', 'scd2'] as const;
export type Form = (typeof forms)[number];

/** As the URI takes it. */
export const optionOf = (form: Form): string => (form === 'scd2' ? 'history=scd2' : `deletes=${form}`);

export interface Looked {
  readonly at: ChaosWarehouse;
  readonly form: Form;
}

/** Everything that is wrong; empty = no change is lost, doubled, damaged, torn or was never committed. */
export async function mergedDamage({ at, form }: Looked, expected: Expectation): Promise<string[]> {
  return [...(await at.look((sight) => damageSeen(sight, form, expected))), ...(expected.finished ? await at.leftovers() : [])];
}

async function damageSeen(at: Sight, form: Form, expected: Expectation): Promise<string[]> {
  const found: string[] = [];
  const present = await at.tables('public');
  const copied = expected.firstStreamedBlock !== undefined;
  const trail = expected.source && (copied || form === 'scd2') ? await trailOf(expected.source) : [];
  const seen = new Map<number, number>();
  for (const table of tables) {
    if (present.has(table)) found.push(...(await damageOf({ at, form, table })), ...(await blocksOf({ at, form, table, trail: copied ? trail : [], seen })));
    if (expected.finished) found.push(...(await differences({ at, form, table, present: present.has(table) }, expected.finished)));
    if (form === 'scd2' && expected.finished && present.has(table)) found.push(...(await historyOf({ at, table, trail, from: expected.firstStreamedBlock ?? 0 })));
  }
  if (copied && found.length === 0) found.push(...tornTransactions(trail, seen));
  return found;
}

interface TableOf {
  readonly at: Sight;
  readonly form: Form;
  readonly table: LoadTable;
}

const alive = ({ form, table }: Omit<TableOf, 'at'>): string => {
  const where = { hard: '', soft: ' WHERE _ab_cdc_deleted_at IS NULL', scd2: ' WHERE is_current' }[form];
  return `(SELECT * FROM public."${table}"${where}) AS alive`;
};

/** What holds at any moment, whatever was killed. */
async function damageOf({ at, form, table }: TableOf): Promise<string[]> {
  const all = `public."${table}"`;
  const position = at.kind === 'duckdb' ? `('0x' || substr(_tapline_order, 1, 16))::BIGINT` : `('x' || substr(_tapline_order, 1, 16))::bit(64)::bigint`;
  const pad = `pad IS DISTINCT FROM (CASE WHEN counter < ${deletedStep} THEN ${padOf('id', 1)} ELSE ${padOf('id', 6)} END)`;
  const rows = form === 'soft' ? alive({ form, table }) : all;
  const checks: [what: string, sql: string][] = [
    ['keys that are there more than once', `SELECT id FROM ${form === 'scd2' ? alive({ form, table }) : all} GROUP BY id HAVING count(*) > 1`],
    ['rows that were rolled back', `SELECT id FROM ${all} WHERE counter >= ${rolledBack} OR id < 0`],
    ['rows at no step', `SELECT id FROM ${rows} WHERE counter IS NULL OR counter NOT IN (1, 2, 3, 4, 6, 7, 8)`],
    ['the body is not that of its step', `SELECT id FROM ${rows} WHERE body IS DISTINCT FROM ${bodyOf('id', 'counter')}`],
    ['the large value is not that of its row', `SELECT id FROM ${rows} WHERE ${pad}`],
    ['values that are told to be lost', `SELECT id FROM ${rows} WHERE CAST(_airbyte_meta AS varchar) LIKE '%SOURCE_RETRIEVAL_ERROR%'`],
    ['_ab_cdc_lsn is not the position in _tapline_order', `SELECT id FROM ${all} WHERE _ab_cdc_lsn IS DISTINCT FROM ${position}`],
    ['_airbyte_raw_id repeats', `SELECT min(id) AS id FROM ${all} GROUP BY _airbyte_raw_id HAVING count(*) > 1`],
  ];
  if (form === 'soft') {
    // Of a row that it never had whole, the log tells the key only.
    checks.push(['a deleted row does not hold what it held', `SELECT id FROM ${all} WHERE _ab_cdc_deleted_at IS NOT NULL AND counter IS NOT NULL AND (counter NOT IN (1, 2, 3, 4) OR body IS DISTINCT FROM ${bodyOf('id', 'counter')} OR ${pad})`]);
  }
  if (form === 'scd2') {
    const versions = `(SELECT id, counter, valid_from, valid_to, is_current, lag(counter) OVER v AS before, lag(valid_to) OVER v AS ended, lag(id) OVER v AS earlier, _airbyte_generation_id AS generation, lag(_airbyte_generation_id) OVER v AS old
      FROM ${all} WINDOW v AS (PARTITION BY id ORDER BY valid_from, _tapline_order)) AS versions`;
    checks.push(
      ['is_current is not what valid_to says', `SELECT id FROM ${all} WHERE is_current IS DISTINCT FROM (valid_to IS NULL)`],
      ['versions that end before they begin', `SELECT id FROM ${all} WHERE valid_to < valid_from OR valid_from IS NULL`],
      ['versions overlap', `SELECT id FROM ${versions} WHERE earlier IS NOT NULL AND (ended IS NULL OR ended > valid_from)`],
      ['a gap in a life', `SELECT id FROM ${versions} WHERE ended < valid_from AND NOT (before < ${deletedStep} AND counter > ${deletedStep}) AND generation = old`],
      ['versions in another order than they were made', `SELECT id FROM ${versions} WHERE counter < before OR (counter = before AND generation = old)`],
    );
  }
  const told = checks.map(([what, sql]) => `SELECT '${what}' AS what, count(*) AS n, min(id) AS first, max(id) AS last FROM (${sql}) AS wrong`).join(' UNION ALL ');
  return (await at.query(told)).filter(({ n }) => Number(n) > 0).map(({ what, n, first, last }) => `${table}: ${String(what)}: ${String(n)}, such as ${String(first)} and ${String(last)}`);
}

const block = `CAST((id - id % ${blockSpan}) / ${blockSpan} AS bigint)`;

/** Notes at which step a reader sees each block; rows of one block go through the steps together. */
async function blocksOf({ at, form, table, trail, seen }: TableOf & { readonly trail: readonly Transaction[]; readonly seen: Map<number, number> }): Promise<string[]> {
  const sizes = new Map(trail.flatMap(({ left }) => left.filter(({ name }) => name === table).map(({ block: number, size }) => [number, size] as const)));
  if (sizes.size === 0) return [];
  const found: string[] = [];
  for (const row of await at.query(`SELECT ${block} AS block, count(*) AS n, min(counter) AS low, max(counter) AS high FROM ${alive({ form, table })} GROUP BY 1`)) {
    const [number, n, low, high] = [row['block'], row['n'], row['low'], row['high']].map(Number) as [number, number, number, number];
    seen.set(number, high);
    if (n !== sizes.get(number) || low !== high) found.push(`${table}: block ${number} is torn: ${n} of ${sizes.get(number) ?? 'no'} rows, at steps ${low} to ${high}`);
  }
  return found.slice(0, 10);
}

/** Row by row, all columns, once the load has finished and a run has caught up. */
async function differences({ at, form, table, present }: TableOf & { readonly present: boolean }, source: TestDatabase): Promise<string[]> {
  const digest = `count(*) AS n, coalesce(md5(string_agg(id || ':' || counter || ':' || md5(body) || ':' || coalesce(md5(pad), ''), ',' ORDER BY id)), '') AS digest`;
  const [here] = await source.query<{ n: string; digest: string }>(`SELECT ${digest} FROM "${table}"`);
  if (!present) return here!.n === '0' ? [] : [`${table}: not in the warehouse at all (${here!.n} rows)`];
  const [there] = await at.query(`SELECT ${digest} FROM ${alive({ form, table })}`);
  if (String(there!['n']) === here!.n && there!['digest'] === here!.digest) return [];
  const list = (from: string) => `SELECT id || '@' || counter AS row FROM ${from}`;
  const ours = new Set((await at.query(list(alive({ form, table })))).map(({ row }) => String(row)));
  const theirs = new Set((await source.query<{ row: string }>(list(`"${table}"`))).map(({ row }) => row));
  const missing = [...theirs].filter((row) => !ours.has(row));
  const extra = [...ours].filter((row) => !theirs.has(row));
  return [`${table}: ${String(there!['n'])} rows in the warehouse, ${here!.n} in the source; missing ${missing.length} (${missing.slice(0, 5).join(' ')}), too many ${extra.length} (${extra.slice(0, 5).join(' ')}), others differ in a value`];
}

interface HistoryOf {
  readonly at: Sight;
  readonly table: LoadTable;
  readonly trail: readonly Transaction[];
  /** Of earlier blocks some steps may have come by the copy, which knows the last one only. */
  readonly from: number;
}

/** Of each row the versions that its transactions left, from the commit of one to the commit of the next. */
async function historyOf({ at, table, trail, from }: HistoryOf): Promise<string[]> {
  const expected = new Map<number, { size: number; steps: { step: number; at: string }[] }>();
  for (const { left, at: time } of trail) {
    for (const { block: number, name, size, step } of left) {
      if (name !== table || number < from) continue;
      const one = expected.get(number) ?? { size, steps: [] };
      one.steps.push({ step, at: time });
      expected.set(number, one);
    }
  }
  const rows = await at.query(`SELECT ${block} AS block, counter, valid_from, valid_to, count(*) AS n FROM public."${table}" GROUP BY 1, 2, 3, 4 ORDER BY 1, 3, 2`);
  const actual = new Map<number, WarehouseRow[]>();
  for (const row of rows) actual.set(Number(row['block']), [...(actual.get(Number(row['block'])) ?? []), row]);
  const found: string[] = [];
  for (const [number, { size, steps }] of expected) {
    const timed = steps.every(({ at: time }) => time !== '');
    const want = steps.flatMap(({ step, at: time }, i) => (step === deletedStep ? [] : [versionText({ step, from: time, to: steps[i + 1]?.at ?? null, n: size, timed })]));
    const got = (actual.get(number) ?? []).map((row) => versionText({ step: Number(row['counter']), from: textOf(row, 'valid_from'), to: textOf(row, 'valid_to'), n: Number(row['n']), timed }));
    if (got.join() !== want.join()) found.push(`${table}: the history of block ${number} is ${got.join(', ')} instead of ${want.join(', ')}`);
  }
  return found.slice(0, 3);
}

const textOf = (row: WarehouseRow, column: string): string | null => (row[column] === null ? null : String(row[column]));

function versionText({ step, from, to, n, timed }: { step: number; from: string | null; to: string | null; n: number; timed: boolean }): string {
  return timed ? `${n} × ${step} from ${from} to ${to ?? 'now'}` : `${n} × ${step}${to === null ? ' now' : ''}`;
}
