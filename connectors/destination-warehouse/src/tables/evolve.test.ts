import { formatLogicalType } from '@tapline/catalog';
import { describe, expect, test } from 'vitest';
import { duckdbDialect } from '../dialects/duckdb.js';
import { postgresDialect } from '../dialects/postgres.js';
import type { TableChange } from './changes.js';
import { planTable, type PlanOptions, type TablePlan } from './evolve.js';
import { closedShape, planAddition } from './generations.js';
import { sourcesOf } from './sources.js';
import { declared, type DeclaredOptions } from './stream-schema.test.support.js';
import type { TableShape } from './shape.js';

const table = { schema: 'public', table: 'orders' };
const open = { schema: '_tapline', table: 'g2_00000000_00000000' };
const options = (given: Partial<PlanOptions> = {}): PlanOptions => ({ dialect: postgresDialect, table, policy: 'evolve', history: false, deletes: 'hard', ...given });

type Fields = Readonly<Record<string, string>>;
const merged: DeclaredOptions = { key: ['id'] };

/** The table after these forms of the stream, one after the other. */
function after(forms: readonly Fields[], given: Partial<PlanOptions> = {}, stream: DeclaredOptions = {}): TablePlan {
  let plan: TablePlan | undefined;
  for (const fields of forms) plan = planTable(plan?.shape, declared(fields, stream), options(given));
  return plan!;
}

const own = ['_airbyte_raw_id', '_airbyte_extracted_at', '_airbyte_meta', '_airbyte_generation_id', '_tapline_order'];
/** `name type <field`, of columns that are not ours. */
const columns = ({ columns: all }: TableShape): string[] =>
  all.filter(({ field, origin }) => field !== undefined || origin !== undefined).map(({ name, type, field }) => `${name} ${formatLogicalType(type)}${field === name ? '' : ` <${field ?? ''}`}`);
const told = (changes: readonly TableChange[]): string[] => changes.map((change) => {
  switch (change.kind) {
    case 'create': return `create${change.key.length > 0 ? ` key ${change.key.join()}` : ''}${change.index.length > 0 ? ` index ${change.index.join()}` : ''}`;
    case 'add': return `add ${change.column.name} ${formatLogicalType(change.column.type)}`;
    case 'widen': return `widen ${change.column} ${formatLogicalType(change.from)} ${formatLogicalType(change.to)}`;
    case 'drop_key': return `drop key ${change.key.join()}`;
  }
});

describe('a new table', () => {
  test('has the columns of the stream in its order, then ours', () => {
    const { shape, changes } = after([{ id: 'int64', body: 'text' }]);
    expect(shape.columns.map(({ name }) => name)).toEqual(['id', 'body', ...own]);
    expect(shape).toMatchObject({ write: 'append', key: [], primaryKey: false, cursor: undefined, deletes: undefined, stream: { namespace: 'public', name: 'orders' } });
    expect(told(changes)).toEqual(['create']);
  });

  test('of a merged stream has its key as the primary key', () => {
    const { shape, changes } = after([{ id: 'int64', line: 'int32', body: 'text' }], {}, { key: ['line', 'id'], cursor: ['body'] });
    expect(shape).toMatchObject({ write: 'merge', key: ['line', 'id'], primaryKey: true, cursor: 'body' });
    expect(told(changes)).toEqual(['create key line,id']);
  });

  test('of a history has versions, and an index instead of a primary key', () => {
    const { shape, changes } = after([{ id: 'int64', valid_from: 'date' }], { history: true }, merged);
    expect(columns(shape)).toEqual(['id int64', 'valid_from__2 date <valid_from']);
    expect(shape.columns.map(({ name }) => name)).toEqual(['id', 'valid_from__2', 'valid_from', 'valid_to', 'is_current', ...own]);
    expect(told(changes)).toEqual(['create index id']);
  });

  test('of an open generation is a log with the marker, without a key', () => {
    const { shape, changes } = after([{ id: 'int64' }], { open: true, table: open }, merged);
    expect(shape.columns.map(({ name }) => name)).toEqual(['id', ...own, '_tapline_unchanged']);
    expect(told(changes)).toEqual(['create']);
    expect(closedShape(shape, table)).toMatchObject({ table, primaryKey: true });
    expect(closedShape(shape, table).columns.map(({ name }) => name)).toEqual(['id', ...own]);
    expect(after([{ id: 'int64' }], { open: true, table: open }).shape.columns.map(({ name }) => name)).toEqual(['id', ...own]);
  });

  test('of somebody else\'s source has a column for what its schema does not declare', () => {
    const schema = declared({ id: { type: ['null', 'integer'] } });
    expect(planTable(undefined, schema, options()).shape.columns.map(({ name }) => name)).toEqual(['id', '_tapline_extra', ...own]);
  });

  test('of a stream without columns has ours', () => {
    expect(planTable(undefined, declared({}), options()).shape.columns.map(({ name }) => name)).toEqual(['_tapline_extra', ...own]);
  });

  test('tells deletions where the source does', () => {
    const fields = { id: 'int64', _ab_cdc_deleted_at: 'timestamptz' };
    expect(after([fields], {}, merged).shape.deletes).toBe('hard');
    expect(after([fields], { deletes: 'soft' }, merged).shape.deletes).toBe('soft');
    expect(after([fields]).shape.deletes).toBeUndefined();
    expect(after([{ id: 'int64' }], {}, merged).shape.deletes).toBeUndefined();
  });

  test('gives reserved, long and clashing names others, and says so', () => {
    const { shape, warnings } = after([{ ctid: 'text', ['n'.repeat(70)]: 'text', Id: 'text' }]);
    expect(shape.columns[0]).toMatchObject({ name: 'ctid__2', field: 'ctid' });
    expect(shape.columns[1]!.name).toMatch(/^n{54}_[0-9a-f]{8}$/);
    expect(shape.columns[2]!.name).toBe('Id');
    expect(warnings.join()).toContain('the field "ctid" is written to the column "ctid__2"');
    expect(after([{ ctid: 'text' }], { dialect: duckdbDialect }).shape.columns[0]!.name).toBe('ctid');
  });
});

describe('with schema=evolve', () => {
  test('new fields become columns', () => {
    const { shape, changes } = after([{ id: 'int64' }, { id: 'int64', note: 'text' }]);
    expect(columns(shape)).toEqual(['id int64', 'note text']);
    expect(told(changes)).toEqual(['add note text']);
  });

  test('a stream that did not change changes nothing', () => {
    for (const given of [{}, { history: true }, { dialect: duckdbDialect }]) {
      const { changes, warnings, rekeyed } = after([{ id: 'int64', ctid: 'date' }, { ctid: 'date', id: 'int64' }], given, merged);
      expect([changes, warnings, rekeyed]).toEqual([[], [], undefined]);
    }
  });

  test('a wider type widens the column, a narrower one fits in', () => {
    const { shape, changes } = after([{ n: 'int32', d: 'decimal(12,2)' }, { n: 'int64', d: 'int16' }]);
    expect(columns(shape)).toEqual(['n int64', 'd decimal(12,2)']);
    expect(told(changes)).toEqual(['widen n int32 int64']);
  });

  test('any other type gets a column of its own, under the name that the sources give it', () => {
    const { shape, changes, warnings } = after([{ n: 'int32' }, { n: 'decimal(12,2)' }, { n: 'text' }]);
    expect(columns(shape)).toEqual(['n decimal(12,2) <', 'n__text text <n']);
    expect(told(changes)).toEqual(['add n__text text']);
    expect(warnings).toEqual(['stream public.orders: the field "n" was decimal(12,2) and is text now; its values go to the column "n__text"']);
    expect(columns(after([{ n: 'text' }, { n: 'decimal(12,2)' }]).shape)).toEqual(['n text <', 'n__decimal_12_2 decimal(12,2) <n']);
  });

  test('a type that comes back goes to the column that it had', () => {
    const back = after([{ n: 'int32' }, { n: 'text' }, { n: 'int32' }]);
    expect(columns(back.shape)).toEqual(['n int32', 'n__text text <']);
    expect(back.changes).toEqual([]);
    expect(columns(after([{ n: 'int32' }, { n: 'text' }, { n: 'int32' }, { n: 'text' }]).shape)).toEqual(['n int32 <', 'n__text text <n']);
  });

  test('a source that sends the new type under the new name itself uses the column that is there', () => {
    // Its catalog says that n is text; what it sends says that n is int32 as before, and n__text is new.
    const plan = after([{ n: 'int32' }, { n: 'text' }, { n: 'int32', n__text: 'text' }]);
    expect(columns(plan.shape)).toEqual(['n int32', 'n__text text']);
    expect(plan.changes).toEqual([]);
    expect(columns(after([{ n: 'int32', n__text: 'text' }, { n: 'text' }]).shape)).toEqual(['n int32 <', 'n__text text <n']);
  });

  test('a column of the source that is called like one for a changed type is no place for it', () => {
    const { shape } = after([{ n: 'int32', n__text: 'text' }, { n: 'text', n__text: 'text' }]);
    expect(columns(shape)).toEqual(['n int32 <', 'n__text text', 'n__text__2 text <n']);
  });

  test('a dropped field keeps its column, and takes it again when it comes back', () => {
    const { shape, changes, warnings } = after([{ id: 'int64', note: 'text' }, { id: 'int64' }]);
    expect([columns(shape), changes, warnings]).toEqual([['id int64', 'note text <'], [], []]);
    expect(columns(after([{ id: 'int64', note: 'text' }, { id: 'int64' }, { id: 'int64', note: 'text' }]).shape)).toEqual(['id int64', 'note text']);
  });

  test('fields keep their columns, whatever the order in which they are declared', () => {
    const before = after([{ Name: 'text', name: 'int32' }], { dialect: duckdbDialect });
    const now = planTable(before.shape, declared({ name: 'int32', Name: 'text' }), options({ dialect: duckdbDialect }));
    expect(columns(before.shape)).toEqual(['Name text', 'name__2 int32 <name']);
    expect([columns(now.shape), now.changes]).toEqual([columns(before.shape), []]);
  });

  test('a column that somebody added to the table keeps its name', () => {
    expect(columns(after([{ id: 'int64' }, { id: 'int64', note: 'text' }], { foreign: ['note'] }).shape)).toEqual(['id int64', 'note__2 text <note']);
  });
});

describe('with schema=add_only', () => {
  test('new fields become columns, and no column is altered: a wider type gets its own', () => {
    const { shape, changes } = after([{ n: 'int32' }, { n: 'int64', note: 'text' }], { policy: 'add_only' });
    expect(columns(shape)).toEqual(['n int32 <', 'n__int64 int64 <n', 'note text']);
    expect(told(changes)).toEqual(['add n__int64 int64', 'add note text']);
  });

  test('a narrower type fits in', () => {
    expect(after([{ n: 'int64' }, { n: 'int16' }], { policy: 'add_only' }).changes).toEqual([]);
  });
});

describe('with schema=freeze', () => {
  const given = { policy: 'freeze' as const };

  test('a stream that changed is refused, and all that changed is said', () => {
    expect(() => after([{ a: 'int32', b: 'int32', c: 'text' }, { a: 'int64', b: 'text', d: 'date' }], given)).toThrow(
      'stream public.orders: its schema changed, and schema=freeze keeps the table as it is: '
      + 'the field "a" was int32 and is int64; the field "b" was int32 and is text; the field "d" (date) is new. '
      + 'Nothing was written. Take schema=evolve once to let the table follow, or leave the columns out of the sync',
    );
  });

  test('a new stream, one that did not change, a dropped field and a narrower type are taken', () => {
    expect(after([{ n: 'int64', note: 'text' }, { n: 'int32' }], given).changes).toEqual([]);
  });

  test('another key is refused', () => {
    const shape = after([{ id: 'int64', line: 'int32' }], given, merged).shape;
    expect(() => planTable(shape, declared({ id: 'int64', line: 'int32' }, { key: ['id', 'line'] }), options(given))).toThrow(/merge by "id" became merge by "id", "line"/);
    expect(() => planTable(shape, declared({ id: 'int64', line: 'int32' }), options(given))).not.toThrow();
  });

  test('undeclared fields are refused where the table has no place for them', () => {
    const shape = after([{ id: 'int64' }], given).shape;
    expect(() => planTable(shape, declared({ id: 'int64' }), options({ ...given, extra: true }))).toThrow(/fields that its schema does not declare/);
  });
});

describe('with schema=discard', () => {
  const given = { policy: 'discard' as const };

  test('new fields are not written, and said', () => {
    const { shape, changes, warnings } = after([{ id: 'int64' }, { id: 'int64', note: 'text' }], given);
    expect([columns(shape), changes]).toEqual([['id int64'], []]);
    expect(warnings).toEqual(['stream public.orders: the field "note" is new, and is not written (schema=discard)']);
    const plan = declared({ id: 'int64', note: 'text' }).plan;
    expect(sourcesOf(shape, plan).map(({ from }) => from)).toEqual(['id', ...own]);
  });

  test('values of another type are cast, and what does not fit is told', () => {
    const { shape, changes, warnings } = after([{ a: 'int32', b: 'int32' }, { a: 'int64', b: 'text' }], given);
    expect([columns(shape), changes]).toEqual([['a int32', 'b int32'], []]);
    expect(warnings).toHaveLength(2);
    expect(sourcesOf(shape, declared({ a: 'int64', b: 'text' }).plan).slice(0, 2)).toMatchObject([{ from: 'a', lossy: true, type: { kind: 'int', bits: 64 } }, { from: 'b', lossy: true }]);
  });

  test('a key that is not written is refused', () => {
    const shape = after([{ id: 'int64' }], given, merged).shape;
    expect(() => planTable(shape, declared({ id: 'int64', line: 'int32' }, { key: ['id', 'line'] }), options(given))).toThrow(/its primary key is the field "line", which is new, and is not written/);
  });
});

describe('a new generation', () => {
  const fresh = (forms: readonly Fields[], given: Partial<PlanOptions> = {}, stream: DeclaredOptions = {}): TablePlan => {
    const before = after(forms.slice(0, -1), given, stream).shape;
    return planTable(before, declared(forms.at(-1)!, stream), options({ ...given, fresh: true, open: true, table: open }));
  };

  test('takes the new types in place, and keeps dropped columns', () => {
    const { shape, changes } = fresh([{ a: 'int64', b: 'text', c: 'date' }, { a: 'int16', b: 'date', d: 'uuid' }]);
    expect(columns(shape)).toEqual(['a int16', 'b date', 'c date <', 'd uuid']);
    expect(told(changes)).toEqual(['create']);
    expect(shape.table).toEqual(open);
  });

  test('brings a changed type back to the column that had the field first', () => {
    expect(columns(fresh([{ n: 'int32' }, { n: 'text' }, { n: 'text' }]).shape)).toEqual(['n text', 'n__text text <']);
  });

  test('keeps a column that another field took over', () => {
    const forms = [{ n: 'int32' }, { n: 'text' }, { n: 'int32', n__text: 'text' }];
    expect(columns(fresh([...forms, { n: 'int32', n__text: 'text' }]).shape)).toEqual(['n int32', 'n__text text']);
    expect(columns(fresh([...forms, { n: 'date', n__text: 'uuid' }]).shape)).toEqual(['n date', 'n__text uuid']);
    expect(columns(fresh([{ n: 'int32' }, { n: 'text' }, { n: 'int32', n__text: 'date' }]).shape)).toEqual(['n int32', 'n__text date']);
  });

  test('takes a key of another type', () => {
    expect(fresh([{ id: 'int32' }, { id: 'uuid' }], {}, merged).shape).toMatchObject({ key: ['id'], primaryKey: true });
  });

  test('holds to the policy all the same', () => {
    expect(() => fresh([{ a: 'int64' }, { a: 'text' }], { policy: 'freeze' })).toThrow(/schema=freeze/);
    expect(columns(fresh([{ a: 'int64' }, { a: 'text', b: 'text' }], { policy: 'discard' }).shape)).toEqual(['a int64']);
    expect(columns(fresh([{ a: 'int32' }, { a: 'int64', b: 'text' }], { policy: 'add_only' }).shape)).toEqual(['a int32 <', 'a__int64 int64 <a', 'b text']);
  });

  test('goes on with the types of a history, which stays', () => {
    expect(columns(fresh([{ id: 'int64', a: 'int64' }, { id: 'int64', a: 'text' }], { history: true }, merged).shape)).toEqual(['id int64', 'a int64 <', 'a__text text <a']);
  });

  test('may change its form while it is open; rows that are added find all of its columns', () => {
    const before = after([{ id: 'int32', n: 'int32', gone: 'text' }], {}, merged).shape;
    const first = planTable(before, declared({ id: 'int32', n: 'text' }, merged), options({ open: true, table: open })).shape;
    const second = planTable(first, declared({ id: 'int64', n: 'date', more: 'text' }, merged), options({ open: true, table: open }));
    expect(told(second.changes)).toEqual(['widen id int32 int64', 'add n__date date', 'add more text']);
    const addition = planAddition(before, second.shape, table);
    expect(told(addition.changes)).toEqual(['widen id int32 int64', 'add n__text text', 'add n__date date', 'add more text']);
    expect(columns(addition.shape)).toEqual(['id int64', 'n int32 <', 'gone text <', 'n__text text <', 'n__date date <n', 'more text']);
    expect(addition.shape.table).toEqual(table);
    expect(addition.shape.columns.map(({ name }) => name)).not.toContain('_tapline_unchanged');
    expect(addition.rekeyed).toBeUndefined();
    const other = planTable(before, declared({ id: 'int32', n: 'int32' }, { key: ['n'] }), options({ open: true, table: open })).shape;
    expect(planAddition(before, other, table).rekeyed).toEqual({ write: 'merge', key: ['id'] });
    expect(planAddition(undefined, second.shape, table).changes).toMatchObject([{ kind: 'create', key: ['id'] }]);
  });
});

describe('key, cursor and mode', () => {
  test('another key means that the rows are folded anew', () => {
    const shape = after([{ id: 'int64', line: 'int32' }], {}, merged).shape;
    const now = planTable(shape, declared({ id: 'int64', line: 'int32' }, { key: ['id', 'line'] }), options());
    expect(now).toMatchObject({ rekeyed: { write: 'merge', key: ['id'] }, changes: [], shape: { key: ['id', 'line'] } });
    const turned = planTable(now.shape, declared({ id: 'int64', line: 'int32' }, { key: ['line', 'id'] }), options());
    expect(turned.rekeyed).toBeUndefined();
  });

  test('rows that were appended are folded when they are merged from now on', () => {
    const shape = after([{ id: 'int64' }]).shape;
    expect(planTable(shape, declared({ id: 'int64' }, merged), options()).rekeyed).toEqual({ write: 'append', key: [] });
    const history = planTable(shape, declared({ id: 'int64' }, merged), options({ history: true }));
    expect(history.rekeyed).toEqual({ write: 'append', key: [] });
    expect(told(history.changes)).toEqual(['add valid_from timestamptz', 'add valid_to timestamptz', 'add is_current boolean']);
  });

  test('where rows are appended from now on, nothing is unique any more', () => {
    const shape = after([{ id: 'int64' }], {}, merged).shape;
    const now = planTable(shape, declared({ id: 'int64' }), options());
    expect([told(now.changes), now.rekeyed, now.shape.primaryKey, now.shape.key]).toEqual([['drop key id'], undefined, false, []]);
    expect(planTable(now.shape, declared({ id: 'int64' }), options()).changes).toEqual([]);
    const appended = planTable(shape, declared({ id: 'int64' }), options({ open: true, table: open })).shape;
    expect(told(planAddition(shape, appended, table).changes)).toEqual(['drop key id']);
  });

  test('a history is never given up', () => {
    const shape = after([{ id: 'int64' }], { history: true }, merged).shape;
    for (const given of [{}, { fresh: true, table: open, open: true }]) {
      expect(() => planTable(shape, declared({ id: 'int64' }, merged), options(given))).toThrow(/its table public\.orders holds the history of its rows, which would be lost: keep history=scd2/);
    }
  });

  test('a history needs the names of its columns for itself', () => {
    const shape = after([{ id: 'int64', valid_to: 'date' }], {}, merged).shape;
    expect(() => planTable(shape, declared({ id: 'int64' }, merged), options({ history: true }))).toThrow(/its table public\.orders has the column "valid_to", which history=scd2 needs for itself/);
    const plain = after([{ id: 'int64' }], {}, merged).shape;
    expect(() => planTable(plain, declared({ id: 'int64' }, merged), options({ history: true, foreign: ['is_current'] }))).toThrow(/"is_current"/);
  });

  test('another cursor is taken, its old values stay', () => {
    const shape = after([{ id: 'int64', a: 'date', b: 'date' }], {}, { key: ['id'], cursor: ['a'] }).shape;
    const now = planTable(shape, declared({ id: 'int64', a: 'date', b: 'date' }, { key: ['id'], cursor: ['b'] }), options());
    expect(now).toMatchObject({ changes: [], rekeyed: undefined, shape: { cursor: 'b' } });
  });

  test('a key whose type changed cannot be compared; one that widened can', () => {
    expect(after([{ id: 'int32' }, { id: 'int64' }], {}, merged).rekeyed).toBeUndefined();
    for (const policy of ['evolve', 'add_only'] as const) {
      expect(() => after([{ id: 'int32' }, { id: 'text' }], { policy }, merged)).toThrow(
        'stream public.orders: the field "id" of its primary key was int32 and is text now, so that its rows cannot be told from those in public.orders: run with --full-refresh',
      );
    }
    for (const policy of ['add_only', 'discard'] as const) {
      expect(() => after([{ id: 'int32' }, { id: 'int64' }], { policy }, merged)).toThrow(/was int32 and is int64 now, .*--full-refresh/);
    }
  });

  test('a key that once held a null has no primary key any more', () => {
    const shape = { ...after([{ id: 'int64' }], {}, merged).shape, primaryKey: false };
    expect(planTable(shape, declared({ id: 'int64' }, merged), options()).shape.primaryKey).toBe(false);
  });

  test.each<[string, DeclaredOptions, RegExp]>([
    ['a nested key', { key: [['a', 'id']] }, /its primary key is the nested field "a" \. "id"/],
    ['a nested cursor', { key: ['id'], cursor: ['a', 'b'] }, /its cursor is the nested field/],
    ['a key that is not declared', { key: ['nope'] }, /its primary key names the field "nope", which its schema does not declare/],
    ['a cursor that is not declared', { key: ['id'], cursor: ['nope'] }, /its cursor is the field "nope"/],
    ['no key', { mode: 'append_dedup' }, /has no primary key, and append_dedup needs one/],
    ['a mode that is not offered', { mode: 'soft_delete', key: ['id'] }, /a warehouse cannot soft_delete/],
  ])('%s is refused', (_what, stream, message) => {
    expect(() => planTable(undefined, declared({ id: 'int64' }, stream), options())).toThrow(message);
  });

  test('a source that gives its changes an order of its own needs no cursor', () => {
    const { shape } = planTable(undefined, declared({ id: 'int64', _ab_cdc_lsn: 'int64', _tapline_order: 'text' }, { key: ['id'], cursor: ['_ab_cdc_lsn'] }), options());
    expect(shape.cursor).toBeUndefined();
    expect(shape.columns.filter(({ name }) => name === '_tapline_order')).toHaveLength(1);
  });

  test('where the catalog chooses none, the source\'s own key and cursor count', () => {
    const stream = { source_defined_primary_key: [['id']], default_cursor_field: ['at'] };
    expect(planTable(undefined, declared({ id: 'int64', at: 'date' }, { mode: 'append_dedup', stream }), options()).shape).toMatchObject({ key: ['id'], cursor: 'at' });
    const hidden = { ...stream, default_cursor_field: ['_position'], source_defined_cursor: true };
    expect(planTable(undefined, declared({ id: 'int64' }, { mode: 'append_dedup', stream: hidden }), options()).shape.cursor).toBeUndefined();
    expect(planTable(undefined, declared({ id: 'int64' }, { mode: 'append_dedup', stream: hidden, cursor: ['_position'] }), options()).shape.cursor).toBeUndefined();
  });
});

test('a stream of very many columns is planned at once', () => {
  const fields = (from: number): Fields => Object.fromEntries(Array.from({ length: 3000 }, (_, i) => [`c${from + i}`, 'int32']));
  const began = performance.now();
  const { shape } = after([fields(0), fields(0), fields(100)]);
  expect(sourcesOf(shape, declared(fields(100)).plan)).toHaveLength(3100 + own.length);
  expect(performance.now() - began).toBeLessThan(10_000);
});

test('a file of an earlier form goes to the columns that were made for its types', () => {
  const before = declared({ n: 'int32', old: 'text' });
  const { shape } = after([{ n: 'int32', old: 'text' }, { n: 'text' }]);
  const from = (plan: typeof before.plan): string[] => sourcesOf(shape, plan).slice(0, 3).map(({ column, from: name, lossy }) => `${column.name}=${name ?? ''}${lossy ? '!' : ''}`);
  expect(from(before.plan)).toEqual(['n=n', 'old=old', 'n__text=']);
  expect(from(declared({ n: 'text' }).plan)).toEqual(['n=', 'old=', 'n__text=n']);
});
