/** The checks of warehouses hold against themselves: what the source did is flawless, and every flaw that is put in is told. */
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { byTurns } from '../harness/everyday.js';
import { queryDuckdb } from '../harness/warehouse.js';
import { testDatabase } from '../services/shared.js';
import type { TestDatabase } from '../services/test-database.js';
import { blockSpan, bodyOf, createLoad, deletedStep, padOf, tables, type CdcLoad } from './cdc-load.js';
import { forms, mergedDamage, type Form } from './warehouse-cdc-verify.js';
import { chaosWarehouse, type WarehouseKind } from './warehouse-place.js';
import { damage } from './warehouse-verify.js';
import { createWarehouseWorld, type WarehouseWorld } from './warehouse-world.js';
import { trailOf, trailSchema, type Transaction } from './warehouse-trail.js';

let database: TestDatabase;
let load: CdcLoad;
let trail: Transaction[];

beforeAll(async () => {
  database = await testDatabase();
  load = await createLoad(database, { seed: 'the check', pauseMs: 0, largest: 60 });
  await database.query(trailSchema);
  await load.transactions(10);
  await load.finish();
  trail = await trailOf(database);
});
afterAll(() => database?.drop());

/** Statements that make the tables as a warehouse has them after `upTo` transactions. */
function merged(form: Form, upTo: number): string[] {
  const statements = tables.map(
    (table) => `CREATE TABLE public."${table}" (id bigint, counter int, body text, pad text, _ab_cdc_deleted_at timestamptz, _ab_cdc_lsn bigint, _tapline_order text,
      _airbyte_raw_id text, _airbyte_generation_id bigint, _airbyte_meta text${form === 'scd2' ? ', valid_from timestamptz, valid_to timestamptz, is_current boolean' : ''})`,
  );
  const time = (index: number): string => `TIMESTAMPTZ '2026-01-01 00:00:00+00' + INTERVAL '1 second' * ${index}`;
  for (const [index, { left }] of trail.slice(0, upTo).entries()) {
    for (const { block, name, size, step } of left) {
      const ids = `id BETWEEN ${block * blockSpan} AND ${block * blockSpan + size - 1}`;
      const row = `id, ${step}, ${bodyOf('id', String(step))}, ${padOf('id', step < deletedStep ? 1 : 6)}, NULL, ${index}, lower(lpad(to_hex(${index}), 16, '0')) || lpad(CAST(id AS text), 16, '0'), '${name}' || id || '@${step}', 1, '{}'`;
      if (form === 'scd2') statements.push(`UPDATE public."${name}" SET valid_to = ${time(index)}, is_current = false WHERE ${ids} AND is_current`);
      else if (form === 'hard' || step !== deletedStep) statements.push(`DELETE FROM public."${name}" WHERE ${ids}`);
      else statements.push(`UPDATE public."${name}" SET _ab_cdc_deleted_at = ${time(index)} WHERE ${ids}`);
      if (step === deletedStep) continue;
      statements.push(`INSERT INTO public."${name}" SELECT ${row}${form === 'scd2' ? `, ${time(index)}, NULL, true` : ''} FROM generate_series(${block * blockSpan}, ${block * blockSpan + size - 1}) AS g(id)`);
    }
  }
  return statements;
}

interface Given {
  readonly kind: WarehouseKind;
  readonly form: Form;
  /** How many transactions have arrived; default: all. */
  readonly upTo?: number;
  /** What is wrong then. */
  readonly flaw?: string;
}

async function check({ kind, form, upTo, flaw }: Given): Promise<string> {
  const at = await chaosWarehouse(kind);
  onTestFinished(() => at.dispose());
  const text = [...(kind === 'duckdb' ? ['CREATE SCHEMA public'] : []), 'BEGIN', ...merged(form, upTo ?? trail.length), ...(flaw ? [flaw] : []), 'COMMIT'].join(';\n');
  if (kind === 'duckdb') await queryDuckdb(String(at.config['path']), text);
  else await at.database!.query(text);
  return (await mergedDamage({ at, form }, { source: database, firstStreamedBlock: 0, ...(upTo === undefined ? { finished: database } : {}) })).join('\n');
}

describe('the check of the random load in a warehouse', () => {
  test.each(byTurns((['duckdb', 'postgres18'] as const).flatMap((kind) => forms.map((form) => ({ kind, form }))), forms.length))('finds nothing wrong in $kind ($form) with what the source did, in the end and after any of its transactions', async (given) => {
    expect(load.tally.rollbacks).toBeGreaterThan(0);
    expect(await check(given)).toBe('');
    expect(await check({ ...given, upTo: Math.floor(trail.length / 2) })).toBe('');
  });

  const any = (where: string) => `id = (SELECT min(id) FROM public.keyed WHERE ${where})`;
  const middle = 0.5;
  test.each<[flaw: string, form: Form, at: number | undefined, sql: string, told: RegExp]>([
    ['a row that is there twice', 'hard', undefined, `INSERT INTO public.keyed SELECT * FROM public.keyed WHERE ${any('true')}`, /more than once/],
    ['a row that is missing', 'hard', undefined, `DELETE FROM public.keyed WHERE ${any('true')}`, /torn|missing 1/],
    ['a table that is missing', 'hard', undefined, 'DROP TABLE public.keyed', /not in the warehouse/],
    ['a row that was deleted', 'hard', undefined, `INSERT INTO public.keyed SELECT 9990000, 8, ${bodyOf('9990000', '8')}, ${padOf('9990000', 6)}, NULL, 1, '0000000000000001', 'x', 1, '{}'`, /torn|too many 1/],
    ['what was rolled back', 'hard', undefined, `UPDATE public.keyed SET counter = 1000 WHERE ${any('true')}`, /rolled back/],
    ['values of another row', 'hard', undefined, `UPDATE public.keyed SET body = 'other' WHERE ${any('true')}`, /body is not that/],
    ['a large value that became null', 'hard', undefined, `UPDATE public.keyed SET pad = NULL WHERE ${any('pad IS NOT NULL')}`, /large value/],
    ['a large value of an earlier life', 'hard', undefined, `UPDATE public.keyed SET pad = ${padOf('id', 1)} WHERE ${any('pad IS NOT NULL AND counter > 5')}`, /large value/],
    ['a transaction of which a part is there', 'hard', middle, `UPDATE public.keyed SET counter = counter - 1, body = md5(CAST(id AS text) || ':' || CAST(counter - 1 AS text)) WHERE counter IN (2, 3, 4, 7, 8)`, /no moment of writer|torn/],
    ['a block of which a part is there', 'hard', middle, `DELETE FROM public.keyed WHERE ${any(`id IN (SELECT id FROM public.keyed WHERE id % ${blockSpan} = 1)`)}`, /torn/],
    ['a deleted row with values of another', 'soft', middle, `UPDATE public.keyed SET _ab_cdc_deleted_at = now(), body = 'other' WHERE ${any('true')}`, /deleted row/],
    ['two current versions', 'scd2', undefined, `UPDATE public.keyed SET is_current = true, valid_to = NULL WHERE ${any('NOT is_current')}`, /more than once|overlap/],
    ['a version that is missing', 'scd2', undefined, `DELETE FROM public.keyed WHERE counter = 3`, /the history of block|a gap/],
    ['a gap between two versions', 'scd2', undefined, `UPDATE public.keyed SET valid_to = valid_to - INTERVAL '1 millisecond' WHERE counter = 3`, /a gap/],
    ['versions that overlap', 'scd2', undefined, `UPDATE public.keyed SET valid_to = valid_to + INTERVAL '1 millisecond' WHERE counter = 3`, /overlap/],
    ['a deletion that did not close', 'scd2', undefined, `UPDATE public.keyed SET valid_to = NULL WHERE ${any('counter = 4')} AND counter = 4`, /is_current|overlap/],
  ])('tells %s', async (_, form, at, flaw, told) => {
    expect(await check({ kind: 'duckdb', form, flaw, ...(at === undefined ? {} : { upTo: Math.floor(trail.length * at) }) })).toMatch(told);
  });
});

describe("the check of the spine's world in a warehouse", () => {
  const rows = 300;
  let world: WarehouseWorld;
  beforeAll(async () => {
    world = await createWarehouseWorld({ kind: 'duckdb', rows });
  });
  afterAll(() => world?.dispose());

  const body = `repeat(md5(id || ':' || 1), 6) AS body`;
  const own = (name: string) => `lower(lpad(to_hex(i), 32, '0')) AS _tapline_order, '${name}' || i AS _airbyte_raw_id, 1 AS _airbyte_generation_id`;
  const table = (name: string, id: string, count: number) =>
    `CREATE TABLE public.${name} AS SELECT id, 1 AS version, ${body}, _tapline_order, _airbyte_raw_id, _airbyte_generation_id FROM (SELECT ${id} AS id, ${own(name)} FROM generate_series(1, ${count}) AS g(i)) AS rows`;
  const whole = ['CREATE SCHEMA public', table('events', 'i', rows), table('latest', 'i', rows), table('keyed', 'i', rows / 2), table('heap', `i % ${rows / 3}`, rows / 2)];
  const again = (name: string, where = 'true', version = 1) =>
    `INSERT INTO public.${name} SELECT id, ${version}, repeat(md5(id || ':' || ${version}), 6), 'f' || substr(_tapline_order, 2), _airbyte_raw_id || 'x', _airbyte_generation_id FROM public.${name} WHERE id = 7 AND ${where}`;

  test.each<[flaw: string, sql: string | undefined, told: RegExp | undefined]>([
    ['nothing where nothing is wrong', undefined, undefined],
    ['a version that is there twice', again('events'), /more than once/],
    ['a row that is there twice', again('latest'), /keys are there more than once/],
    ['a row of a refreshed table that is there twice', again('keyed'), /keys are there more than once/],
    ['a row without a key that is there twice', again('heap'), /heap: 15\d rows in the warehouse/],
    ['a row that is missing', 'DELETE FROM public.latest WHERE id = 7', /latest: 299 rows/],
    ['a version that is missing', 'DELETE FROM public.events WHERE id = 7', /events: 299 keys/],
    ['a version that the source does not have', again('events', 'true', 2), /last version in the warehouse is not/],
    ['an older version behind a newer one', again('events', 'true', 0), /before an older one/],
    ['a row of another version', `UPDATE public.latest SET version = 2, body = repeat(md5(id || ':' || 2), 6) WHERE id = 7`, /as many rows.*but others/],
    ['values of another row', `UPDATE public.keyed SET body = repeat(md5('8:1'), 6) WHERE id = 7`, /body is not theirs/],
    ['rows of two generations', 'UPDATE public.heap SET _airbyte_generation_id = 2 WHERE id = 7', /2 generations are visible/],
    ['an order that repeats', `UPDATE public.events SET _tapline_order = (SELECT _tapline_order FROM public.events WHERE id = 8) WHERE id = 7`, /_tapline_order repeats/],
    ['a table that is missing', 'DROP TABLE public.events', /not in the warehouse at all/],
    ['a table of a generation that nobody goes on with', 'CREATE SCHEMA _tapline; CREATE TABLE _tapline.g2_keyed (id int)', /was left behind/],
  ])('tells %s', async (_, flaw, told) => {
    const at = await chaosWarehouse('duckdb');
    onTestFinished(() => at.dispose());
    await queryDuckdb(String(at.config['path']), ['BEGIN', ...whole, ...(flaw ? [flaw] : []), 'COMMIT'].join(';\n'));
    const found = [...(await damage(world.database, at)), ...(await at.leftovers())].join('\n');
    if (told) expect(found).toMatch(told);
    else expect(found).toBe('');
  });
});
