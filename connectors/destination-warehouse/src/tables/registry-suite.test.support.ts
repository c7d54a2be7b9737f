/** What the registry and the changes of tables must do on a real engine. */
import { formatLogicalType, isWidening, parseLogicalType, type LogicalType } from '@tapline/catalog';
import { streamKey, type StreamDescriptor } from '@tapline/protocol';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Row, Warehouse } from '../warehouse.js';
import { applyChanges, creationOf } from './changes.js';
import { Dice } from './dice.test.support.js';
import { planTable, type PlanOptions, type TablePlan } from './evolve.js';
import { existingRelation, schemaExists } from './existing.js';
import { closedShape } from './generations.js';
import { openTableName } from './names.js';
import { Registry } from './registry.js';
import { declared } from './stream-schema.test.support.js';
import type { TableShape } from './shape.js';

export interface RegistrySuite {
  /** An empty database. */
  open(): Promise<{ readonly warehouse: Warehouse; dispose(): Promise<void> }>;
}


export function registrySuite(engine: string, { open }: RegistrySuite): void {
  describe(`the registry in ${engine}`, () => {
    let opened: Awaited<ReturnType<RegistrySuite['open']>>;
    let warehouse: Warehouse;
    let sync = '';
    let registry: Registry;
    let schemas = 0;
    beforeAll(async () => {
      opened = await open();
      ({ warehouse } = opened);
    });
    afterAll(() => opened.dispose());
    let namespace = '';
    let stream: StreamDescriptor;
    beforeEach(async () => {
      // Of each test its own.
      namespace = `shop${++schemas}`;
      stream = { namespace, name: 'orders' };
      sync = `sync-${schemas}`;
      registry = await Registry.open(warehouse, { sync });
    });

    const options = (given: Partial<PlanOptions> = {}): PlanOptions =>
      ({ dialect: warehouse.dialect, table: { schema: namespace, table: 'orders' }, policy: 'evolve', history: false, deletes: 'hard', ...given });
    const schema = (fields: Readonly<Record<string, string>>, keys: readonly string[] = []) => declared(fields, { namespace, ...(keys.length > 0 ? { key: keys } : {}) });

    /** As a commit does. */
    async function commit(planned: TablePlan): Promise<TableShape> {
      await warehouse.transaction(async () => {
        const table = await registry.tableFor(stream);
        await applyChanges(warehouse, table, planned.changes);
        await registry.save(planned.shape);
      });
      return planned.shape;
    }

    const run = async (...statements: readonly string[]): Promise<Row[]> => {
      let rows: Row[] = [];
      for (const statement of statements) rows = await warehouse.run(statement);
      return rows;
    };
    const quoted = (schemaName: string, table: string): string => warehouse.dialect.table({ schema: schemaName, table });
    const reopened = (): Promise<Registry> => Registry.open(warehouse, { sync });

    test('what is recorded is read again as it was, every type of it', async () => {
      const types = ['boolean', 'int16', 'int32', 'int64', 'float32', 'float64', 'decimal(12,2)', 'decimal', 'text', 'bytes', 'date', 'time', 'timestamp', 'timestamptz', 'interval', 'uuid', 'json', 'array<array<int64>>'];
      const fields = Object.fromEntries(types.map((type, i) => [`c${i}`, type]));
      const shape = await commit(planTable(undefined, schema({ ...fields, ctid: 'text', 'nul\0': 'text', '"quoted"': 'text', _ab_cdc_deleted_at: 'timestamptz' }, ['c3', 'c8']), options()));
      const read = (await reopened()).shapeOf(streamKey(stream))!;
      expect(read).toEqual(shape);
      const relation = await existingRelation(warehouse, shape.table);
      expect(relation).toMatchObject({ kind: 'table' });
      expect(relation!.columns.map((column) => column.name)).toEqual(shape.columns.map((column) => column.name));
    });

    test('what a transaction recorded that was rolled back is not there', async () => {
      const planned = planTable(undefined, schema({ id: 'int64' }), options());
      await expect(warehouse.transaction(async () => {
        await applyChanges(warehouse, planned.shape.table, planned.changes);
        await registry.save(planned.shape);
        throw new Error('no');
      })).rejects.toThrow('no');
      expect((await reopened()).tables).toEqual([]);
      await registry.read();
      expect(registry.tables).toEqual([]);
      expect(await schemaExists(warehouse, namespace)).toBe(false);
      await commit(planned);
    });

    test('two syncs see their own tables only, and neither writes to the other\'s', async () => {
      await commit(planTable(undefined, schema({ id: 'int64' }), options()));
      const other = await Registry.open(warehouse, { sync: `${sync}-other` });
      expect(other.tables).toEqual([]);
      await expect(other.tableFor(stream)).rejects.toMatchObject({
        code: 'table_of_another_sync', message: expect.stringContaining(`the table ${namespace}.orders in ${warehouse.location} is written by the sync '${sync}': write to another place by schema_name or table_name`),
      });
      const beside = await Registry.open(warehouse, { sync: `${sync}-other`, patterns: { table: 'other_{stream}' } });
      expect(await beside.tableFor(stream)).toEqual({ schema: namespace, table: 'other_orders' });
    });

    test('a table or view that somebody else made is not touched, and the ways on are said', async () => {
      await run(warehouse.dialect.createSchema(namespace), `CREATE TABLE ${quoted(namespace, 'orders')} (id int)`, `CREATE VIEW ${quoted(namespace, 'lines')} AS SELECT 1 AS id`);
      await expect(registry.tableFor(stream)).rejects.toMatchObject({
        kind: 'config_error', code: 'table_not_ours', message: expect.stringMatching(/there is a table .*\.orders in .* that this sync did not make: rename or drop it, or write to another place by schema_name or table_name/),
      });
      await expect(registry.tableFor({ namespace, name: 'lines' }, { replaced: true })).rejects.toThrow(/there is a view/);
      expect(await registry.tableFor({ namespace, name: 'free' })).toEqual({ schema: namespace, table: 'free' });
    });

    test('a table of ours that became a view, is gone, or lost a column is told, unless all of it comes anew', async () => {
      const shape = await commit(planTable(undefined, schema({ id: 'int64', note: 'text' }), options()));
      const table = quoted(namespace, 'orders');
      await run(`ALTER TABLE ${table} DROP COLUMN note`);
      await expect((await reopened()).tableFor(stream)).rejects.toMatchObject({ code: 'table_altered', message: expect.stringContaining('has the column "note" no more') });
      expect(await (await reopened()).tableFor(stream, { replaced: true })).toEqual(shape.table);
      await run(`DROP TABLE ${table}`);
      await expect((await reopened()).tableFor(stream)).rejects.toMatchObject({ code: 'table_gone', message: expect.stringContaining('run with --full-refresh') });
      await run(`CREATE VIEW ${table} AS SELECT 1 AS id`);
      await expect((await reopened()).tableFor(stream)).rejects.toThrow(/was its table, and is a view now/);
      await expect((await reopened()).tableFor(stream, { replaced: true })).rejects.toThrow(/was its table, and is a view now/);
      await run(`DROP VIEW ${table}`);
      registry = await reopened();
      expect(await registry.tableFor(stream, { replaced: true })).toEqual(shape.table);
      expect(registry.shapeOf(streamKey(stream))).toBeUndefined();
    });

    test('columns that somebody added to our table stay theirs', async () => {
      const before = await commit(planTable(undefined, schema({ id: 'int64' }), options()));
      await run(`ALTER TABLE ${quoted(namespace, 'orders')} ADD COLUMN mine int`);
      registry = await reopened();
      const table = await registry.tableFor(stream);
      expect(registry.foreignColumns(table)).toEqual(['mine']);
      const now = planTable(before, schema({ id: 'int64', mine: 'text' }), options({ foreign: registry.foreignColumns(table) }));
      await commit(now);
      expect((await existingRelation(warehouse, table))!.columns.map((column) => column.name)).toEqual(expect.arrayContaining(['id', 'mine', 'mine__2']));
    });

    test('where the patterns change, the rows that are there are not forgotten', async () => {
      await commit(planTable(undefined, schema({ id: 'int64' }), options()));
      const moved = await Registry.open(warehouse, { sync, patterns: { table: 'raw_{stream}' } });
      await expect(moved.tableFor(stream)).rejects.toMatchObject({ code: 'table_moved', message: expect.stringContaining(`put it into ${namespace}.raw_orders, but its rows are in ${namespace}.orders`) });
      const table = await moved.tableFor(stream, { replaced: true });
      const planned = planTable(moved.shapeOf(streamKey(stream)), schema({ id: 'int64' }), options({ table, fresh: true }));
      await warehouse.transaction(async () => {
        await applyChanges(warehouse, table, planned.changes);
        await moved.save(planned.shape);
      });
      // The old one is left alone, and is nobody's.
      expect(await existingRelation(warehouse, { schema: namespace, table: 'orders' })).toBeDefined();
      expect((await Registry.open(warehouse, { sync })).tables.map(({ shape }) => shape.table.table)).toEqual(['raw_orders']);
    });

    test('a generation has its own table until it takes the place of the stream\'s; one that nobody finishes goes', async () => {
      const before = await commit(planTable(undefined, schema({ id: 'int64' }, ['id']), options()));
      const name = (generation: number) => openTableName({ sync, stream, generation, table: before.table, dialect: warehouse.dialect });
      const planned = planTable(before, schema({ id: 'int64', note: 'text' }, ['id']), options({ table: name(2), open: true, fresh: true }));
      const abandoned = planTable(before, schema({ id: 'int64' }, ['id']), options({ table: name(1), open: true, fresh: true }));
      await warehouse.transaction(async () => {
        for (const [generation, { shape, changes }] of [[1, abandoned], [2, planned]] as const) {
          await applyChanges(warehouse, shape.table, changes);
          await registry.saveOpen(generation, shape);
        }
      });
      registry = await reopened();
      expect(registry.openShapeOf(streamKey(stream), 2)).toEqual(planned.shape);
      expect(registry.shapeOf(streamKey(stream))).toEqual(before);
      // A writer that was replaced drops nothing: the tables are another's.
      await expect(registry.dropOrphans(new Set(), () => Promise.reject(new Error('fenced')))).rejects.toThrow('fenced');
      expect(await existingRelation(warehouse, name(2))).toBeDefined();
      registry = await reopened();
      await registry.dropOrphans(new Set([`${streamKey(stream)}#2`]), () => Promise.resolve());
      expect(await existingRelation(warehouse, name(1))).toBeUndefined();
      expect((await reopened()).openShapeOf(streamKey(stream), 1)).toBeUndefined();
      await warehouse.transaction(async () => {
        await run(...warehouse.dialect.dropColumn(name(2), '_tapline_unchanged'));
        await warehouse.replaceTable(name(2), before.table);
        await registry.removeOpen(streamKey(stream), 2);
        await registry.save(closedShape(planned.shape, before.table));
      });
      registry = await reopened();
      expect(registry.tables).toHaveLength(1);
      const shape = registry.shapeOf(streamKey(stream))!;
      expect(await registry.tableFor(stream)).toEqual(before.table);
      expect((await existingRelation(warehouse, shape.table))!.columns.map((column) => column.name).sort()).toEqual(shape.columns.map((column) => column.name).sort());
    });

    test('a thousand streams are named and told apart at once', async () => {
      const began = performance.now();
      for (let i = 0; i < 1000; i++) registry.declare({ namespace, name: `stream ${'x'.repeat(60)} ${i}` });
      const table = await registry.tableFor({ namespace, name: `stream ${'x'.repeat(60)} 999` });
      expect(performance.now() - began).toBeLessThan(10_000);
      expect(table.schema).toBe(namespace);
      expect(() => registry.declare({ namespace: namespace.toUpperCase(), name: 'a' })).not.toThrow();
      const one = await Registry.open(warehouse, { sync, patterns: { schema: namespace } });
      one.declare({ namespace: 'a', name: 'orders' });
      expect(() => one.declare({ namespace: 'b', name: 'orders' })).toThrow(/the streams a\.orders and b\.orders would be written to one table/);
    });

    test('streams whose names differ in case only have tables of their own, over runs', async () => {
      const upper = { namespace, name: 'ORDERS' };
      registry.declare(stream);
      await commit(planTable(undefined, schema({ id: 'int64' }), options()));
      registry = await reopened();
      registry.declare(upper);
      registry.declare(stream);
      expect((await registry.tableFor(stream)).table).toBe('orders');
      expect((await registry.tableFor(upper)).table).toMatch(/^ORDERS/);
      // What another stream left is not written over, though that one is not in this run.
      const same = await Registry.open(warehouse, { sync, patterns: { schema: namespace, table: 'orders' } });
      await expect(same.tableFor({ name: 'lines' })).rejects.toThrow(`holds the rows of ${streamKey(stream)}, which this sync wrote`);
    });

    test('every widening keeps the values that are there', async () => {
      const samples: Readonly<Record<string, string>> = {
        int16: '-32768', int32: '2147483647', int64: '9223372036854775807', float32: '1.5', float64: '2.5', 'decimal(5,2)': '-123.45', 'decimal(12,2)': '1234567890.12',
        date: `DATE '2026-11-20'`, uuid: `'6f9619ff-8b86-d011-b42d-00c04fc964ff'`, interval: `'01:02:03'`, 'array<int32>': `'[1,2]'`, 'array<int64>': `'[1,2]'`,
        decimal: `'123456789012345678901234567890123456789012345.5'`,
      };
      const targets = [...Object.keys(samples), 'decimal(38,2)', 'timestamp', 'text', 'json'];
      let pairs = 0;
      for (const from of Object.keys(samples)) {
        for (const to of targets) {
          const [before, now] = [parseLogicalType(from)!, parseLogicalType(to)!];
          if (from === to || !isWidening(before, now)) continue;
          pairs++;
          const table = { schema: namespace, table: `w${pairs}` };
          const shape = { ...planTable(undefined, schema({ v: from }), options({ table })).shape };
          await applyChanges(warehouse, table, [creationOf(shape)]);
          await run(`INSERT INTO ${warehouse.dialect.table(table)} (v) VALUES (${samples[from]!}), (NULL)`);
          await warehouse.transaction(() => applyChanges(warehouse, table, [{ kind: 'widen', column: 'v', from: before, to: now }]));
          const [row] = await run(`SELECT count(v) AS n, count(*) AS all_of_them, bool_and(v = ${castTo(now, samples[from]!)}) AS same FROM ${warehouse.dialect.table(table)}`);
          expect({ from, to, n: Number(row!['n']), all: Number(row!['all_of_them']), same: row!['same'] }).toEqual({ from, to, n: 1, all: 2, same: true });
        }
      }
      expect(pairs).toBeGreaterThan(20);
    });

    const castTo = (type: LogicalType, value: string): string => `CAST(${value} AS ${warehouse.dialect.type(type)})`;

    test('however a stream changes, its table is what the registry says', async () => {
      const dice = new Dice(65);
      const types = ['int16', 'int32', 'int64', 'decimal(12,2)', 'decimal', 'text', 'uuid', 'date', 'timestamp', 'json', 'float32', 'float64'];
      const fields = ['a', 'A', 'a__text', 'ctid', '', 'x'.repeat(64), 'x'.repeat(65), 'select', 'a"b', 'é\0'];
      let shape: TableShape | undefined;
      for (let step = 0; step < 15; step++) {
        const form = Object.fromEntries(dice.shuffled(fields).slice(0, 6).map((field) => [field, dice.pick(types)]));
        shape = await commit(planTable(shape, schema({ k: 'int64', ...form }, ['k']), options()));
        await run(`INSERT INTO ${warehouse.dialect.table(shape.table)} (k, _tapline_order) VALUES (${step}, 'o')`);
        const relation = (await existingRelation(warehouse, shape.table))!;
        const expected = Object.fromEntries(shape.columns.map(({ name, type }) => [name, warehouse.dialect.type(type)]));
        expect(relation.columns.map((column) => column.name)).toEqual(expect.arrayContaining(Object.keys(expected)));
        expect(relation.columns).toHaveLength(Object.keys(expected).length);
        for (const column of relation.columns) expect([column.name, spelled(column.type)]).toEqual([column.name, spelled(expected[column.name]!)]);
        registry = await reopened();
        expect(registry.shapeOf(streamKey(stream))!.columns.map(({ name, type, field, origin }) => [name, formatLogicalType(type), field, origin]))
          .toEqual(shape.columns.map(({ name, type, field, origin }) => [name, formatLogicalType(type), field, origin]));
      }
    });
  });
}

/** Engines have several names for a type. */
const spelled = (type: string): string => {
  const aliases: Readonly<Record<string, string>> = {
    'timestamp with time zone': 'timestamptz', 'timestamp without time zone': 'timestamp', 'time without time zone': 'time', float: 'real',
  };
  const name = type.toLowerCase().replaceAll(' collate "c"', '');
  return aliases[name] ?? name;
};
