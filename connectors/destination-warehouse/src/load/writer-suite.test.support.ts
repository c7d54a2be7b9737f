/** What the writer must do on every engine. */
import { expect, test } from 'vitest';
import type { TableName } from '../dialects/dialect.js';
import { runAll } from '../run-all.js';
import type { ColumnSource, TableShape } from '../tables/shape.js';
import { changeTypes } from './changes.test.support.js';
import { make, openForm, Random, rowsIn, shapeOf, sorted, table, typed, type ShapeOptions, type Values } from './load.test.support.js';
import { deletionsKept, generationsMerged, historiesKept, type Place } from './random-histories.test.support.js';
import type { LoadFile, TableWriterOptions, WriteReport } from './requests.js';
import { TableWriter } from './table-writer.js';

const openTable: TableName = { schema: 'sales', table: '_tapline_open' };
const day = (n: number): string => new Date(Date.UTC(2026, 0, n)).toISOString();
const millis = (n: number): string => String(Date.UTC(2026, 0, n));
const order = (commit: number, row: number): string => commit.toString(16).padStart(16, '0') + row.toString(16).padStart(16, '0');

/** A record with what every record has. `place`: its commit and row. */
const record = (place: readonly [commit: number, row: number], data: Values): Values => ({
  _airbyte_raw_id: `r${place.join('-')}`, _airbyte_extracted_at: day(place[0]), _airbyte_generation_id: 1, _tapline_order: order(...place), ...data,
});
const unheld = (field: string): string => JSON.stringify({ changes: [{ field, change: 'NULLED', reason: 'DESTINATION_TYPECAST_ERROR' }] });

interface Change {
  readonly field: string;
  readonly change: string;
  readonly reason: string;
}

/** `seeds`: of random histories, each. `whole`: and all the rest. */
export function writerSuite(place: () => Place, seeds: readonly number[], whole = true): void {
  const writer = (options: Partial<TableWriterOptions> = {}): TableWriter => new TableWriter({ warehouse: place().warehouse, badValues: 'null', run: 'r1', ...options });

  const fresh = async (...shapes: readonly (readonly [TableShape, TableName])[]): Promise<void> => {
    const { warehouse } = place();
    for (const name of [table, openTable]) await runAll(warehouse, warehouse.dialect.dropTable(name));
    await warehouse.transaction(async () => {
      for (const [shape, name] of shapes) await make(warehouse, shape, name);
    });
  };
  const table_ = async (options: ShapeOptions): Promise<TableShape> => {
    const shape = shapeOf(options);
    await fresh([shape, table]);
    return shape;
  };
  const write = async (shape: TableShape, records: readonly Values[], options: { to?: TableName; writer?: TableWriter; files?: readonly LoadFile[] } = {}): Promise<WriteReport> => {
    const files = options.files ?? [await place().staging.file(shape, records)];
    return place().warehouse.transaction(() => (options.writer ?? writer()).write({ shape, table: options.to ?? table, open: options.to !== undefined, files }));
  };
  const rows = (shape: TableShape, names: readonly string[]): Promise<Record<string, string | null>[]> => rowsIn(place().warehouse, shape, names);
  const valuesIn = async (shape: TableShape): Promise<Set<string | null>> => {
    const values = (await rows(shape, ['v'])).map(({ v }) => v!);
    expect(new Set(values).size, 'no row twice').toBe(values.length);
    return new Set(values);
  };
  const changesIn = async (shape: TableShape): Promise<readonly Change[][]> =>
    (await rows(shape, ['_airbyte_meta'])).map(({ _airbyte_meta: meta }) => (JSON.parse(meta!) as { changes: Change[] }).changes);

  test('a merged table is the source\'s, whatever its history, its batches and the place of copied rows among them', { timeout: 300_000 }, async () => {
    for (const seed of seeds) await generationsMerged(seed, place());
  });

  test('with soft deletes a row that is gone has its last values and the time it went', { timeout: 300_000 }, async () => {
    for (const seed of seeds) await deletionsKept(seed, place());
  });

  test('a history has every version of every key, none overlapping, one current', { timeout: 300_000 }, async () => {
    for (const seed of seeds) await historiesKept(seed, place());
  });

  if (!whole) return;

  test('append: every record is a row, and what nobody tells is null with an entry', async () => {
    const shape = await table_({ write: 'append', types: { id: 'int64', body: 'text' } });
    const report = await write(shape, [record([1, 1], { id: 1, body: 'a' }), record([1, 2], { id: 1, body: null, _tapline_unchanged: '["body"]' })]);
    expect(report).toEqual({ rows: 2, nulled: 1, keyHeldNull: false });
    expect(sorted(await rows(shape, ['id', 'body']))).toEqual(sorted([{ id: '1', body: 'a' }, { id: '1', body: null }]));
    expect(sorted(await changesIn(shape))).toEqual(sorted([[], [{ field: 'body', change: 'NULLED', reason: 'SOURCE_RETRIEVAL_ERROR' }]]));
  });

  test.each(['int64', 'text', 'decimal', 'timestamptz', 'decimal(12,2)'])('the latest by a cursor of type %s stays, nulls lowest, whatever the order of arrival', { timeout: 300_000 }, async (type) => {
    for (const seed of seeds.slice(0, 2)) {
      const random = new Random(seed + 1000);
      const shape = await table_({ write: 'merge', types: { a: 'int64', b: 'text', at: type, v: 'text' }, key: ['a', 'b'], cursor: 'at', primaryKey: false });
      const generation = openForm(shape);
      await place().warehouse.transaction(() => make(place().warehouse, generation, openTable));
      const delivered: { key: string; cursor: number | null; order: string; v: string }[] = [];
      const numbers = [-105, -100, -15, -5, 0, 5, 15, 90, 105, 1000];
      for (let commit = 1; commit <= 8; commit++) {
        const records = Array.from({ length: 1 + random.below(6) }, (_, row): Values => {
          const [a, b] = [random.below(3), random.pick([null, 'x', 'y'])];
          const cursor = random.chance(20) ? null : random.below(numbers.length);
          const v = `${commit}-${row}`;
          delivered.push({ key: JSON.stringify([a, b]), cursor, order: order(commit, row), v });
          return record([commit, row], { a, b, v, at: cursor === null ? null : cursorText(type, numbers[cursor]!) });
        });
        // The first half goes into a generation that is added to what is there then.
        if (commit === 5) await place().warehouse.transaction(() => writer().complete({ shape, from: openTable, into: table, replace: random.chance(50) }));
        await write(commit < 5 ? generation : shape, records, commit < 5 ? { to: openTable } : {});
      }
      const latest = new Map<string, (typeof delivered)[number]>();
      for (const one of delivered) {
        const held = latest.get(one.key);
        const [x, y] = [one.cursor ?? -1, held?.cursor ?? -1];
        if (!held || x > y || (x === y && one.order > held.order)) latest.set(one.key, one);
      }
      expect(sorted(await rows(shape, ['v'])), `seed ${seed}`).toEqual(sorted([...latest.values()].map(({ v }) => ({ v }))));
    }
  });

  test('a cursor of the data decides beside deletions, which come after what came before them if they do not tell it', async () => {
    const types = { id: 'int64', at: 'timestamptz', v: 'text', _ab_cdc_deleted_at: 'timestamptz' };
    const one = (n: number, data: Values): Values => record([n, 1], { id: 1, ...data });
    const cases: [records: Values[], left: string[]][] = [
      [[one(1, { at: day(2), v: 'new' }), one(2, { at: day(1), v: 'old' })], ['new']],
      [[one(1, { at: day(2), v: 'new' }), one(2, { _ab_cdc_deleted_at: day(3) })], []],
      [[one(1, { at: day(2), v: 'new' }), one(2, { _ab_cdc_deleted_at: day(3) }), one(3, { at: day(4), v: 'again' })], ['again']],
      [[one(1, { at: day(2), v: 'new' }), one(2, { at: day(3), _ab_cdc_deleted_at: day(3) }), one(3, { at: day(1), v: 'late' })], []],
    ];
    for (const [records, left] of cases) {
      const shape = await table_({ write: 'merge', types, key: ['id'], cursor: 'at', deletes: 'hard' });
      await write(shape, [...records].reverse());
      expect((await rows(shape, ['v'])).map(({ v }) => v), 'in one commit').toEqual(left);
    }
    for (const [records, left] of cases.slice(0, 3)) {
      const shape = await table_({ write: 'merge', types, key: ['id'], cursor: 'at', deletes: 'hard' });
      for (const each of records) await write(shape, [each]);
      expect((await rows(shape, ['v'])).map(({ v }) => v), 'each in one of its own').toEqual(left);
    }
  });

  test('versions that come late lie where they belong', { timeout: 300_000 }, async () => {
    for (const seed of seeds.slice(0, 2)) {
      const random = new Random(seed + 2000);
      const shape = await table_({ write: 'history', types: { id: 'int64', at: 'timestamptz', v: 'text' }, key: ['id'], cursor: 'at' });
      const all = random.shuffle(Array.from({ length: 14 }, (_, n) => ({ id: random.below(3), at: n + 1, v: `v${n}` })));
      for (let commit = 1, left = [...all]; left.length > 0; commit++) {
        await write(shape, left.splice(0, 1 + random.below(4)).map(({ id, at, v }, row) => record([commit, row], { id, at: day(at), v })));
      }
      const expected = all.map(({ id, at, v }) => {
        const next = all.filter((other) => other.id === id && other.at > at).sort((a, b) => a.at - b.at)[0];
        return { v, valid_from: millis(at), valid_to: next ? millis(next.at) : null, is_current: String(!next) };
      });
      expect(sorted(await rows(shape, ['v', 'valid_from', 'valid_to', 'is_current'])), `seed ${seed}`).toEqual(sorted(expected));
    }
  });

  test('a key that comes back is not there before it went, whatever the clocks say; an empty generation ends what is current', async () => {
    const shape = await table_({ write: 'history', types: { ...changeTypes, v: 'text' }, key: ['id'], deletes: 'hard' });
    const at = (n: number, moment: number, data: Values): Values => record([n, 1], { id: 1, _ab_cdc_updated_at: day(moment), ...data });
    for (const one of [at(1, 1, { v: 'first' }), at(2, 5, { _ab_cdc_deleted_at: day(5) }), at(3, 3, { v: 'again' })]) await write(shape, [one]);
    const first = { v: 'first', valid_from: millis(1), valid_to: millis(5), is_current: 'false' };
    const names = ['v', 'valid_from', 'valid_to', 'is_current'];
    expect(sorted(await rows(shape, names))).toEqual(sorted([first, { v: 'again', valid_from: millis(5), valid_to: null, is_current: 'true' }]));
    await place().warehouse.transaction(async () => {
      await make(place().warehouse, openForm(shape), openTable);
      await writer().complete({ shape, from: openTable, into: table, replace: true });
    });
    const left = await rows(shape, names);
    expect(left.map(({ is_current: current }) => current)).toEqual(['false', 'false']);
    expect(Number(left.find(({ v }) => v === 'again')!['valid_to'])).toBeGreaterThan(Number(millis(5)));
  });

  test('a value that could not be held is null, and counted; or in quarantine besides; or nothing is written', async () => {
    const shape = await table_({ write: 'append', types: { id: 'int64', amount: 'int32', note: 'text' } });
    const { warehouse } = place();
    const quarantined = (): Promise<unknown[]> => warehouse.run(`SELECT stream, key, field, reason, run, CASE WHEN "at" IS NULL THEN 0 ELSE 1 END AS "at" FROM ${warehouse.dialect.table({ schema: '_tapline', table: '_tapline_quarantine' })} ORDER BY field`);
    const two = JSON.stringify({ sync_id: 3, changes: [...(JSON.parse(unheld('amount')) as { changes: Change[] }).changes, ...(JSON.parse(unheld('note')) as { changes: Change[] }).changes] });
    const records = [record([1, 1], { id: 1, amount: 5 }), record([1, 2], { id: 2, _airbyte_meta: two })];
    expect(await write(shape, records)).toEqual({ rows: 2, nulled: 2, keyHeldNull: false });

    const keyed = await table_({ write: 'merge', types: { id: 'int64', part: 'text', amount: 'int32', note: 'text' }, key: ['id', 'part'] });
    await warehouse.run(warehouse.dialect.createSchema('_tapline'));
    expect(await write(keyed, [record([1, 2], { id: 2, part: '"x"', _airbyte_meta: two })], { writer: writer({ badValues: 'quarantine' }) })).toMatchObject({ nulled: 2 });
    const entry = { stream: 'sales.orders', key: JSON.stringify({ id: 2, part: '"x"' }), reason: 'DESTINATION_TYPECAST_ERROR', run: 'r1', at: 1 };
    expect(await quarantined()).toEqual([{ ...entry, field: 'amount' }, { ...entry, field: 'note' }]);

    const failing = write(keyed, [...records, record([1, 3], { id: 9, part: 'y' })], { writer: writer({ badValues: 'fail' }) });
    await expect(failing).rejects.toMatchObject({ kind: 'config_error', code: 'bad_values', message: expect.stringMatching(/sales\.orders: 2 values .*'amount' \(1\), 'note' \(1\)/) });
    expect(await rows(keyed, ['id'])).toEqual([{ id: '2' }]);
  });

  test('a value that does not fit a column of another type is null with an entry', async () => {
    const shape = await table_({ write: 'append', types: { id: 'int64', n: 'int32', d: 'decimal(6,2)', at: 'timestamptz', ok: 'boolean', b: 'bytes', j: 'json', x: 'float64' } });
    const text = shapeOf({ write: 'append', types: { id: 'int64', n: 'text', d: 'text', at: 'text', ok: 'text', b: 'text', j: 'text', x: 'text' } });
    const good = { id: 1, n: '12', d: '12.50', at: '2026-01-01T00:00:00+00:00', ok: 'true', b: 'QUJD', j: 'x', x: '1.5' };
    const bad = { id: 2, n: '1.5', d: '12.345', at: 'soon', ok: 'perhaps', b: '***', j: null, x: '1e999' };
    const file = await place().staging.file(text, [record([1, 1], good), record([1, 2], bad)]);
    const sources = shape.columns.map((column): ColumnSource => {
      const from = file.sources.find((source) => source.column.name === column.name)!;
      return { column, from: from.from, type: from.type, lossy: column.field !== undefined && column.name !== 'id' };
    });
    const options = { files: [{ ...file, sources }] };
    expect(await write(shape, [], options)).toEqual({ rows: 2, nulled: 6, keyHeldNull: false });
    const names = ['id', 'n', 'd', 'ok', 'x'];
    expect(sorted(await rows(shape, names))).toEqual(sorted([{ id: '1', n: '12', d: '12.50', ok: 'true', x: '1.5' }, { id: '2', n: null, d: null, ok: null, x: null }]));
    const told = (await changesIn(shape)).flat();
    expect(told.map(({ field }) => field)).toHaveLength(6);
    expect(new Set(told.map(({ field }) => field))).toEqual(new Set(['at', 'b', 'd', 'n', 'ok', 'x']));
    expect(JSON.parse((await rows(shape, ['j'])).map(({ j }) => j).find((j) => j !== null)!)).toBe('x');
  });

  test('a null in a part of the key is a value like any other, and ends the primary key; a key of nulls alone is refused', async () => {
    const shape = await table_({ write: 'merge', types: { a: 'int64', b: 'text', v: 'text' }, key: ['a', 'b'], primaryKey: true });
    expect(await write(shape, [record([1, 1], { a: 1, b: 'x', v: 'one' })])).toMatchObject({ keyHeldNull: false });
    const nulls = [record([2, 1], { a: 1, b: null, v: 'two' }), record([2, 2], { a: 1, b: null, v: 'three' }), record([2, 3], { a: null, b: 'x', v: 'four' })];
    expect(await write(shape, nulls)).toEqual({ rows: 3, nulled: 0, keyHeldNull: true });
    const loose = { ...shape, primaryKey: false };
    await write(loose, [record([3, 1], { a: null, b: 'x', v: 'five' }), record([3, 2], { a: 1, b: 'x', v: 'six' })]);
    expect(await valuesIn(shape)).toEqual(new Set(['five', 'six', 'three']));
    const refused = write(loose, [record([4, 1], { a: null, b: null, v: 'x' })]);
    await expect(refused).rejects.toMatchObject({ kind: 'config_error', code: 'null_key', message: expect.stringContaining('sales.orders') });
  });

  test('a table without the key that was declared, or with one that a user made, is merged all the same', async () => {
    const { warehouse } = place();
    const { dialect } = warehouse;
    const types = { id: 'int64', other: 'int64', v: 'text' };
    const shape = await table_({ write: 'merge', types, key: ['id'], primaryKey: true });
    const step = async (n: number, v: string): Promise<void> => {
      await write(shape, [record([n, 1], { id: 1, other: 7, v }), record([n, 2], { id: n, other: n, v: `only ${n}` })]);
      expect(await valuesIn(shape)).toEqual(new Set([v, ...Array.from({ length: n - 1 }, (_, i) => `only ${i + 2}`)]));
    };
    await step(2, 'with its key');
    await runAll(warehouse, dialect.dropKey(table, ['id']));
    await step(3, 'without');
    await runAll(warehouse, dialect.addKey(table, ['other'], 'primary'));
    await step(4, 'with another');
  });

  test('what nobody tells any more is null with an entry: of a row that is not there, and when a generation completes', async () => {
    const marked = record([1, 1], { id: 1, n: 1, _ab_cdc_lsn: 1, _ab_cdc_updated_at: day(1), note: 'n', _tapline_unchanged: '["body"]' });
    const told = [{ field: 'body', change: 'NULLED', reason: 'SOURCE_RETRIEVAL_ERROR' }];
    for (const first of [[], [record([1, 0], { id: 2, n: 2 })]]) {
      const shape = await table_({ write: 'merge', types: changeTypes, key: ['id'], deletes: 'hard' });
      if (first.length > 0) await write(shape, first);
      expect(await write(shape, [marked])).toMatchObject({ nulled: 1 });
      expect(sorted(await changesIn(shape))).toEqual(sorted([...first.map(() => []), told]));
    }
    const shape = shapeOf({ write: 'merge', types: changeTypes, key: ['id'], deletes: 'hard' });
    await fresh([openForm(shape), openTable]);
    await write(openForm(shape), [marked], { to: openTable });
    expect(await place().warehouse.transaction(() => writer().complete({ shape, from: openTable, into: table, replace: true }))).toEqual({ nulled: 1, keyHeldNull: false });
    expect(await changesIn(shape)).toEqual([told]);
  });

  test('with a value from an older row comes why it is null', async () => {
    const shape = await table_({ write: 'merge', types: changeTypes, key: ['id'], deletes: 'hard' });
    const bad = [{ field: 'body', change: 'NULLED', reason: 'DESTINATION_TYPECAST_ERROR' }];
    const change = (n: number): Values => record([n, 1], { id: 1, n, note: 'x', _tapline_unchanged: '["body"]' });
    await write(shape, [record([1, 1], { id: 1, n: 1, _airbyte_meta: unheld('body') }), change(2)]);
    expect(await changesIn(shape)).toEqual([bad]);
    await write(shape, [change(3)]);
    expect(await changesIn(shape)).toEqual([bad]);
    await write(shape, [record([4, 1], { id: 1, n: 4, body: 'b' })]);
    expect(await changesIn(shape)).toEqual([[]]);
  });

  test('an unchanged value stays where its column was made for it, also after the type of its field changed', async () => {
    const old = await table_({ write: 'merge', types: { id: 'int64', body: 'int64', n: 'int64' }, key: ['id'] });
    await write(old, [record([1, 1], { id: 1, body: 7, n: 1 })]);
    const { warehouse } = place();
    await runAll(warehouse, warehouse.dialect.addColumn(table, { name: 'body__text', type: typed('text'), nullable: true }));
    const [id, body, ...rest] = old.columns;
    const shape: TableShape = { ...old, columns: [id!, { ...body!, field: undefined, origin: 'body' }, { name: 'body__text', type: typed('text'), field: 'body' }, ...rest] };
    const text = shapeOf({ write: 'merge', types: { id: 'int64', body: 'text', n: 'int64' }, key: ['id'] });
    const file = await place().staging.file(text, [record([2, 1], { id: 1, n: 2, _tapline_unchanged: '["body"]' })]);
    const sources = shape.columns.map((column): ColumnSource => {
      const from = column.name === 'body__text' ? 'body' : column.name === 'body' ? undefined : column.name;
      return { column, from, type: from === undefined ? undefined : column.type, lossy: false };
    });
    expect(await write(shape, [], { files: [{ ...file, sources }] })).toMatchObject({ nulled: 0 });
    expect(await rows(shape, ['id', 'body', 'body__text', 'n'])).toEqual([{ id: '1', body: '7', body__text: null, n: '2' }]);
  });

  test('a table is folded anew by another key, and in another mode', async () => {
    const types = { id: 'int64', mail: 'text', at: 'timestamptz', v: 'text' };
    const { warehouse } = place();
    const records = [record([1, 1], { id: 1, mail: 'a', at: day(1), v: 'one' }), record([1, 2], { id: 2, mail: 'a', at: day(2), v: 'two' }), record([1, 3], { id: 2, mail: 'b', at: day(3), v: 'three' })];
    const rekey = (shape: TableShape, before: TableShape): Promise<{ readonly keyHeldNull: boolean }> => warehouse.transaction(() => writer().rekey(shape, table, before));

    const appended = await table_({ write: 'append', types });
    await write(appended, records);
    const byId = shapeOf({ write: 'merge', types, key: ['id'], cursor: 'at', primaryKey: true });
    expect(await rekey(byId, appended)).toEqual({ keyHeldNull: false });
    expect(await valuesIn(byId)).toEqual(new Set(['one', 'three']));
    const byMail = shapeOf({ write: 'merge', types, key: ['mail'], cursor: 'at', primaryKey: true });
    await write(byId, [record([2, 1], { id: 3, mail: 'b', at: day(4), v: 'four' })]);
    expect(await rekey(byMail, byId)).toEqual({ keyHeldNull: false });
    expect(await valuesIn(byMail)).toEqual(new Set(['four', 'one']));
    await write(byMail, [record([3, 1], { id: 3, mail: 'a', at: day(5), v: 'five' })]);
    expect(await valuesIn(byMail)).toEqual(new Set(['five', 'four']));

    const kept = shapeOf({ write: 'history', types, key: ['mail'], cursor: 'at' });
    for (const name of ['valid_from', 'valid_to', 'is_current']) {
      const { type } = kept.columns.find((column) => column.name === name)!;
      await runAll(warehouse, warehouse.dialect.addColumn(table, { name, type, nullable: true }));
    }
    await rekey(kept, byMail);
    await write(kept, [record([4, 1], { id: 3, mail: 'a', at: day(6), v: 'six' })]);
    expect(sorted(await rows(kept, ['v', 'valid_from', 'valid_to', 'is_current']))).toEqual(sorted([
      { v: 'four', valid_from: millis(4), valid_to: null, is_current: 'true' },
      { v: 'five', valid_from: millis(5), valid_to: millis(6), is_current: 'false' },
      { v: 'six', valid_from: millis(6), valid_to: null, is_current: 'true' },
    ]));
    expect(await rekey(byMail, kept)).toEqual({ keyHeldNull: false });
    expect(await valuesIn(byMail)).toEqual(new Set(['four', 'six']));
  });

  test('columns may be called anything', async () => {
    const names = ['a "b"', "it's", 'body"', 'x",', '["body', 's', 't', 'r', 'order', 'naïve 日本'];
    const types = Object.fromEntries([...names.map((name) => [name, 'text']), ['id "k"', 'int64']]) as Record<string, string>;
    const shape = await table_({ write: 'merge', types, key: ['id "k"'], primaryKey: true });
    await write(shape, [record([1, 1], { 'id "k"': 1, ...Object.fromEntries(names.map((name) => [name, `first ${name}`])) })]);
    await write(shape, [record([2, 1], { 'id "k"': 1, ...Object.fromEntries(names.map((name) => [name, `second ${name}`])), 'body"': null, '["body': null, _tapline_unchanged: JSON.stringify(['body"', '["body']) })]);
    const [row] = await rows(shape, names);
    expect(row).toEqual(Object.fromEntries(names.map((name) => [name, `${['body"', '["body'].includes(name) ? 'first' : 'second'} ${name}`])));
  });

  // Names that statements give to columns of their own, and such as engines take for the same.
  const helpers = ['n', 'old', 'b0', 'bm', 'told_0', 'value_0', 'meta_0', 'next', 'older', 'next_older', 'time', 'own', 'ended', 'from', 'superseded', 'TO'].map((name) => `__tapline_${name}`);

  test.each(['soft', 'history'] as const)('columns and columns that others added may be called as those that statements add for themselves: %s', async (form) => {
    const { warehouse } = place();
    const types = { id: 'int64', ...Object.fromEntries(helpers.map((name) => [name, 'text'])), v: 'text', _ab_cdc_updated_at: 'timestamptz', _ab_cdc_deleted_at: 'timestamptz' } as const;
    const options = form === 'soft' ? { write: 'merge', deletes: 'soft', primaryKey: true } as const : { write: 'history', deletes: 'hard' } as const;
    const shape = shapeOf({ ...options, types, key: ['id'] });
    const open = openForm(shape);
    const all = (text: string): Values => Object.fromEntries(helpers.map((name) => [name, text]));
    const at = (n: number, data: Values): Values => record([n, 1], { id: 1, _ab_cdc_updated_at: day(n), ...data });
    const kept = (n: number, v: string): Values => at(n, { v, ...all(v), [helpers[0]!]: null, _tapline_unchanged: JSON.stringify([helpers[0]]) });
    const names = [...helpers, 'v'];
    const current = async (): Promise<unknown> => {
      const found = await rows(shape, [...names, form === 'history' ? 'is_current' : '_ab_cdc_deleted_at']);
      return sorted(found.filter((row) => row['is_current'] !== 'false').map((row) => Object.fromEntries(names.map((name) => [name, row[name]]))));
    };
    const expected = (v: string, first: string): unknown => sorted([{ ...all(v), [helpers[0]!]: first, v }]);

    await fresh([open, openTable], ...(form === 'history' ? [[shape, table] as const] : []));
    await write(open, [at(1, { v: 'a', ...all('a') }), kept(2, 'b')], { to: openTable });
    await warehouse.transaction(() => writer().complete({ shape, from: openTable, into: table, replace: true }));
    expect(await current()).toEqual(expected('b', 'a'));
    await runAll(warehouse, warehouse.dialect.addColumn(table, { name: '__tapline2_n', type: typed('text'), nullable: true }));
    await runAll(warehouse, warehouse.dialect.addColumn(table, { name: '__tapline2_older', type: typed('text'), nullable: true }));
    await write(shape, [kept(3, 'c'), kept(4, 'd')]);
    expect(await current()).toEqual(expected('d', 'a'));
    await write(shape, [at(5, { v: 'e', ...all('e') }), at(6, { _ab_cdc_deleted_at: day(6) })]);
    expect(await current()).toEqual(form === 'soft' ? expected('e', 'e') : []);
    expect(await warehouse.transaction(() => writer().rekey({ ...shape, key: ['v'], primaryKey: false }, table, { write: shape.write, key: ['id'] }))).toEqual({ keyHeldNull: false });
  });
}

function cursorText(type: string, n: number): string {
  switch (type) {
    case 'int64': return String(n);
    // Text is compared as bytes: capitals before small letters, whatever a language says.
    case 'text': return String.fromCodePoint(...[0, 1].map((i) => [0x41, 0x5a, 0x61, 0x7a, 0xe9][i === 0 ? Math.floor(rank(n) / 5) : rank(n) % 5]!));
    case 'timestamptz': return day(rank(n) + 1);
    // Numbers of other lengths than their size, and other spellings of one.
    case 'decimal': return n % 2 === 0 ? `${n / 10}` : `${(n / 10).toFixed(1)}00`;
    default: return (n / 10).toFixed(2);
  }
}

const rank = (n: number): number => [-105, -100, -15, -5, 0, 5, 15, 90, 105, 1000].indexOf(n);
