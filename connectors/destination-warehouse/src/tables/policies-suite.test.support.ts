/** What becomes of tables and values when streams change: between runs, in the middle of one, and when all of a stream comes anew. Lines in, tables out. */
import { PassThrough } from 'node:stream';
import { parseLogicalType, toJsonSchema } from '@tapline/catalog';
import { LineWriter, streamKey, type ConfiguredStream, type Session } from '@tapline/protocol';
import { Output } from '@tapline/sdk';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { config as configSchema, type Config } from '../config.js';
import { openWarehouse } from '../open-warehouse.js';
import type { Row, Warehouse } from '../warehouse.js';
import { write } from '../write.js';
import { Dice } from './dice.test.support.js';
import { existingRelation } from './existing.js';
import { Registry } from './registry.js';

export interface PoliciesSuite {
  /** Only what alters tables that have rows: the rest does not hang on the server's version. */
  readonly alterations?: boolean;
  /** An empty database: how to configure it, and a folder for scratch files. */
  open(): Promise<{ readonly config: object; readonly scratch: string; dispose(): Promise<void> }>;
}

type Fields = Readonly<Record<string, string>>;
type Value = string | number | null;
type Step =
  /** A record. */
  | Readonly<Record<string, Value>>
  /** The stream is like this from here on. */
  | { readonly $schema: Fields };

interface RunOptions {
  readonly policy?: Config['schema'];
  readonly key?: readonly string[];
  /** All of the stream comes anew. */
  readonly anew?: boolean;
  readonly history?: Config['history'];
}

export function policiesSuite(engine: string, { alterations = false, open }: PoliciesSuite): void {
  describe(`a stream that changes, in ${engine}`, () => {
    let opened: Awaited<ReturnType<PoliciesSuite['open']>>;
    let namespace = '';
    let tests = 0;
    let runs = 0;
    let records = 0;
    const logs: string[] = [];
    beforeAll(async () => { opened = await open(); });
    afterAll(() => opened.dispose());
    beforeEach(() => { namespace = `ns${++tests}`; });

    const configOf = (options: RunOptions): Config =>
      configSchema.parse({ ...opened.config, ...(options.policy && { schema: options.policy }), ...(options.history && { history: options.history }) });

    const streamOf = (fields: Fields, { key = [] }: RunOptions): ConfiguredStream => ({
      stream: {
        name: 'orders', namespace,
        json_schema: { type: 'object', properties: Object.fromEntries(Object.entries(fields).map(([name, type]) => [name, toJsonSchema(parseLogicalType(type)!)])) },
      },
      sync_mode: 'incremental', destination_sync_mode: key.length > 0 ? 'append_dedup' : 'append', primary_key: key.map((name) => [name]),
    });

    /** One run of the destination, in a session. Each STATE is committed. */
    async function run(fields: Fields, steps: readonly Step[], options: RunOptions = {}): Promise<void> {
      logs.length = 0;
      const id = ++runs;
      const descriptor = { name: 'orders', namespace };
      const lines: object[] = [];
      const generation = (phase: string): object =>
        ({ type: 'TAPLINE', tapline: { type: 'GENERATION', stream_descriptor: descriptor, generation_id: id, minimum_generation_id: id, phase } });
      let states = 0;
      const state = (): object => ({ type: 'STATE', state: { id: id * 100 + ++states, type: 'STREAM', stream: { stream_descriptor: descriptor, stream_state: { n: states } } } });
      if (options.anew) lines.push(generation('begin'));
      for (const step of steps) {
        if ('$schema' in step) lines.push(state(), { type: 'TAPLINE', tapline: { type: 'SCHEMA', schema_version: 2, stream: streamOf(step.$schema as Fields, options) } });
        else lines.push({ type: 'RECORD', record: { stream: 'orders', namespace, emitted_at: 1_700_000_000_000 + ++records, data: step } });
      }
      if (options.anew) lines.push(generation('complete'));
      lines.push(state(), { type: 'TRACE', trace: { type: 'STREAM_STATUS', emitted_at: 1, stream_status: { stream_descriptor: descriptor, status: 'COMPLETE' } } });
      const session: Session = {
        version: 1, run_id: `run-${id}`, sync: namespace, source: '', extensions: ['checkpoint', 'schema', 'generation'], continuous: false, scratch: opened.scratch, flush: { ms: 1 },
      };
      const input = new PassThrough();
      const stdout = new PassThrough();
      stdout.resume();
      input.end(lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
      await write({
        config: configOf(options), catalog: { streams: [streamOf(fields, options)] }, session, input, output: new Output(new LineWriter(stdout)),
        signal: new AbortController().signal, log: (level: string, message: string) => void (level === 'WARN' && logs.push(message)),
      } as unknown as Parameters<typeof write>[0]);
    }

    async function looking<Result>(look: (warehouse: Warehouse) => Promise<Result>): Promise<Result> {
      const { warehouse } = await openWarehouse(configOf({}), { sync: 'reader', scratch: opened.scratch, log: () => undefined });
      await using _closed = warehouse;
      return await look(warehouse);
    }
    const rows = (columns: string, order = '_tapline_order'): Promise<Row[]> => looking((warehouse) => {
      const list = columns.split(' ').map((name) => `CAST(${warehouse.dialect.quote(name)} AS ${warehouse.dialect.type({ kind: 'text' })}) AS ${warehouse.dialect.quote(name)}`).join(', ');
      return warehouse.run(`SELECT ${list} FROM ${warehouse.dialect.table({ schema: namespace, table: 'orders' })} ORDER BY ${order}`);
    });
    const columns = (): Promise<string[]> => looking(async (warehouse) =>
      ((await existingRelation(warehouse, { schema: namespace, table: 'orders' }))?.columns ?? []).map(({ name }) => name).filter((name) => !/^_(airbyte|tapline)/.test(name)));

    describe('the key of a table', () => {
      test('may become another one: rows are folded anew', async () => {
        await run({ id: 'int64', line: 'int32', n: 'int32' }, [{ id: 1, line: 1, n: 1 }, { id: 2, line: 1, n: 2 }], { key: ['id'] });
        await run({ id: 'int64', line: 'int32', n: 'int32' }, [{ id: 1, line: 2, n: 3 }, { id: 1, line: 1, n: 4 }], { key: ['id', 'line'] });
        expect(await rows('id line n', 'id, line')).toEqual([{ id: '1', line: '1', n: '4' }, { id: '1', line: '2', n: '3' }, { id: '2', line: '1', n: '2' }]);
        await run({ id: 'int64', line: 'int32', n: 'int32' }, [{ id: 2, line: 9, n: 5 }], { key: ['id'] });
        expect(await rows('id line n', 'id')).toEqual([{ id: '1', line: '1', n: '4' }, { id: '2', line: '9', n: '5' }]);
      });

      test('may come to a table that was appended to', async () => {
        await run({ id: 'int64', n: 'int32' }, [{ id: 1, n: 1 }, { id: 1, n: 2 }, { id: 2, n: 3 }]);
        await run({ id: 'int64', n: 'int32' }, [{ id: 2, n: 4 }], { key: ['id'] });
        expect(await rows('id n', 'id')).toEqual([{ id: '1', n: '2' }, { id: '2', n: '4' }]);
        await run({ id: 'int64', n: 'int32' }, [{ id: 2, n: 5 }], {});
        expect(await rows('id n', 'id, n')).toEqual([{ id: '1', n: '2' }, { id: '2', n: '4' }, { id: '2', n: '5' }]);
      });

      test('may turn a table into a history, and not back', async () => {
        await run({ id: 'int64', n: 'int32' }, [{ id: 1, n: 1 }], { key: ['id'] });
        await run({ id: 'int64', n: 'int32' }, [{ id: 1, n: 2 }], { key: ['id'], history: 'scd2' });
        expect(await rows('id n is_current')).toEqual([{ id: '1', n: '1', is_current: 'false' }, { id: '1', n: '2', is_current: 'true' }]);
        await expect(run({ id: 'int64', n: 'int32' }, [{ id: 1, n: 3 }], { key: ['id'] })).rejects.toMatchObject({ code: 'history_kept' });
      });

      test('may hold nulls from some day on', async () => {
        await run({ a: 'int64', b: 'text', n: 'int32' }, [{ a: 1, b: 'x', n: 1 }], { key: ['a', 'b'] });
        await run({ a: 'int64', b: 'text', n: 'int32' }, [{ a: 1, b: null, n: 2 }], { key: ['a', 'b'] });
        await run({ a: 'int64', b: 'text', n: 'int32' }, [{ a: 1, b: null, n: 3 }, { a: 1, b: 'x', n: 4 }], { key: ['a', 'b'] });
        expect(await rows('a b n', 'n')).toEqual([{ a: '1', b: null, n: '3' }, { a: '1', b: 'x', n: '4' }]);
      });
    });

    if (alterations) return;

    test('a table that was dropped comes back when all of the stream comes anew, a history too', async () => {
      for (const history of ['none', 'scd2'] as const) {
        namespace = `ns${++tests}`;
        const options = { key: ['id'], history };
        await run({ id: 'int64', n: 'int32' }, [{ id: 1, n: 1 }], options);
        await looking((warehouse) => warehouse.run(`DROP TABLE ${warehouse.dialect.table({ schema: namespace, table: 'orders' })}`));
        await expect(run({ id: 'int64', n: 'int32' }, [{ id: 2, n: 2 }], options)).rejects.toMatchObject({ code: 'table_gone' });
        await run({ id: 'int64', n: 'int32' }, [{ id: 3, n: 3 }], { ...options, anew: true });
        await run({ id: 'int64', n: 'int32' }, [{ id: 4, n: 4 }], options);
        expect(await rows('id n', 'id')).toEqual([{ id: '3', n: '3' }, { id: '4', n: '4' }]);
      }
    });

    test('however a stream changes, each value is found in the column of its field that was made for its type', async () => {
      const dice = new Dice(66);
      const values: Readonly<Record<string, (n: number) => Value>> = {
        int16: (n) => n, int32: (n) => n, int64: (n) => n, 'decimal(12,2)': (n) => `${n}.50`, text: (n) => `t${n}`, date: (n) => `20${10 + (n % 80)}-01-02`, timestamp: (n) => `20${10 + (n % 80)}-01-02T03:04:05`,
        uuid: (n) => `6f9619ff-8b86-d011-b42d-0000000${String(10_000 + n)}`,
      };
      const form = (): Fields => ({ id: 'int64', ...Object.fromEntries(dice.shuffled(['a', 'b', 'c']).slice(0, 1 + dice.below(3)).map((field) => [field, dice.pick(Object.keys(values))])) });
      for (const [policy, key] of [['evolve', ['id']], ['add_only', []]] as const) {
        namespace = `ns${++tests}`;
        const model = new Map<number, Readonly<Record<string, Value>>>();
        let n = 0;
        for (let round = 0; round < 3; round++) {
          const anew = round > 0 && dice.below(4) === 0;
          if (anew) model.clear();
          let fields = form();
          const first = fields;
          const steps: Step[] = [];
          for (let i = 0; i < 12; i++) {
            if (dice.below(4) === 0) {
              fields = form();
              steps.push({ $schema: fields });
              continue;
            }
            const id = key.length > 0 ? dice.below(5) : n;
            const data = Object.fromEntries(Object.entries(fields).map(([field, type]) => [field, field === 'id' ? id : values[type]!(++n)]));
            steps.push(data);
            model.set(id, data);
            n++;
          }
          await run(first, steps, { policy, key, anew });
        }
        const found = await looking(async (warehouse) => {
          const shape = (await Registry.look(warehouse, { sync: namespace }))!.shapeOf(streamKey({ name: 'orders', namespace }))!;
          const list = shape.columns.filter(({ origin }) => origin !== undefined);
          const select = list.map(({ name }, i) => `CAST(${warehouse.dialect.quote(name)} AS ${warehouse.dialect.type({ kind: 'text' })}) AS c${i}`).join(', ');
          const all = await warehouse.run(`SELECT ${select} FROM ${warehouse.dialect.table(shape.table)}`);
          return all.map((row) => list.flatMap(({ origin }, i) => (row[`c${i}`] === null ? [] : [[origin!, String(row[`c${i}`])] as const])));
        });
        expect(found).toHaveLength(model.size);
        for (const row of found) {
          expect(new Set(row.map(([field]) => field)).size).toBe(row.length);
          const expected = model.get(Number(row.find(([field]) => field === 'id')![1]))!;
          expect(Object.fromEntries(row.map(([field, value]) => [field, plain(value)]))).toEqual(Object.fromEntries(Object.entries(expected).map(([field, value]) => [field, plain(String(value))])));
        }
      }
    });

    describe.each([
      ['between runs', async (before: Fields, first: Step, after: Fields, second: Step, options: RunOptions) => {
        await run(before, [first], { ...options, policy: 'evolve' });
        await run(after, [second], options);
      }],
      ['in the middle of a run', (before: Fields, first: Step, after: Fields, second: Step, options: RunOptions) => run(before, [first, { $schema: after }, second], options)],
    ] as const)('%s', (_where, change) => {
      const before = { id: 'int64', n: 'int32', old: 'text' };
      const after = { id: 'int64', n: 'text', more: 'date' };
      const [first, second] = [{ id: 1, n: 7, old: 'x' }, { id: 2, n: 'seven', more: '2026-11-20' }];

      test('evolve adds columns, gives a changed type its own, and keeps those that were dropped', async () => {
        await change(before, first, after, second, {});
        expect((await columns()).sort()).toEqual(['id', 'more', 'n', 'n__text', 'old']);
        expect(await rows('id n n__text more old')).toEqual([
          { id: '1', n: '7', n__text: null, more: null, old: 'x' }, { id: '2', n: null, n__text: 'seven', more: '2026-11-20', old: null },
        ]);
        expect(logs.join()).toContain('its values go to the column "n__text"');
      });

      test('evolve widens in place, merged rows and keys too', async () => {
        await change({ id: 'int32', n: 'int32', m: 'int16' }, { id: 1, n: 7, m: 1 }, { id: 'int64', n: 'decimal(12,2)', m: 'int64' }, { id: 3_000_000_000, n: '1.25', m: 5 }, { key: ['id'] });
        expect(await rows('id n m')).toEqual([{ id: '1', n: '7.00', m: '1' }, { id: '3000000000', n: '1.25', m: '5' }]);
      });

      test('add_only alters no column', async () => {
        await change({ id: 'int64', n: 'int32' }, { id: 1, n: 7 }, { id: 'int64', n: 'int64', more: 'text' }, { id: 2, n: 8, more: 'y' }, { policy: 'add_only' });
        expect(await rows('id n n__int64 more')).toEqual([{ id: '1', n: '7', n__int64: null, more: null }, { id: '2', n: null, n__int64: '8', more: 'y' }]);
      });

      test('freeze fails, says what changed, and writes nothing of it', async () => {
        await expect(change(before, first, after, second, { policy: 'freeze' })).rejects.toMatchObject({
          kind: 'config_error', code: 'schema_frozen', message: expect.stringContaining('the field "n" was int32 and is text; the field "more" (date) is new'),
        });
        const there = await columns();
        expect(there).not.toContain('more');
        if (there.length > 0) expect((await rows('id')).length).toBeLessThanOrEqual(1);
      });

      test('discard writes neither new fields nor new types: values are cast, and told where they do not fit', async () => {
        await change(before, first, after, second, { policy: 'discard' });
        expect((await columns()).sort()).toEqual(['id', 'n', 'old']);
        const [one, two] = await rows('id n old _airbyte_meta');
        expect(one).toMatchObject({ id: '1', n: '7', old: 'x' });
        expect(two).toMatchObject({ id: '2', n: null, old: null });
        expect(String(two!['_airbyte_meta']).replaceAll(' ', '')).toMatch(/"field":"n".*DESTINATION_TYPECAST_ERROR|DESTINATION_TYPECAST_ERROR.*"field":"n"/);
        expect(logs.join()).toMatch(/the field "more" is new, and is not written/);
      });

      test('discard casts what fits', async () => {
        await change({ id: 'int64', n: 'int32' }, { id: 1, n: 7 }, { id: 'int64', n: 'text' }, { id: 2, n: '8' }, { policy: 'discard', key: ['id'] });
        expect(await rows('id n')).toEqual([{ id: '1', n: '7' }, { id: '2', n: '8' }]);
      });

      test('a history evolves like any table', async () => {
        await change({ id: 'int64', n: 'int32' }, { id: 1, n: 7 }, { id: 'int64', n: 'text', more: 'text' }, { id: 1, n: 'eight', more: 'y' }, { key: ['id'], history: 'scd2' });
        expect(await rows('id n n__text more is_current')).toEqual([
          { id: '1', n: '7', n__text: null, more: null, is_current: 'false' }, { id: '1', n: null, n__text: 'eight', more: 'y', is_current: 'true' },
        ]);
      });
    });

    describe('when all of it comes anew', () => {
      test('evolve takes the new types, and keeps dropped columns', async () => {
        await run({ id: 'int64', n: 'int32', old: 'text' }, [{ id: 1, n: 7, old: 'x' }], { anew: true });
        await run({ id: 'int64', n: 'text', more: 'text' }, [{ id: 2, n: 'seven', more: 'y' }], { anew: true });
        expect((await columns()).sort()).toEqual(['id', 'more', 'n', 'old']);
        expect(await rows('id n more old')).toEqual([{ id: '2', n: 'seven', more: 'y', old: null }]);
      });

      test('a key of another type, or another key, is taken', async () => {
        await run({ id: 'int64', n: 'int32' }, [{ id: 1, n: 7 }], { anew: true, key: ['id'] });
        await run({ id: 'uuid', n: 'int32' }, [{ id: '6f9619ff-8b86-d011-b42d-00c04fc964ff', n: 7 }], { anew: true, key: ['id'] });
        await run({ id: 'uuid', n: 'int32' }, [{ id: '6f9619ff-8b86-d011-b42d-00c04fc964ff', n: 8 }], { anew: true, key: ['n', 'id'] });
        expect(await rows('id n')).toEqual([{ id: '6f9619ff-8b86-d011-b42d-00c04fc964ff', n: '8' }]);
      });

      test('freeze leaves the old table as it is', async () => {
        await run({ id: 'int64' }, [{ id: 1 }], { anew: true });
        await expect(run({ id: 'int64', more: 'text' }, [{ id: 2, more: 'y' }], { anew: true, policy: 'freeze' })).rejects.toThrow(/the field "more" \(text\) is new/);
        expect(await rows('id')).toEqual([{ id: '1' }]);
      });

      test('discard and add_only keep the types of the table', async () => {
        await run({ id: 'int64', n: 'int32' }, [{ id: 1, n: 7 }], { anew: true });
        await run({ id: 'int64', n: 'int64', more: 'text' }, [{ id: 2, n: 8, more: 'y' }], { anew: true, policy: 'discard' });
        expect([await columns(), await rows('id n')]).toEqual([['id', 'n'], [{ id: '2', n: '8' }]]);
        await run({ id: 'int64', n: 'int64', more: 'text' }, [{ id: 3, n: 9, more: 'z' }], { anew: true, policy: 'add_only' });
        expect(await rows('id n n__int64 more')).toEqual([{ id: '3', n: null, n__int64: '9', more: 'z' }]);
      });

      test('the stream may change while it comes', async () => {
        await run({ id: 'int64', n: 'int32' }, [{ id: 1, n: 7 }], { anew: true, key: ['id'] });
        await run({ id: 'int64', n: 'int16' }, [{ id: 1, n: 3 }, { id: 2, n: 4 }, { $schema: { id: 'int64', n: 'int64', more: 'text' } }, { id: 2, n: 5_000_000_000, more: 'y' }], { anew: true, key: ['id'] });
        expect(await rows('id n more', 'id')).toEqual([{ id: '1', n: '3', more: null }, { id: '2', n: '5000000000', more: 'y' }]);
      });

      test('a history goes on, with the columns of both', async () => {
        const options = { key: ['id'], history: 'scd2', anew: true } as const;
        await run({ id: 'int64', n: 'int32' }, [{ id: 1, n: 7 }], options);
        await run({ id: 'int64', n: 'text' }, [{ id: 1, n: 'eight' }, { $schema: { id: 'int64', n: 'date', more: 'text' } }, { id: 2, n: '2026-11-20', more: 'y' }], options);
        const all = await rows('id n n__text n__date more is_current', '_airbyte_generation_id, _tapline_order');
        expect(all).toEqual([
          { id: '1', n: '7', n__text: null, n__date: null, more: null, is_current: 'false' },
          { id: '1', n: null, n__text: 'eight', n__date: null, more: null, is_current: 'true' },
          { id: '2', n: null, n__text: null, n__date: '2026-11-20', more: 'y', is_current: 'true' },
        ]);
      });
    });
  });
}

/** A value as text, whatever wider type it was given. */
const plain = (text: string): string =>
  (/^-?\d+([.]\d+)?$/.test(text) ? String(Number(text)) : /^\d{4}-/.test(text) ? text.replace(' ', 'T').replace(/T00:00:00$/, '') : text.toLowerCase());
