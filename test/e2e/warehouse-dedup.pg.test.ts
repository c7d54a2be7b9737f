/** The standard cases of merging, and of schemas that change, by their names: no session, plain messages. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { columnsIn, quoted, rowsIn, testWarehouse, warehouseKinds, type TestWarehouse, type WarehouseRow } from '../harness/warehouse.js';
import { cases, type Case } from './warehouse-cases.js';
import { instant, integer, number, Stream, string, whole, write } from './warehouse-writer.js';

type Row = Readonly<Record<string, unknown>>;

const looking = (at: () => TestWarehouse) => async (schema: string, columns: readonly string[], order = columns): Promise<unknown[][]> =>
  (await at().query(`SELECT ${columns.map((name) => quoted(name)).join(', ')} FROM ${quoted(schema, 'users')} ORDER BY ${order.map((name) => quoted(name)).join(', ')}`))
    .map((row) => columns.map((name) => row[name]));
const changesOf = (row: WarehouseRow): unknown => (JSON.parse(String(row['_airbyte_meta'])) as { changes: unknown }).changes;
const send = (stream: Stream, given: readonly Row[]) => ({ streams: [stream], lines: whole(stream, given) });

const users = { id1: integer, id2: integer, updated_at: instant, name: string, _ab_cdc_deleted_at: instant };
const merged = { mode: 'append_dedup', key: ['id1', 'id2'], cursor: 'updated_at' } as const;
const byId = { mode: 'append_dedup', key: ['id'] } as const;
const [day1, day2, day3] = ['2026-01-23T00:00:00Z', '2026-01-23T01:00:00Z', '2026-01-23T02:00:00Z'] as const;
const shown = (day: string): string => day.replace('Z', '.000000');

/** As a column changes its type, leaves, comes and grows. */
const before = { id: integer, to_change: integer, to_drop: string, to_widen: { ...integer, tapline_type: 'int32' } };
const after = { id: integer, to_change: string, added: string, to_widen: integer };
const evolved = ['id', 'to_change', 'to_change__text', 'to_drop', 'added', 'to_widen'];

describe.each(warehouseKinds)('%s', (kind) => {
  let at: TestWarehouse;
  beforeAll(async () => void (at = await testWarehouse(kind)));
  afterAll(() => at?.dispose());

  cases({ at: () => at, name: 'dedup' }, [...dedup(() => at), ...evolution(() => at)]);
  cases({ at: () => at, name: 'soft', options: { deletes: 'soft' } }, soft(() => at));
  cases({ at: () => at, name: 'scd2', options: { history: 'scd2' } }, history(() => at));
});

describe.each(['duckdb', 'postgres18'] as const)('%s, by policy', (kind) => {
  let at: TestWarehouse;
  beforeAll(async () => void (at = await testWarehouse(kind)));
  afterAll(() => at?.dispose());

  test('schema evolution of a key: rows cannot be told apart by two types, so that it is refused with the way on, and a new generation takes it', async () => {
    const sync = 'key_type';
    const rows = looking(() => at);
    const stream = new Stream(sync, 'users', { id: integer, name: string }, byId);
    await write(at, { sync, ...send(stream, [{ id: 1, name: 'a' }, { id: 2, name: 'b' }]) });
    const columns = { id: string, name: string };
    await expect(write(at, { sync, ...send(stream.as(byId, columns), [{ id: 'x', name: 'c' }]) })).rejects.toThrow(new RegExp(`${sync}\\.users.*id.*--full-refresh.*config_error`, 's'));
    expect(await rows(sync, ['id', 'name'])).toEqual([['1', 'a'], ['2', 'b']]);
    await write(at, { sync, ...send(stream.as({ ...byId, generation: 2, minimum: 2 }, columns), [{ id: 'x', name: 'c' }, { id: 'x', name: 'd' }]) });
    expect(await rows(sync, ['id', 'name'])).toEqual([['x', 'd']]);
  });

  test('schema evolution by policy: add_only never touches a column, freeze stops and says what changed, discard goes on without it', async () => {
    const [add, stop, leave] = ['add', 'stop', 'leave'] as const;
    const sync = 'policies';
    const streams = [add, stop, leave].map((schema) => new Stream(schema, 'users', before));
    await write(at, { streams, sync, lines: streams.map((stream) => whole(stream, [{ id: 1, to_change: 42, to_drop: 'kept', to_widen: 7 }])) });
    const types = await columnsIn(at, add, 'users');
    const changed = (schema: string, policy: string) =>
      write(at, { sync, options: { schema: policy }, ...send(new Stream(schema, 'users', after), [{ id: 2, to_change: 'forty-two', added: 'new', to_widen: 9007199254740991 }]) });

    await changed(add, 'add_only');
    expect(await columnsIn(at, add, 'users')).toMatchObject(types);
    const [, second] = await rowsIn(at, add, 'users');
    expect(second).toMatchObject({ id: '2', added: 'new', to_change: null, to_change__text: 'forty-two', to_widen: null });
    expect(Object.values(second!)).toContain('9007199254740991');

    await expect(changed(stop, 'freeze')).rejects.toThrow(/to_change.*added/s);
    expect(await looking(() => at)(stop, ['id'])).toEqual([['1']]);

    const written = await changed(leave, 'discard');
    expect(await columnsIn(at, leave, 'users')).toEqual(types);
    const [, last] = await rowsIn(at, leave, 'users');
    expect(last).toMatchObject({ id: '2', to_drop: null, to_change: null });
    expect(changesOf(last!), 'what does not fit is told').toEqual(expect.arrayContaining([expect.objectContaining({ field: 'to_change', change: 'NULLED' })]));
    expect(written.warnings.filter((warning) => /"added"/.test(warning))).toHaveLength(1);
  });
});

function dedup(at: () => TestWarehouse): readonly Case[] {
  const rows = looking(at);
  return [
    {
      title: 'dedup: one row a key, the latest by the cursor; a deletion takes the row, and an older record brings nothing back',
      syncs(schema) {
        const stream = new Stream(schema, 'users', users, merged);
        return [{
          ...send(stream, [
            { id1: 1, id2: 200, updated_at: day1, name: 'Alice1', _ab_cdc_deleted_at: null },
            { id1: 1, id2: 200, updated_at: day2, name: 'Alice2', _ab_cdc_deleted_at: null },
            { id1: 1, id2: 201, updated_at: day1, name: 'Bob1' },
            { id1: 2, id2: 200, updated_at: day2, name: 'Charlie2' },
            { id1: 2, id2: 200, updated_at: day1, name: 'Charlie1' },
          ]),
          async after() {
            expect(await rows(schema, ['id1', 'id2', 'name'])).toEqual([['1', '200', 'Alice2'], ['1', '201', 'Bob1'], ['2', '200', 'Charlie2']]);
          },
        }, {
          ...send(stream, [
            { id1: 1, id2: 200, updated_at: day1, name: 'Alice, late' },
            { id1: 2, id2: 200, updated_at: day3, name: 'Charlie3', _ab_cdc_deleted_at: null },
            { id1: 1, id2: 201, updated_at: day2, name: null, _ab_cdc_deleted_at: '1970-01-01T00:00:00Z' },
            { id1: 3, id2: 1, updated_at: day2, name: 'came and went', _ab_cdc_deleted_at: null },
            { id1: 3, id2: 1, updated_at: day3, name: null, _ab_cdc_deleted_at: day3 },
          ]),
          async after() {
            expect(await rows(schema, ['id1', 'id2', 'name'])).toEqual([['1', '200', 'Alice2'], ['2', '200', 'Charlie3']]);
            const key = await at().query(
              `SELECT constraint_type FROM information_schema.table_constraints WHERE table_schema = '${schema}' AND table_name = 'users' AND constraint_type = 'PRIMARY KEY'`,
            );
            // DuckDB's would need memory for every key of the table.
            expect(key).toHaveLength(at().kind === 'duckdb' ? 0 : 1);
          },
        }];
      },
    },
    {
      title: 'dedup, string key: upper and lower case, spaces at the end and letters of any language are different keys',
      syncs(schema) {
        const keys = ['a', 'A', 'a ', 'ä', 'a\u0308', '', 'ß', 'ss', '🎉', `'; --`];
        const stream = new Stream(schema, 'users', { id: string, at: integer, name: string }, { ...byId, cursor: 'at' });
        const all = (cursor: number) => send(stream, keys.map((id) => ({ id, at: cursor, name: `${id} ${cursor}` })));
        return [all(1), {
          ...all(2),
          async after() {
            const found = await rows(schema, ['id', 'name']);
            expect(new Map(found.map(([id, name]) => [id, name]))).toEqual(new Map(keys.map((id) => [id, `${id} 2`])));
            expect(found).toHaveLength(keys.length);
          },
        }];
      },
    },
    {
      title: 'dedup, changed cursor: the new one decides from then on, whatever the old one says',
      syncs(schema) {
        const stream = new Stream(schema, 'users', { id: integer, old: integer, name: string }, { ...byId, cursor: 'old' });
        const changed = stream.as({ ...byId, cursor: 'new' }, { id: integer, old: integer, new: integer, name: string });
        const is = async () => expect(await rows(schema, ['id', 'name'])).toEqual([['1', 'after'], ['2', 'untouched']]);
        return [
          send(stream, [{ id: 1, old: 9, name: 'before' }, { id: 2, old: 9, name: 'untouched' }]),
          { ...send(changed, [{ id: 1, old: 1, new: 5, name: 'after' }]), after: is },
          { ...send(changed, [{ id: 1, old: 99, new: 4, name: 'too old' }]), after: is },
        ];
      },
    },
    {
      title: 'dedup, changed key: rows are folded anew by it, a wider one and a narrower one',
      syncs(schema) {
        const narrow = new Stream(schema, 'users', { id: integer, region: string, at: integer, name: string }, { ...byId, cursor: 'at' });
        const wide = narrow.as({ mode: 'append_dedup', key: ['id', 'region'], cursor: 'at' });
        const is = (...expected: string[][]) => async () => expect(await rows(schema, ['id', 'region', 'name'])).toEqual(expected);
        return [
          send(narrow, [{ id: 1, region: 'eu', at: 1, name: 'one eu' }, { id: 2, region: 'eu', at: 1, name: 'two eu' }]),
          { ...send(wide, [{ id: 1, region: 'us', at: 3, name: 'one us' }, { id: 1, region: 'eu', at: 2, name: 'again' }]), after: is(['1', 'eu', 'again'], ['1', 'us', 'one us'], ['2', 'eu', 'two eu']) },
          { ...send(narrow, [{ id: 2, region: 'us', at: 2, name: 'two us' }]), after: is(['1', 'us', 'one us'], ['2', 'us', 'two us']) },
        ];
      },
    },
    {
      title: 'dedup, no cursor: the record that came last decides, within a run and between runs',
      syncs(schema) {
        const stream = new Stream(schema, 'users', { id: integer, name: string }, byId);
        const is = (one: string) => async () => expect(await rows(schema, ['id', 'name'])).toEqual([['1', one], ['2', 'x']]);
        return [
          { ...send(stream, [{ id: 1, name: 'first' }, { id: 2, name: 'x' }, { id: 1, name: 'second' }]), after: is('second') },
          { ...send(stream, [{ id: 1, name: 'third' }]), after: is('third') },
        ];
      },
    },
    {
      title: 'equal cursors, a cursor that is null, and one that a record leaves out: the order of arrival decides, nulls are lowest',
      syncs(schema) {
        const stream = new Stream(schema, 'users', { id: integer, at: integer, name: string }, { ...byId, cursor: 'at' });
        return [
          send(stream, [{ id: 1, at: 5, name: 'a' }, { id: 1, at: 5, name: 'b' }, { id: 2, at: null, name: 'a' }, { id: 2, name: 'b' }, { id: 3, at: 1, name: 'a' }]),
          {
            ...send(stream, [{ id: 1, at: 5, name: 'c' }, { id: 2, at: null, name: 'c' }, { id: 3, name: 'null' }]),
            after: async () => expect(await rows(schema, ['id', 'name'])).toEqual([['1', 'c'], ['2', 'c'], ['3', 'a']]),
          },
        ];
      },
    },
    {
      title: 'a key with a null in a part is a key as any other, and the table takes it',
      syncs(schema) {
        const stream = new Stream(schema, 'users', { a: integer, b: string, name: string }, { mode: 'append_dedup', key: ['a', 'b'] });
        return [
          send(stream, [{ a: 1, b: 'x', name: '1x' }]),
          send(stream, [{ a: 1, b: null, name: 'first' }, { a: null, b: 'x', name: 'n' }, { a: 1, name: 'second' }]),
          {
            ...send(stream, [{ a: 1, b: null, name: 'third' }, { a: 1, b: 'x', name: '1x again' }]),
            after: async () => expect(await rows(schema, ['name', 'a', 'b'], ['name'])).toEqual([['1x again', '1', 'x'], ['n', null, 'x'], ['third', '1', null]]),
          },
        ];
      },
    },
    {
      title: 'truncate of a stream that is merged: the new generation has one row a key, from all of its runs',
      syncs(schema) {
        const stream = new Stream(schema, 'users', { id: integer, name: string }, { ...byId, generation: 1 });
        const refresh = stream.as({ ...byId, generation: 2, minimum: 2 });
        const is = (...expected: string[][]) => async () => expect(await rows(schema, ['id', 'name'])).toEqual(expected);
        return [
          send(stream, [{ id: 1, name: 'old' }, { id: 9, name: 'old' }]),
          { streams: [refresh], lines: [refresh.record({ id: 1, name: 'a' }), refresh.record({ id: 3, name: 'first run' }), refresh.state(1)], after: is(['1', 'old'], ['9', 'old']) },
          { ...send(refresh, [{ id: 2, name: 'b' }, { id: 1, name: 'c' }]), after: is(['1', 'c'], ['2', 'b'], ['3', 'first run']) },
        ];
      },
    },
  ];
}

function evolution(at: () => TestWarehouse): readonly Case[] {
  const rows = looking(at);
  return [
    {
      title: 'schema evolution under append: a new column, a dropped one that stays, a changed type beside the old one, a wider one in place; and back',
      syncs(schema) {
        const stream = new Stream(schema, 'users', before);
        const first = ['1', '42', null, 'kept', null, '7'];
        const second = ['2', null, 'forty-two', null, 'new', '9007199254740991'];
        return [
          send(stream, [{ id: 1, to_change: 42, to_drop: 'kept', to_widen: 7 }]),
          { ...send(stream.as({}, after), [{ id: 2, to_change: 'forty-two', added: 'new', to_widen: 9007199254740991 }]), after: async () => expect(await rows(schema, evolved)).toEqual([first, second]) },
          // As a source that was rolled back does.
          { ...send(stream, [{ id: 3, to_change: 43, to_drop: 'again', to_widen: 8 }]), after: async () => expect(await rows(schema, evolved)).toEqual([first, second, ['3', '43', null, 'again', null, '8']]) },
        ];
      },
    },
    {
      title: 'schema evolution under overwrite: the new generation has the new types, the columns of the old one stay',
      syncs(schema) {
        const stream = new Stream(schema, 'users', before, { mode: 'overwrite' });
        return [send(stream, [{ id: 1, to_change: 42, to_drop: 'gone with its row', to_widen: 7 }]), {
          ...send(stream.as({ mode: 'overwrite' }, after), [{ id: 2, to_change: 'forty-two', added: 'new', to_widen: 8 }]),
          async after() {
            expect(await rows(schema, ['id', 'to_change', 'to_drop', 'added', 'to_widen'])).toEqual([['2', 'forty-two', null, 'new', '8']]);
            expect((await columnsIn(at(), schema, 'users'))['to_change']).toMatch(/text|VARCHAR/);
          },
        }];
      },
    },
    {
      title: 'schema evolution under dedup: rows that are there take the change, and are merged by it',
      syncs(schema) {
        const stream = new Stream(schema, 'users', before, byId);
        return [send(stream, [{ id: 1, to_change: 42, to_drop: 'kept', to_widen: 7 }, { id: 2, to_change: 1, to_drop: 'kept', to_widen: 7 }]), {
          ...send(stream.as(byId, after), [{ id: 1, to_change: 'forty-two', added: 'new', to_widen: 9007199254740991 }]),
          after: async () => expect(await rows(schema, evolved)).toEqual([['1', null, 'forty-two', null, 'new', '9007199254740991'], ['2', '1', null, 'kept', null, '7']]),
        }];
      },
    },
    {
      title: 'a widened column keeps the values that were there: a decimal of more digits, a float of more bits',
      syncs(schema) {
        const typed = (amount: string, ratio: string) => ({ id: integer, amount: { ...string, tapline_type: amount }, ratio: { ...number, tapline_type: ratio } });
        const stream = new Stream(schema, 'users', typed('decimal(5,2)', 'float32'));
        return [send(stream, [{ id: 1, amount: '123.45', ratio: 0.5 }]), {
          ...send(stream.as({}, typed('decimal(20,2)', 'float64')), [{ id: 2, amount: '123456789012345678.90', ratio: 0.1 }]),
          after: async () => expect(await rows(schema, ['id', 'amount', 'ratio'])).toEqual([['1', '123.45', 0.5], ['2', '123456789012345678.90', 0.1]]),
        }];
      },
    },
  ];
}

function soft(at: () => TestWarehouse): readonly Case[] {
  const rows = looking(at);
  return [{
    title: 'deletes=soft keeps the row with the time it was deleted, and a later record of the key brings it back to life',
    syncs(schema) {
      const stream = new Stream(schema, 'users', users, merged);
      return [send(stream, [{ id1: 1, id2: 1, updated_at: day1, name: 'a' }, { id1: 2, id2: 2, updated_at: day1, name: 'b' }]), {
        ...send(stream, [{ id1: 1, id2: 1, updated_at: day2, name: null, _ab_cdc_deleted_at: day2 }]),
        after: async () => expect(await rows(schema, ['id1', 'name', '_ab_cdc_deleted_at'])).toEqual([['1', 'a', shown(day2)], ['2', 'b', null]]),
      }, {
        ...send(stream, [{ id1: 1, id2: 1, updated_at: day3, name: 'again' }]),
        after: async () => expect(await rows(schema, ['id1', 'name', '_ab_cdc_deleted_at'])).toEqual([['1', 'again', null], ['2', 'b', null]]),
      }];
    },
  }];
}

function history(at: () => TestWarehouse): readonly Case[] {
  const rows = looking(at);
  return [{
    title: 'history=scd2 keeps every version, closed where the next one begins, or where the key was deleted; a refresh goes on with it',
    syncs(schema) {
      const stream = new Stream(schema, 'users', users, { ...merged, generation: 1 });
      const refresh = stream.as({ ...merged, generation: 2, minimum: 2 });
      const versions = (...expected: unknown[][]) => async () => expect(await rows(schema, ['id1', 'name', 'valid_from', 'valid_to', 'is_current'], ['id1', 'valid_from'])).toEqual(expected);
      const [one, two, three] = [day1, day2, day3].map(shown);
      const known = [['1', 'a', one, two, false], ['1', 'A', two, null, true], ['2', 'b', one, three, false]];
      const [first, , third] = known;
      return [
        send(stream, [{ id1: 1, id2: 1, updated_at: day1, name: 'a' }, { id1: 2, id2: 2, updated_at: day1, name: 'b' }]),
        {
          ...send(stream, [{ id1: 1, id2: 1, updated_at: day2, name: 'A' }, { id1: 2, id2: 2, updated_at: day3, name: null, _ab_cdc_deleted_at: day3 }]),
          after: versions(...known),
        },
        { ...send(refresh, [{ id1: 1, id2: 1, updated_at: day3, name: 'anew' }]), after: versions(first!, ['1', 'A', two, three, false], ['1', 'anew', three, null, true], third!) },
      ];
    },
  }];
}
