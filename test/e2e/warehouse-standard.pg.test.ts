/** The standard cases of a destination, by their names, as somebody else's platform drives it: no session, plain messages. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { columnsIn, quoted, rowsIn, tablesIn, testWarehouse, warehouseKinds, type TestWarehouse } from '../harness/warehouse.js';
import { integer, startWriter, Stream, string, whole, write } from './warehouse-writer.js';

const items = { id: integer, name: string };
const own = ['_airbyte_raw_id', '_airbyte_extracted_at', '_airbyte_meta', '_airbyte_generation_id', '_tapline_order', '_tapline_extra'];

describe.each(warehouseKinds)('%s', (kind) => {
  let at: TestWarehouse;
  let cases = 0;
  beforeAll(async () => void (at = await testWarehouse(kind)));
  afterAll(() => at?.dispose());

  /** A schema of the test's own, which names its sync, too. */
  const fresh = (): string => `case_${++cases}`;
  const ids = async (schema: string, table = 'items'): Promise<unknown[]> =>
    (await at.query(`SELECT "id" FROM ${quoted(schema, table)} ORDER BY "_tapline_order"`)).map((row) => Number(row['id']));
  const generations = async (schema: string): Promise<unknown[]> =>
    (await at.query(`SELECT DISTINCT "_airbyte_generation_id" AS g FROM ${quoted(schema, 'items')} ORDER BY g`)).map((row) => Number(row['g']));

  test('basic write: the values, and around them what the protocol wants of every row', async () => {
    const sync = fresh();
    const stream = new Stream(sync, 'items', items, { generation: 42, sync: 7 });
    const written = await write(at, { streams: [stream], sync, lines: whole(stream, [{ id: 5678, undeclared: 'asdf', name: 'a' }, { id: 2, name: null }]) });
    expect(written.states).toEqual([2]);
    expect(written.counted).toBe(2);
    const rows = await rowsIn(at, sync, 'items');
    expect(rows.map((row) => [row['id'], row['name'], row['_airbyte_generation_id'], row['_airbyte_extracted_at']])).toEqual([
      ['5678', 'a', '42', '2026-11-20T07:08:09.123000'],
      ['2', null, '42', '2026-11-20T07:08:09.123000'],
    ]);
    for (const row of rows) {
      expect(row['_airbyte_raw_id']).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
      expect(row['_tapline_order']).toMatch(/^[0-9a-f]{32}$/);
      expect(JSON.parse(String(row['_airbyte_meta']))).toEqual({ sync_id: 7, changes: [] });
    }
    expect(new Set(rows.map((row) => row['_airbyte_raw_id'])).size).toBe(2);
    expect(rows.map((row) => row['_tapline_extra'] && (JSON.parse(String(row['_tapline_extra'])) as unknown))).toEqual([{ undeclared: 'asdf' }, null]);
    expect(written.warnings.filter((warning) => warning.includes('undeclared')), 'said once').toHaveLength(1);
  });

  test('mid-sync checkpointing: a state comes back while input goes on, its rows outlive a SIGKILL, and what follows it is not there', async () => {
    const sync = fresh();
    const stream = new Stream(sync, 'items', items);
    const writer = await startWriter(at, { streams: [stream], sync, options: { flush_mb: 0.000001 } });
    writer.send(stream.record({ id: 1 }), stream.record({ id: 2 }), stream.state('first'));
    await writer.untilStates(1);
    if (kind !== 'duckdb') expect(await ids(sync), 'seen while the writer runs').toEqual([1, 2]);
    writer.send(stream.record({ id: 3 }), stream.state('second'), stream.record({ id: 4 }));
    await writer.untilStates(2);
    const killed = await writer.kill();
    expect(killed.states).toEqual(['first', 'second']);
    expect(await ids(sync)).toEqual([1, 2, 3]);
    // The same source goes on from there.
    await write(at, { streams: [stream], sync, lines: whole(stream, [{ id: 4 }, { id: 5 }]) });
    expect(await ids(sync)).toEqual([1, 2, 3, 4, 5]);
  });

  test('namespaces: the schema of a table; one name in two of them is two tables, and without one it goes where users look first', async () => {
    const [sync, other] = [fresh(), fresh()];
    const none = `items_${sync}`;
    const streams = [new Stream(sync, 'items', items), new Stream(other, 'items', items), new Stream(undefined, none, items)];
    await write(at, { streams, sync, lines: streams.map((stream, i) => whole(stream, [{ id: i + 1 }])) });
    expect(await ids(sync)).toEqual([1]);
    expect(await ids(other)).toEqual([2]);
    expect(await ids(kind === 'duckdb' ? 'main' : 'public', none)).toEqual([3]);
  });

  test('funky characters: schemas, tables and columns keep their names, whatever stands in them', async () => {
    const names = [
      'naughty ~!@#$%^&*()_+-=', 'with "quotes"', `it's`, 'dotted.name', 'back\\slash', 'semi;colon--', '/*x*/', '{stream}', '$1', 'ünïcødé 日本語 🎉', 'select', 'CamelCase', '1starts', ' spaced ', '%s',
    ];
    const sync = fresh();
    const columns = Object.fromEntries(['id', ...names].map((name) => [name, name === 'id' ? integer : string]));
    const streams = [...names.map((name) => new Stream(sync, name, columns)), ...names.map((name) => new Stream(`${sync} ${name}`, 'items', columns))];
    const row = Object.fromEntries(names.map((name) => [name, `value of ${name}`]));
    const send = (id: number) => write(at, { streams, sync, lines: streams.map((stream) => whole(stream, [{ id, ...row }])) });
    await send(1);
    await send(2);
    for (const [schema, table] of [...names.map((name) => [sync, name] as const), ...names.map((name) => [`${sync} ${name}`, 'items'] as const)]) {
      const found = await rowsIn(at, schema, table);
      expect(found.map((one) => Object.fromEntries(names.map((name) => [name, one[name]]))), `${schema}.${table}`).toEqual([row, row]);
    }
  });

  test('names that are too long, or differ in case only, are kept apart, and the same ones are found again', async () => {
    const sync = fresh();
    const long = 'a'.repeat(70);
    const columns = { id: integer, [`${long}1`]: string, [`${long}2`]: string, Id: string };
    const streams = [new Stream(sync, `${long}1`, columns), new Stream(sync, `${long}2`, columns), new Stream(sync, 'case', columns), new Stream(sync, 'Case', columns)];
    const send = (run: number) => write(at, { streams, sync, lines: streams.map((stream, i) => whole(stream, [{ id: run * 10 + i, [`${long}1`]: `one ${i}`, [`${long}2`]: `two ${i}`, Id: `three ${i}` }])) });
    await send(1);
    await send(2);
    const tables = (await tablesIn(at)).filter((table) => table.startsWith(`${sync}.`));
    expect(tables).toHaveLength(4);
    const texts: string[] = [];
    for (const table of tables) {
      const found = await rowsIn(at, sync, table.slice(sync.length + 1));
      expect(found).toHaveLength(2);
      const values = Object.entries(found[0]!).filter(([name]) => !own.includes(name)).map(([, value]) => String(value)).sort();
      const stream = values.find((value) => value.startsWith('one '))!.slice(4);
      expect(values).toEqual([`1${stream}`, `one ${stream}`, `three ${stream}`, `two ${stream}`].sort());
      texts.push(stream);
    }
    expect(texts.sort()).toEqual(['0', '1', '2', '3']);
  });

  test('truncate refresh: the new generation takes the place of the old one when it completes, and not a moment before', async () => {
    const sync = fresh();
    const old = new Stream(sync, 'items', items, { generation: 12, minimum: 0 });
    await write(at, { streams: [old], sync, lines: whole(old, [{ id: 1 }, { id: 2 }]) });
    const refresh = old.as({ generation: 13, minimum: 13 });
    const writer = await startWriter(at, { streams: [refresh], sync, options: { flush_mb: 0.000001 } });
    writer.send(refresh.record({ id: 3 }), refresh.state('half'));
    await writer.untilStates(1);
    if (kind !== 'duckdb') expect(await ids(sync), 'the old one is readable until then').toEqual([1, 2]);
    writer.send(refresh.record({ id: 4 }), refresh.state('all'), refresh.complete());
    expect((await writer.end()).exitCode).toBe(0);
    expect(await ids(sync)).toEqual([3, 4]);
    expect(await generations(sync)).toEqual([13]);
  });

  test('interrupted truncate with prior data: old rows stay until a later run of the generation completes it, with the rows of both', async () => {
    const sync = fresh();
    const old = new Stream(sync, 'items', items, { generation: 42, minimum: 0 });
    await write(at, { streams: [old], sync, lines: whole(old, [{ id: 1 }, { id: 2 }]) });
    const refresh = old.as({ generation: 43, minimum: 43 });
    await write(at, { streams: [refresh], sync, lines: [refresh.record({ id: 3 }), refresh.state('half'), refresh.complete('INCOMPLETE')] });
    expect(await ids(sync)).toEqual([1, 2]);
    await write(at, { streams: [refresh], sync, lines: whole(refresh, [{ id: 4 }]) });
    expect(await ids(sync)).toEqual([3, 4]);
    expect(await generations(sync)).toEqual([43]);
  });

  test('interrupted truncate without prior data: nothing is seen of it before it completes', async () => {
    const sync = fresh();
    const refresh = new Stream(sync, 'items', items, { generation: 43, minimum: 43 });
    await write(at, { streams: [refresh], sync, lines: [refresh.record({ id: 1 }), refresh.state('half'), refresh.complete('INCOMPLETE')] });
    const before = (await tablesIn(at)).includes(`${sync}.items`) ? await ids(sync) : [];
    expect(before).toEqual([]);
    await write(at, { streams: [refresh], sync, lines: whole(refresh, [{ id: 2 }]) });
    expect(await ids(sync)).toEqual([1, 2]);
  });

  test('a truncate that was interrupted and given up for a later one leaves nothing of itself, and an append after it goes on', async () => {
    const sync = fresh();
    const old = new Stream(sync, 'items', items, { generation: 42, minimum: 0 });
    await write(at, { streams: [old], sync, lines: whole(old, [{ id: 1 }]) });
    const first = old.as({ generation: 43, minimum: 43 });
    await write(at, { streams: [first], sync, lines: [first.record({ id: 2 }), first.state('half'), first.complete('INCOMPLETE')] });
    const second = old.as({ generation: 44, minimum: 44 });
    await write(at, { streams: [second], sync, lines: whole(second, [{ id: 3 }]) });
    const after = old.as({ generation: 44, minimum: 0 });
    await write(at, { streams: [after], sync, lines: whole(after, [{ id: 4 }]) });
    expect(await ids(sync)).toEqual([3, 4]);
    expect(await generations(sync)).toEqual([44]);
  });

  test('append: every run adds its rows, the same ones too', async () => {
    const sync = fresh();
    const stream = new Stream(sync, 'items', items);
    await write(at, { streams: [stream], sync, lines: whole(stream, [{ id: 1 }, { id: 2 }]) });
    await write(at, { streams: [stream], sync, lines: whole(stream, [{ id: 2 }, { id: 3 }]) });
    expect(await ids(sync)).toEqual([1, 2, 2, 3]);
  });

  test('overwrite: every run takes the place of the one before, and one that ends early changes nothing', async () => {
    const sync = fresh();
    const stream = new Stream(sync, 'items', items, { mode: 'overwrite' });
    await write(at, { streams: [stream], sync, lines: whole(stream, [{ id: 1 }, { id: 2 }]) });
    await write(at, { streams: [stream], sync, lines: whole(stream, [{ id: 3 }]) });
    expect(await ids(sync)).toEqual([3]);
    await write(at, { streams: [stream], sync, lines: [stream.record({ id: 4 }), stream.state(1)] });
    expect(await ids(sync)).toEqual([3]);
  });

  test('many streams complete: interleaved, ended in another order, each has its table and its rows', async () => {
    const sync = fresh();
    const streams = Array.from({ length: 100 }, (_, i) => new Stream(sync, `stream_${i}`, items, { mode: i % 2 ? 'append' : 'overwrite' }));
    const lines = [1, 2].flatMap((id) => streams.map((stream) => stream.record({ id })));
    const written = await write(at, { streams, sync, lines: [...lines, ...streams.map((stream, i) => stream.state(i)), ...streams.toReversed().map((stream) => stream.complete())] });
    expect(written.states.toSorted((a, b) => Number(a) - Number(b))).toEqual(streams.map((_, i) => i));
    expect(written.counted).toBe(200);
    const counts = await at.query(streams.map(({ name }) => `SELECT count(*) AS n, count(DISTINCT "id") AS d FROM ${quoted(sync, name)}`).join(' UNION ALL '));
    expect(counts.map((row) => [Number(row['n']), Number(row['d'])])).toEqual(streams.map(() => [2, 2]));
  });

  test('no columns: a stream that declares none has a table of our own columns, with its values in _tapline_extra', async () => {
    const sync = fresh();
    const stream = new Stream(sync, 'items', {});
    await write(at, { streams: [stream], sync, lines: whole(stream, [{}, { id: 1 }]) });
    const rows = await rowsIn(at, sync, 'items');
    expect(rows).toHaveLength(2);
    expect(Object.keys(rows[0]!).toSorted()).toEqual(own.toSorted());
    expect(JSON.parse(String(rows[1]!['_tapline_extra']))).toEqual({ id: 1 });
  });

  test.each(['append', 'overwrite', 'append_dedup'] as const)('no data: a stream without a record (%s) has its table, empty, with its columns', async (mode) => {
    const sync = fresh();
    const stream = new Stream(sync, 'items', items, { mode, ...(mode === 'append_dedup' && { key: ['id'] }) });
    const written = await write(at, { streams: [stream], sync, lines: whole(stream, []) });
    expect(written.states).toEqual([0]);
    expect(await rowsIn(at, sync, 'items')).toEqual([]);
    expect(Object.keys(await columnsIn(at, sync, 'items'))).toEqual(expect.arrayContaining(['id', 'name']));
    await write(at, { streams: [stream], sync, lines: whole(stream, [{ id: 1 }]) });
    expect(await ids(sync)).toEqual([1]);
  });

  test('clear: a generation without a record empties the table', async () => {
    const sync = fresh();
    const stream = new Stream(sync, 'items', items, { generation: 42, minimum: 0 });
    await write(at, { streams: [stream], sync, lines: whole(stream, [{ id: 1 }]) });
    const cleared = stream.as({ generation: 43, minimum: 43 });
    await write(at, { streams: [cleared], sync, lines: cleared.complete() });
    expect(await ids(sync)).toEqual([]);
    const again = stream.as({ generation: 43, minimum: 0 });
    await write(at, { streams: [again], sync, lines: whole(again, [{ id: 2 }]) });
    expect(await ids(sync)).toEqual([2]);
  });
});
