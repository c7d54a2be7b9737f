/** The standard cases of merging, and of schemas that change, by their names: no session, plain messages. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { columnsIn, quoted, rowsIn, testWarehouse, warehouseKinds, type TestWarehouse, type WarehouseRow } from '../harness/warehouse.js';
import { instant, integer, number, Stream, string, whole, write } from './warehouse-writer.js';

describe.each(warehouseKinds)('%s', (kind) => {
  let at: TestWarehouse;
  let cases = 0;
  beforeAll(async () => void (at = await testWarehouse(kind)));
  afterAll(() => at?.dispose());

  const fresh = (): string => `dedup_${++cases}`;
  const rows = async (schema: string, columns: readonly string[], order = columns): Promise<unknown[][]> =>
    (await at.query(`SELECT ${columns.map((name) => quoted(name)).join(', ')} FROM ${quoted(schema, 'users')} ORDER BY ${order.map((name) => quoted(name)).join(', ')}`))
      .map((row) => columns.map((name) => row[name]));
  const changesOf = (row: WarehouseRow): unknown => (JSON.parse(String(row['_airbyte_meta'])) as { changes: unknown }).changes;

  describe('dedup', () => {
    const users = { id1: integer, id2: integer, updated_at: instant, name: string, _ab_cdc_deleted_at: instant };
    const configured = { mode: 'append_dedup', key: ['id1', 'id2'], cursor: 'updated_at' } as const;
    const [day1, day2, day3] = ['2026-01-23T00:00:00Z', '2026-01-23T01:00:00Z', '2026-01-23T02:00:00Z'];

    test('one row a key, the latest by the cursor; a deletion takes the row, and an older record brings nothing back', async () => {
      const sync = fresh();
      const stream = new Stream(sync, 'users', users, configured);
      await write(at, {
        streams: [stream], sync,
        lines: whole(stream, [
          { id1: 1, id2: 200, updated_at: day1, name: 'Alice1', _ab_cdc_deleted_at: null },
          { id1: 1, id2: 200, updated_at: day2, name: 'Alice2', _ab_cdc_deleted_at: null },
          { id1: 1, id2: 201, updated_at: day1, name: 'Bob1', _ab_cdc_deleted_at: null },
          { id1: 2, id2: 200, updated_at: day2, name: 'Charlie2' },
          { id1: 2, id2: 200, updated_at: day1, name: 'Charlie1' },
        ]),
      });
      expect(await rows(sync, ['id1', 'id2', 'name'])).toEqual([['1', '200', 'Alice2'], ['1', '201', 'Bob1'], ['2', '200', 'Charlie2']]);
      await write(at, {
        streams: [stream], sync,
        lines: whole(stream, [
          { id1: 1, id2: 200, updated_at: day1, name: 'Alice, late' },
          { id1: 2, id2: 200, updated_at: day3, name: 'Charlie3', _ab_cdc_deleted_at: null },
          { id1: 1, id2: 201, updated_at: day2, name: null, _ab_cdc_deleted_at: '2026-01-23T01:00:00Z' },
          { id1: 3, id2: 1, updated_at: day2, name: 'came and went', _ab_cdc_deleted_at: null },
          { id1: 3, id2: 1, updated_at: day3, name: null, _ab_cdc_deleted_at: day3 },
        ]),
      });
      expect(await rows(sync, ['id1', 'id2', 'name'])).toEqual([['1', '200', 'Alice2'], ['2', '200', 'Charlie3']]);
      const key = await at.query(
        `SELECT constraint_type FROM information_schema.table_constraints WHERE table_schema = '${sync}' AND table_name = 'users' AND constraint_type = 'PRIMARY KEY'`,
      );
      if (kind !== 'duckdb') expect(key, 'a primary key, where it is known').toHaveLength(1);
    });

    test('deletes=soft keeps the row with the time it was deleted, and a later record of the key brings it back to life', async () => {
      const sync = fresh();
      const stream = new Stream(sync, 'users', users, configured);
      const request = { streams: [stream], sync, options: { deletes: 'soft' } };
      await write(at, { ...request, lines: whole(stream, [{ id1: 1, id2: 1, updated_at: day1, name: 'a' }, { id1: 2, id2: 2, updated_at: day1, name: 'b' }]) });
      await write(at, { ...request, lines: whole(stream, [{ id1: 1, id2: 1, updated_at: day2, name: null, _ab_cdc_deleted_at: day2 }]) });
      expect(await rows(sync, ['id1', '_ab_cdc_deleted_at'])).toEqual([['1', '2026-01-23T01:00:00.000000'], ['2', null]]);
      await write(at, { ...request, lines: whole(stream, [{ id1: 1, id2: 1, updated_at: day3, name: 'again' }]) });
      expect(await rows(sync, ['id1', 'name', '_ab_cdc_deleted_at'])).toEqual([['1', 'again', null], ['2', 'b', null]]);
    });

    test('history=scd2 keeps every version, closed where the next one begins, or where the key was deleted', async () => {
      const sync = fresh();
      const stream = new Stream(sync, 'users', users, configured);
      const request = { streams: [stream], sync, options: { history: 'scd2' } };
      await write(at, { ...request, lines: whole(stream, [{ id1: 1, id2: 1, updated_at: day1, name: 'a' }, { id1: 2, id2: 2, updated_at: day1, name: 'b' }]) });
      await write(at, { ...request, lines: whole(stream, [{ id1: 1, id2: 1, updated_at: day2, name: 'A' }, { id1: 2, id2: 2, updated_at: day3, name: null, _ab_cdc_deleted_at: day3 }]) });
      const [one, two, three] = [day1, day2, day3].map((day) => day!.replace('Z', '.000000'));
      expect(await rows(sync, ['id1', 'name', 'valid_from', 'valid_to', 'is_current'], ['id1', 'valid_from'])).toEqual([
        ['1', 'a', one, two, false],
        ['1', 'A', two, null, true],
        ['2', 'b', one, three, false],
      ]);
    });

    test('with a string key: upper and lower case, spaces at the end and letters of any language are different keys', async () => {
      const sync = fresh();
      const keys = ['a', 'A', 'a ', 'ä', 'a\u0308', '', 'ß', 'ss', '🎉', `'; --`];
      const stream = new Stream(sync, 'users', { id: string, at: integer, name: string }, { mode: 'append_dedup', key: ['id'], cursor: 'at' });
      for (const cursor of [1, 2]) await write(at, { streams: [stream], sync, lines: whole(stream, keys.map((id) => ({ id, at: cursor, name: `${id} ${cursor}` }))) });
      const found = await rows(sync, ['id', 'name']);
      expect(new Map(found.map(([id, name]) => [id, name]))).toEqual(new Map(keys.map((id) => [id, `${id} 2`])));
      expect(found).toHaveLength(keys.length);
    });

    test('with a changed cursor: the new one decides from then on, whatever the old one says', async () => {
      const sync = fresh();
      const columns = { id: integer, old: integer, new: integer, name: string };
      const stream = new Stream(sync, 'users', { id: integer, old: integer, name: string }, { mode: 'append_dedup', key: ['id'], cursor: 'old' });
      await write(at, { streams: [stream], sync, lines: whole(stream, [{ id: 1, old: 9, name: 'before' }, { id: 2, old: 9, name: 'untouched' }]) });
      const changed = stream.as({ mode: 'append_dedup', key: ['id'], cursor: 'new' }, columns);
      await write(at, { streams: [changed], sync, lines: whole(changed, [{ id: 1, old: 1, new: 5, name: 'after' }]) });
      expect(await rows(sync, ['id', 'name'])).toEqual([['1', 'after'], ['2', 'untouched']]);
      await write(at, { streams: [changed], sync, lines: whole(changed, [{ id: 1, old: 99, new: 4, name: 'too old' }]) });
      expect(await rows(sync, ['id', 'name'])).toEqual([['1', 'after'], ['2', 'untouched']]);
    });

    test('with a changed key: rows are folded anew by it, a wider one and a narrower one', async () => {
      const sync = fresh();
      const columns = { id: integer, region: string, at: integer, name: string };
      const narrow = new Stream(sync, 'users', columns, { mode: 'append_dedup', key: ['id'], cursor: 'at' });
      await write(at, { streams: [narrow], sync, lines: whole(narrow, [{ id: 1, region: 'eu', at: 1, name: 'one eu' }, { id: 2, region: 'eu', at: 1, name: 'two eu' }]) });
      const wide = narrow.as({ mode: 'append_dedup', key: ['id', 'region'], cursor: 'at' });
      await write(at, { streams: [wide], sync, lines: whole(wide, [{ id: 1, region: 'us', at: 3, name: 'one us' }, { id: 1, region: 'eu', at: 2, name: 'one eu again' }]) });
      expect(await rows(sync, ['id', 'region', 'name'])).toEqual([['1', 'eu', 'one eu again'], ['1', 'us', 'one us'], ['2', 'eu', 'two eu']]);
      await write(at, { streams: [narrow], sync, lines: whole(narrow, [{ id: 2, region: 'us', at: 2, name: 'two us' }]) });
      expect(await rows(sync, ['id', 'region', 'name'])).toEqual([['1', 'us', 'one us'], ['2', 'us', 'two us']]);
    });

    test('with no cursor: the record that came last decides, within a run and between runs', async () => {
      const sync = fresh();
      const stream = new Stream(sync, 'users', { id: integer, name: string }, { mode: 'append_dedup', key: ['id'] });
      await write(at, { streams: [stream], sync, lines: whole(stream, [{ id: 1, name: 'first' }, { id: 2, name: 'x' }, { id: 1, name: 'second' }]) });
      expect(await rows(sync, ['id', 'name'])).toEqual([['1', 'second'], ['2', 'x']]);
      await write(at, { streams: [stream], sync, lines: whole(stream, [{ id: 1, name: 'third' }]) });
      expect(await rows(sync, ['id', 'name'])).toEqual([['1', 'third'], ['2', 'x']]);
    });

    test('equal cursors, a cursor that is null, and one that a record leaves out: the order of arrival decides, nulls are lowest', async () => {
      const sync = fresh();
      const stream = new Stream(sync, 'users', { id: integer, at: integer, name: string }, { mode: 'append_dedup', key: ['id'], cursor: 'at' });
      await write(at, { streams: [stream], sync, lines: whole(stream, [{ id: 1, at: 5, name: 'a' }, { id: 1, at: 5, name: 'b' }, { id: 2, at: null, name: 'a' }, { id: 2, name: 'b' }, { id: 3, at: 1, name: 'a' }]) });
      await write(at, { streams: [stream], sync, lines: whole(stream, [{ id: 1, at: 5, name: 'c' }, { id: 2, at: null, name: 'c' }, { id: 3, name: 'null' }]) });
      expect(await rows(sync, ['id', 'name'])).toEqual([['1', 'c'], ['2', 'c'], ['3', 'a']]);
    });

    test('a key with a null in a part is a key as any other, and the table takes it', async () => {
      const sync = fresh();
      const stream = new Stream(sync, 'users', { a: integer, b: string, name: string }, { mode: 'append_dedup', key: ['a', 'b'] });
      await write(at, { streams: [stream], sync, lines: whole(stream, [{ a: 1, b: 'x', name: '1x' }]) });
      await write(at, { streams: [stream], sync, lines: whole(stream, [{ a: 1, b: null, name: 'first' }, { a: null, b: 'x', name: 'n' }, { a: 1, name: 'second' }]) });
      await write(at, { streams: [stream], sync, lines: whole(stream, [{ a: 1, b: null, name: 'third' }, { a: 1, b: 'x', name: '1x again' }]) });
      const found = await rowsIn(at, sync, 'users');
      expect(found.map((row) => [row['a'], row['b'], row['name']]).toSorted((x, y) => String(x[2]).localeCompare(String(y[2])))).toEqual([['1', 'x', '1x again'], [null, 'x', 'n'], ['1', null, 'third']]);
    });

    test('overwrite and truncate of a stream that is merged: the new generation has one row a key', async () => {
      const sync = fresh();
      const columns = { id: integer, name: string };
      const stream = new Stream(sync, 'users', columns, { mode: 'append_dedup', key: ['id'], generation: 1 });
      await write(at, { streams: [stream], sync, lines: whole(stream, [{ id: 1, name: 'old' }, { id: 9, name: 'old' }]) });
      const refresh = stream.as({ mode: 'append_dedup', key: ['id'], generation: 2, minimum: 2 });
      await write(at, { streams: [refresh], sync, lines: [refresh.record({ id: 1, name: 'a' }), refresh.state(1)] });
      expect(await rows(sync, ['id', 'name'])).toEqual([['1', 'old'], ['9', 'old']]);
      await write(at, { streams: [refresh], sync, lines: whole(refresh, [{ id: 2, name: 'b' }, { id: 1, name: 'c' }]) });
      expect(await rows(sync, ['id', 'name'])).toEqual([['1', 'c'], ['2', 'b']]);
    });
  });

  describe('schema evolution', () => {
    const before = { id: integer, to_change: integer, to_drop: string, to_widen: { ...integer, tapline_type: 'int32' } };
    const after = { id: integer, to_change: string, added: string, to_widen: integer };

    test('under append: a new column, a dropped one that stays, a changed type beside the old one, a wider one in place', async () => {
      const sync = fresh();
      const stream = new Stream(sync, 'users', before);
      await write(at, { streams: [stream], sync, lines: whole(stream, [{ id: 1, to_change: 42, to_drop: 'kept', to_widen: 7 }]) });
      const changed = stream.as({}, after);
      await write(at, { streams: [changed], sync, lines: whole(changed, [{ id: 2, to_change: 'forty-two', added: 'new', to_widen: 9007199254740991 }]) });
      expect(await rows(sync, ['id', 'to_change', 'to_change__text', 'to_drop', 'added', 'to_widen'])).toEqual([
        ['1', '42', null, 'kept', null, '7'],
        ['2', null, 'forty-two', null, 'new', '9007199254740991'],
      ]);
      // And back, as a source that was rolled back does.
      const back = stream.as({}, before);
      await write(at, { streams: [back], sync, lines: whole(back, [{ id: 3, to_change: 43, to_drop: 'again', to_widen: 8 }]) });
      expect((await rows(sync, ['id', 'to_change', 'to_change__text', 'to_drop', 'added', 'to_widen']))[2]).toEqual(['3', '43', null, 'again', null, '8']);
    });

    test('under overwrite: the new generation has the new types, the columns of the old one stay', async () => {
      const sync = fresh();
      const stream = new Stream(sync, 'users', before, { mode: 'overwrite' });
      await write(at, { streams: [stream], sync, lines: whole(stream, [{ id: 1, to_change: 42, to_drop: 'gone with its row', to_widen: 7 }]) });
      const changed = stream.as({ mode: 'overwrite' }, after);
      await write(at, { streams: [changed], sync, lines: whole(changed, [{ id: 2, to_change: 'forty-two', added: 'new', to_widen: 8 }]) });
      expect(await rows(sync, ['id', 'to_change', 'added', 'to_widen'])).toEqual([['2', 'forty-two', 'new', '8']]);
      expect((await columnsIn(at, sync, 'users'))['to_change']).toMatch(/text|VARCHAR/);
    });

    test('under dedup: rows that are there take the change, and are merged by it', async () => {
      const sync = fresh();
      const configured = { mode: 'append_dedup', key: ['id'] } as const;
      const stream = new Stream(sync, 'users', before, configured);
      await write(at, { streams: [stream], sync, lines: whole(stream, [{ id: 1, to_change: 42, to_drop: 'kept', to_widen: 7 }, { id: 2, to_change: 1, to_drop: 'kept', to_widen: 7 }]) });
      const changed = stream.as(configured, after);
      await write(at, { streams: [changed], sync, lines: whole(changed, [{ id: 1, to_change: 'forty-two', added: 'new', to_widen: 9007199254740991 }]) });
      expect(await rows(sync, ['id', 'to_change', 'to_change__text', 'to_drop', 'added', 'to_widen'])).toEqual([
        ['1', null, 'forty-two', null, 'new', '9007199254740991'],
        ['2', '1', null, 'kept', null, '7'],
      ]);
    });

    test('of a key: rows cannot be told apart by two types, so that it is refused with the way on, and a new generation takes it', async () => {
      const sync = fresh();
      const configured = { mode: 'append_dedup', key: ['id'] } as const;
      const stream = new Stream(sync, 'users', { id: integer, name: string }, configured);
      await write(at, { streams: [stream], sync, lines: whole(stream, [{ id: 1, name: 'a' }, { id: 2, name: 'b' }]) });
      const columns = { id: string, name: string };
      const changed = stream.as(configured, columns);
      await expect(write(at, { streams: [changed], sync, lines: whole(changed, [{ id: 'x', name: 'c' }]) })).rejects.toThrow(new RegExp(`${sync}\\.users.*"id".*--full-refresh.*config_error`, 's'));
      expect(await rows(sync, ['id', 'name'])).toEqual([['1', 'a'], ['2', 'b']]);
      const anew = stream.as({ ...configured, generation: 2, minimum: 2 }, columns);
      await write(at, { streams: [anew], sync, lines: whole(anew, [{ id: 'x', name: 'c' }, { id: 'x', name: 'd' }]) });
      expect(await rows(sync, ['id', 'name'])).toEqual([['x', 'd']]);
    });

    test('policies: add_only never touches a column, freeze stops and says what changed, discard goes on without it', async () => {
      const sync = fresh();
      const [add, stop, leave] = ['add', 'stop', 'leave'].map((name) => `${sync}_${name}`) as [string, string, string];
      const streamIn = (schema: string, columns = before) => new Stream(schema, 'users', columns);
      for (const schema of [add, stop, leave]) await write(at, { streams: [streamIn(schema)], sync: schema, lines: whole(streamIn(schema), [{ id: 1, to_change: 42, to_drop: 'kept', to_widen: 7 }]) });
      const row = { id: 2, to_change: 'forty-two', added: 'new', to_widen: 9007199254740991 };
      const send = (schema: string, policy: string) => {
        const stream = streamIn(schema).as({}, after);
        return write(at, { streams: [stream], sync: schema, options: { schema: policy }, lines: whole(stream, [row]) });
      };
      const types = await columnsIn(at, add, 'users');
      await send(add, 'add_only');
      expect(await columnsIn(at, add, 'users')).toMatchObject(types);
      const [second] = (await rowsIn(at, add, 'users')).slice(1);
      expect(second).toMatchObject({ id: '2', added: 'new', to_change: null, to_change__text: 'forty-two', to_widen: null });
      expect(Object.values(second!)).toContain('9007199254740991');

      await expect(send(stop, 'freeze')).rejects.toThrow(/added/);
      expect(await rows(stop, ['id'])).toEqual([['1']]);

      const written = await send(leave, 'discard');
      expect(await columnsIn(at, leave, 'users')).toEqual(types);
      const last = (await rowsIn(at, leave, 'users'))[1]!;
      expect(last).toMatchObject({ id: '2', to_drop: null, to_change: null });
      expect(changesOf(last), 'what does not fit is told').toEqual(expect.arrayContaining([expect.objectContaining({ field: 'to_change', change: 'NULLED' })]));
      expect(written.warnings.filter((warning) => /\badded\b/.test(warning))).toHaveLength(1);
    });

    test('a widened column keeps the values that were there: int to float, decimal to a longer one', async () => {
      const sync = fresh();
      const typed = (amount: string, ratio: string) => ({ id: integer, amount: { ...string, tapline_type: amount }, ratio: { ...number, tapline_type: ratio } });
      const stream = new Stream(sync, 'users', typed('decimal(5,2)', 'float32'));
      await write(at, { streams: [stream], sync, lines: whole(stream, [{ id: 1, amount: '123.45', ratio: 0.5 }]) });
      const wider = stream.as({}, typed('decimal(20,2)', 'float64'));
      await write(at, { streams: [wider], sync, lines: whole(wider, [{ id: 2, amount: '123456789012345678.90', ratio: 0.1 }]) });
      expect(await rows(sync, ['id', 'amount', 'ratio'])).toEqual([['1', '123.45', 0.5], ['2', '123456789012345678.90', 0.1]]);
    });
  });
});
