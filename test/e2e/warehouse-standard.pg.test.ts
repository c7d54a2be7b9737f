/** The standard cases of a destination, by their names, as somebody else's platform drives it: no session, plain messages. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { columnsIn, quoted, rowsIn, tablesIn, testWarehouse, type TestWarehouse } from '../harness/warehouse.js';
import { cases, type Case } from './warehouse-cases.js';
import { integer, startWriter, Stream, string, whole, write } from './warehouse-writer.js';

const items = { id: integer, name: string };
const own = ['_airbyte_raw_id', '_airbyte_extracted_at', '_airbyte_meta', '_airbyte_generation_id', '_tapline_order', '_tapline_extra'];
const funky = [
  'naughty ~!@#$%^&*()_+-=', 'with "quotes"', `it's`, 'dotted.name', 'back\\slash', 'semi;colon--', '/*x*/', '{stream}', '$1', 'ünïcødé 日本語 🎉', 'select', 'CamelCase', '1starts', ' spaced ', '%s',
];

/** Looks at the tables of a warehouse. */
const look = (at: () => TestWarehouse) => ({
  ids: async (schema: string, table = 'items'): Promise<number[]> =>
    (await at().query(`SELECT "id" FROM ${quoted(schema, table)} ORDER BY "_tapline_order"`)).map((row) => Number(row['id'])),
  generations: async (schema: string): Promise<number[]> =>
    (await at().query(`SELECT DISTINCT "_airbyte_generation_id" AS g FROM ${quoted(schema, 'items')} ORDER BY g`)).map((row) => Number(row['g'])),
});
/** Records of those ids, the state and the end. */
const rows = (stream: Stream, ...ids: readonly number[]): { streams: Stream[]; lines: string } => ({ streams: [stream], lines: whole(stream, ids.map((id) => ({ id }))) });
/** The end of the input comes before the end of the stream. */
const half = (stream: Stream, id: number): { streams: Stream[]; lines: string[] } => ({ streams: [stream], lines: [stream.record({ id }), stream.state('half'), stream.complete('INCOMPLETE')] });

describe.each(['duckdb', 'postgres18'] as const)('%s', (kind) => {
  let at: TestWarehouse;
  beforeAll(async () => void (at = await testWarehouse(kind)));
  afterAll(() => at?.dispose());

  cases({ at: () => at, name: 'standard' }, standard(() => at));
});

describe.each(['duckdb', 'postgres18'] as const)('%s, while its writer runs', (kind) => {
  let at: TestWarehouse;
  beforeAll(async () => void (at = await testWarehouse(kind)));
  afterAll(() => at?.dispose());

  test('mid-sync checkpointing: a state comes back while input goes on, its rows outlive a SIGKILL, and what follows it is not there', async () => {
    const sync = 'checkpointing';
    const { ids } = look(() => at);
    const stream = new Stream(sync, 'items', items);
    const writer = await startWriter(at, { streams: [stream], sync, options: { flush_mb: 0.000001 } });
    writer.send(stream.record({ id: 1 }), stream.record({ id: 2 }), stream.state('first'));
    await writer.untilStates(1);
    if (kind !== 'duckdb') expect(await ids(sync), 'seen while the writer runs').toEqual([1, 2]);
    writer.send(stream.record({ id: 3 }), stream.state('second'), stream.record({ id: 4 }));
    await writer.untilStates(2);
    const killed = await writer.kill();
    expect(killed.states()).toEqual(['first', 'second']);
    expect(await ids(sync)).toEqual([1, 2, 3]);
    // The same source goes on from there.
    await write(at, { sync, ...rows(stream, 4, 5) });
    expect(await ids(sync)).toEqual([1, 2, 3, 4, 5]);
  });

  test('truncate refresh: the new generation takes the place of the old one when it completes, and not a moment before', async () => {
    const sync = 'truncate';
    const { ids, generations } = look(() => at);
    const old = new Stream(sync, 'items', items, { generation: 12, minimum: 0 });
    await write(at, { sync, ...rows(old, 1, 2) });
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
});

function standard(at: () => TestWarehouse): readonly Case[] {
  const { ids, generations } = look(at);
  return [
    {
      title: 'basic write: the values, and around them what the protocol wants of every row',
      syncs(schema) {
        const stream = new Stream(schema, 'items', items, { generation: 42, sync: 7 });
        return [{
          streams: [stream], lines: whole(stream, [{ id: 5678, undeclared: 'asdf', name: 'a' }, { id: 2, name: null }]),
          async after(written) {
            expect(written.states(stream)).toEqual([2]);
            expect(written.counted(stream)).toBe(2);
            const found = await rowsIn(at(), schema, 'items');
            expect(found.map((row) => [row['id'], row['name'], row['_airbyte_generation_id'], row['_airbyte_extracted_at']])).toEqual([
              ['5678', 'a', '42', '2026-11-20T07:08:09.123000'],
              ['2', null, '42', '2026-11-20T07:08:09.123000'],
            ]);
            for (const row of found) {
              expect(row['_tapline_order']).toMatch(/^[0-9a-f]{32}$/);
              expect(JSON.parse(String(row['_airbyte_meta']))).toEqual({ sync_id: 7, changes: [] });
            }
            expect(new Set(found.map((row) => row['_airbyte_raw_id'])).size).toBe(2);
            expect(found.map((row) => row['_tapline_extra'] && (JSON.parse(String(row['_tapline_extra'])) as unknown))).toEqual([{ undeclared: 'asdf' }, null]);
            expect(written.warnings.filter((warning) => warning.includes('"undeclared"')), 'said once').toHaveLength(1);
          },
        }];
      },
    },
    {
      title: 'namespaces: the schema of a table; one name in two of them is two tables, and without one it goes where users look first',
      syncs(schema) {
        const streams = [new Stream(schema, 'items', items), new Stream(`${schema}_other`, 'items', items), new Stream(undefined, `items_${schema}`, items)];
        return [{
          streams, lines: streams.map((stream, i) => whole(stream, [{ id: i + 1 }])),
          async after() {
            expect(await ids(schema)).toEqual([1]);
            expect(await ids(`${schema}_other`)).toEqual([2]);
            expect(await ids(at().kind === 'duckdb' ? 'main' : 'public', `items_${schema}`)).toEqual([3]);
          },
        }];
      },
    },
    {
      title: 'funky characters: schemas, tables and columns keep their names, whatever stands in them',
      syncs(schema) {
        const columns = Object.fromEntries(['id', ...funky].map((name) => [name, name === 'id' ? integer : string]));
        const streams = [...funky.map((name) => new Stream(schema, name, columns)), ...funky.slice(0, 3).map((name) => new Stream(`${schema} ${name}`, 'items', columns))];
        const row = Object.fromEntries(funky.map((name) => [name, `value of ${name}`]));
        const send = (id: number) => ({ streams, lines: streams.map((stream) => whole(stream, [{ id, ...row }])) });
        return [send(1), {
          ...send(2),
          async after() {
            for (const { namespace, name } of streams) {
              const found = await rowsIn(at(), namespace!, name);
              expect(found.map((one) => Object.fromEntries(funky.map((column) => [column, one[column]]))), `${namespace}.${name}`).toEqual([row, row]);
            }
          },
        }];
      },
    },
    {
      title: 'names that are too long, or differ in case only, are kept apart, and the same ones are found again',
      syncs(schema) {
        const long = 'a'.repeat(70);
        const columns = { id: integer, [`${long}1`]: string, [`${long}2`]: string, Id: string };
        const streams = [`${long}1`, `${long}2`, 'case', 'Case'].map((name) => new Stream(schema, name, columns));
        const send = (run: number) => ({
          streams, lines: streams.map((stream, i) => whole(stream, [{ id: run * 10 + i, [`${long}1`]: `one ${i}`, [`${long}2`]: `two ${i}`, Id: `three ${i}` }])),
        });
        return [send(1), {
          ...send(2),
          async after() {
            const tables = (await tablesIn(at())).filter((table) => table.startsWith(`${schema}.`));
            const seen: string[] = [];
            for (const table of tables) {
              const found = await rowsIn(at(), schema, table.slice(schema.length + 1));
              expect(found).toHaveLength(2);
              const values = Object.entries(found[0]!).filter(([name]) => !own.includes(name)).map(([, value]) => String(value)).sort();
              const stream = values.find((value) => value.startsWith('one '))!.slice(4);
              expect(values).toEqual([`1${stream}`, `one ${stream}`, `three ${stream}`, `two ${stream}`].sort());
              seen.push(stream);
            }
            expect(seen.sort()).toEqual(['0', '1', '2', '3']);
          },
        }];
      },
    },
    {
      title: 'names that the engine or we keep for ourselves: every value is there, under a name beside it',
      syncs(schema) {
        const names = ['ctid', 'rowid', 'oid', '_airbyte_raw_id', '_airbyte_meta', '_tapline_extra', '_tapline_unchanged', '', 'valid_from', 'excluded', 'user'];
        const columns = { id: integer, ...Object.fromEntries(names.map((name) => [name, string])) };
        const table = `${schema}_kept`;
        const streams = ['_tapline', 'pg_catalog', 'information_schema', 'pg_mine'].map((namespace) => new Stream(namespace, table, columns, { mode: 'append_dedup', key: ['id'] }));
        const send = (run: number) => ({ streams, lines: streams.map((stream) => whole(stream, [{ id: 1, ...Object.fromEntries(names.map((name) => [name, `value of ${name} ${run}`])) }])) });
        return [send(1), {
          ...send(2),
          async after() {
            const tables = (await tablesIn(at())).filter((name) => name.endsWith(`.${table}`));
            expect(tables).toHaveLength(streams.length);
            for (const name of tables) {
              const found = await rowsIn(at(), name.slice(0, -table.length - 1), table);
              expect(found, name).toHaveLength(1);
              expect(Object.values(found[0]!), name).toEqual(expect.arrayContaining(names.map((column) => `value of ${column} 2`)));
            }
          },
        }];
      },
    },
    {
      title: 'interrupted truncate with prior data: old rows stay until a later run of the generation completes it, with the rows of both',
      syncs(schema) {
        const old = new Stream(schema, 'items', items, { generation: 42, minimum: 0 });
        const refresh = old.as({ generation: 43, minimum: 43 });
        return [rows(old, 1, 2), { ...half(refresh, 3), after: async () => expect(await ids(schema)).toEqual([1, 2]) }, {
          ...rows(refresh, 4),
          async after() {
            expect(await ids(schema)).toEqual([3, 4]);
            expect(await generations(schema)).toEqual([43]);
          },
        }];
      },
    },
    {
      title: 'interrupted truncate without prior data: nothing is seen of it before it completes',
      syncs(schema) {
        const refresh = new Stream(schema, 'items', items, { generation: 43, minimum: 43 });
        return [
          { ...half(refresh, 1), after: async () => expect((await tablesIn(at())).includes(`${schema}.items`) ? await ids(schema) : []).toEqual([]) },
          { ...rows(refresh, 2), after: async () => expect(await ids(schema)).toEqual([1, 2]) },
        ];
      },
    },
    {
      title: 'a truncate that was interrupted and given up for a later one leaves nothing of itself, and an append after it goes on',
      syncs(schema) {
        const of = (generation: number, minimum: number) => new Stream(schema, 'items', items, { generation, minimum });
        return [rows(of(42, 0), 1), half(of(43, 43), 2), rows(of(44, 44), 3), {
          ...rows(of(44, 0), 4),
          async after() {
            expect(await ids(schema)).toEqual([3, 4]);
            expect(await generations(schema)).toEqual([44]);
          },
        }];
      },
    },
    {
      title: 'append: every run adds its rows, the same ones too',
      syncs(schema) {
        const stream = new Stream(schema, 'items', items);
        return [rows(stream, 1, 2), { ...rows(stream, 2, 3), after: async () => expect(await ids(schema)).toEqual([1, 2, 2, 3]) }];
      },
    },
    {
      title: 'overwrite: every run takes the place of the one before, and one that ends early changes nothing',
      syncs(schema) {
        const stream = new Stream(schema, 'items', items, { mode: 'overwrite' });
        const is = (...expected: readonly number[]) => async () => expect(await ids(schema)).toEqual(expected);
        return [{ ...rows(stream, 1, 2), after: is(1, 2) }, { ...rows(stream, 3), after: is(3) }, { streams: [stream], lines: [stream.record({ id: 4 }), stream.state(1)], after: is(3) }];
      },
    },
    {
      title: 'many streams complete: interleaved, ended in another order, each has its table and its rows',
      syncs(schema) {
        const streams = Array.from({ length: 40 }, (_, i) => new Stream(schema, `stream_${i}`, items, { mode: i % 2 ? 'append' : 'overwrite' }));
        const lines = [1, 2].flatMap((id) => streams.map((stream) => stream.record({ id })));
        return [{
          streams, lines: [...lines, ...streams.map((stream, i) => stream.state(i)), ...streams.toReversed().map((stream) => stream.complete())],
          async after(written) {
            expect(streams.map((stream) => written.states(stream))).toEqual(streams.map((_, i) => [i]));
            const counts = await at().query(streams.map(({ name }) => `SELECT count(*) AS n, count(DISTINCT "id") AS d FROM ${quoted(schema, name)}`).join(' UNION ALL '));
            expect(counts.map((row) => [Number(row['n']), Number(row['d'])])).toEqual(streams.map(() => [2, 2]));
          },
        }];
      },
    },
    {
      title: 'no columns: a stream that declares none has a table of our own columns, with its values in _tapline_extra',
      syncs(schema) {
        const stream = new Stream(schema, 'items', {});
        return [{
          streams: [stream], lines: whole(stream, [{}, { id: 1 }]),
          async after() {
            const found = await rowsIn(at(), schema, 'items');
            expect(found).toHaveLength(2);
            expect(Object.keys(found[0]!).toSorted()).toEqual(own.toSorted());
            expect(JSON.parse(String(found[1]!['_tapline_extra']))).toEqual({ id: 1 });
          },
        }];
      },
    },
    {
      title: 'no data: a stream without a record has its table, empty, with its columns, in every mode',
      syncs(schema) {
        const streams = (['append', 'overwrite', 'append_dedup'] as const).map((mode) => new Stream(schema, mode, items, { mode, ...(mode === 'append_dedup' && { key: ['id'] }) }));
        return [{
          streams, lines: streams.map((stream) => whole(stream, [])),
          async after(written) {
            for (const stream of streams) {
              expect(written.states(stream)).toEqual([0]);
              expect(await rowsIn(at(), schema, stream.name)).toEqual([]);
              expect(Object.keys(await columnsIn(at(), schema, stream.name))).toEqual(expect.arrayContaining(['id', 'name']));
            }
          },
        }, {
          streams, lines: streams.map((stream) => whole(stream, [{ id: 1 }])),
          async after() {
            for (const { name } of streams) expect(await ids(schema, name)).toEqual([1]);
          },
        }];
      },
    },
    {
      title: 'clear: a generation without a record empties the table',
      syncs(schema) {
        const stream = new Stream(schema, 'items', items, { generation: 42, minimum: 0 });
        const cleared = stream.as({ generation: 43, minimum: 43 });
        return [
          rows(stream, 1),
          { streams: [cleared], lines: cleared.complete(), after: async () => expect(await ids(schema)).toEqual([]) },
          { ...rows(stream.as({ generation: 43, minimum: 0 }), 2), after: async () => expect(await ids(schema)).toEqual([2]) },
        ];
      },
    },
  ];
}
