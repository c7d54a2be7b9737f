import { formatLogicalType, isWidening } from '@tapline/catalog';
import { describe, expect, test } from 'vitest';
import { duckdbDialect } from '../dialects/duckdb.js';
import { postgresDialect } from '../dialects/postgres.js';
import type { TableChange } from './changes.js';
import { Dice } from './dice.test.support.js';
import { planTable, type SchemaPolicy } from './evolve.js';
import { planAddition } from './generations.js';
import { NameSet } from './names.js';
import { holds, sourcesOf } from './sources.js';
import { declared } from './stream-schema.test.support.js';
import type { TableColumn, TableShape } from './shape.js';

const fields = ['a', 'A', 'a__text', 'a__int64', 'b', 'ctid', '', 'x'.repeat(64), 'x'.repeat(65), 'a__text__2', 'é\0', 'valid_from', '_tapline_extra', '_airbyte_meta'];
const types = ['int16', 'int32', 'int64', 'decimal(12,2)', 'decimal(22,2)', 'decimal', 'text', 'uuid', 'date', 'timestamp', 'json', 'array<int32>', 'array<int64>', 'float32', 'float64'];

const randomForm = (dice: Dice): Record<string, string> =>
  Object.fromEntries(dice.shuffled(fields).slice(0, 1 + dice.below(fields.length)).map((field) => [field, dice.pick(types)]));

/** A form near the one before: as streams change. */
function nextForm(dice: Dice, form: Readonly<Record<string, string>>): Record<string, string> {
  const entries = Object.entries(form).filter(() => dice.below(8) > 0).map(([field, type]) => [field, dice.below(4) === 0 ? dice.pick(types) : type]);
  if (dice.below(2) === 0) entries.push([dice.pick(fields), dice.pick(types)]);
  return Object.fromEntries(dice.below(3) === 0 ? dice.shuffled(entries) : entries);
}

type Plain = Map<string, string>;
const plain = (columns: readonly TableColumn[]): Plain => new Map(columns.map(({ name, type }) => [name, formatLogicalType(type)]));

/** What the database has after the changes. */
function changed(before: Plain, changes: readonly TableChange[]): Plain {
  let now = new Map(before);
  for (const change of changes) {
    if (change.kind === 'create') now = plain(change.columns);
    else if (change.kind === 'add') {
      expect(now.has(change.column.name)).toBe(false);
      now.set(change.column.name, formatLogicalType(change.column.type));
    } else if (change.kind === 'widen') {
      expect(now.get(change.column)).toBe(formatLogicalType(change.from));
      now.set(change.column, formatLogicalType(change.to));
    }
  }
  return now;
}

const policies: readonly SchemaPolicy[] = ['evolve', 'add_only', 'discard'];
const cases = [duckdbDialect, postgresDialect].flatMap((dialect) => policies.map((policy) => [dialect.name, policy, dialect] as const));

describe.each(cases)('on %s, with schema=%s, however a stream changes', (_name, policy, dialect) => {
  const table = { schema: 'public', table: 'orders' };
  const base = { dialect, table, policy, deletes: 'hard' as const };

  test('its table is what the changes make of it, columns stay and grow, and every value has its place', () => {
    const dice = new Dice(63);
    for (let round = 0; round < 12; round++) {
      const history = dice.below(3) === 0;
      const stream = history ? { key: ['k'] } : {};
      let shape: TableShape | undefined;
      let database: Plain = new Map();
      let form = randomForm(dice);
      const forms: Record<string, string>[] = [];
      for (let step = 0; step < 12; step++) {
        const schema = declared({ k: 'int64', ...form }, stream);
        forms.push({ k: 'int64', ...form });
        const plan = planTable(shape, schema, { ...base, history });
        const before = shape;
        database = changed(database, plan.changes);
        shape = plan.shape;
        expect(Object.fromEntries(database)).toEqual(Object.fromEntries(plain(shape.columns)));
        const names = new NameSet(dialect);
        for (const { name } of shape.columns) {
          expect(names.has(name)).toBe(false);
          names.add(name);
        }
        for (const column of before?.columns ?? []) {
          const now = shape.columns.find(({ name }) => name === column.name)!;
          expect(formatLogicalType(now.type) === formatLogicalType(column.type) || (policy === 'evolve' && isWidening(column.type, now.type))).toBe(true);
        }
        if (policy === 'discard' && before) expect(plan.changes).toEqual([]);
        if (policy === 'add_only') expect(plan.changes.some(({ kind }) => kind === 'widen')).toBe(false);
        // Once more changes nothing.
        const again = planTable(shape, schema, { ...base, history });
        expect(again.changes).toEqual([]);
        expect(again.shape).toEqual(shape);
        // Files of this form, and of all before it.
        for (const earlier of policy === 'discard' ? [] : forms) {
          const { plan: file } = declared(earlier, stream);
          const sources = sourcesOf(shape, file);
          expect(sources.map(({ column }) => column.name)).toEqual(shape.columns.map(({ name }) => name));
          for (const planned of file.columns) {
            const source = sources.filter(({ from }) => from === planned.name);
            expect(source).toHaveLength(1);
            expect(source[0]).toMatchObject({ lossy: false, type: planned.type });
            expect(holds(source[0]!.column.type, planned.type)).toBe(true);
          }
        }
        form = nextForm(dice, form);
      }
    }
  });

  test('rows of a generation find their columns in the table that they are added to', () => {
    const dice = new Dice(64);
    for (let round = 0; round < 12; round++) {
      let form = randomForm(dice);
      let recorded = planTable(undefined, declared(form), { ...base, history: false }).shape;
      for (let step = dice.below(4); step > 0; step--) recorded = planTable(recorded, declared(form = nextForm(dice, form)), { ...base, history: false }).shape;
      // One that takes the table's place has its columns, with the types of now.
      const next = declared(nextForm(dice, form));
      const fresh = planTable(recorded, next, { ...base, history: false, open: true, fresh: true, table: { schema: '_tapline', table: 'g3_a_b' } });
      expect(fresh.changes).toEqual([{ kind: 'create', columns: fresh.shape.columns, key: [], index: [] }]);
      expect(fresh.shape.columns.map(({ name }) => name)).toEqual(expect.arrayContaining(recorded.columns.map(({ name }) => name)));
      expect(new Set(fresh.shape.columns.map(({ name }) => (dialect.caseSensitive ? name : name.toLowerCase()))).size).toBe(fresh.shape.columns.length);
      for (const planned of next.plan.columns) {
        const column = fresh.shape.columns.find(({ field }) => field === planned.field);
        if (policy === 'evolve') expect(column).toMatchObject({ type: planned.type });
        else if (policy === 'add_only') expect(holds(column!.type, planned.type)).toBe(true);
      }
      let open: TableShape | undefined;
      for (let step = dice.below(5); step >= 0; step--) {
        form = nextForm(dice, form);
        open = planTable(open ?? recorded, declared(form), { ...base, history: false, open: true, table: { schema: '_tapline', table: 'g2_a_b' } }).shape;
      }
      const { shape, changes } = planAddition(recorded, open!, table);
      expect(Object.fromEntries(changed(plain(recorded.columns), changes))).toEqual(Object.fromEntries(plain(shape.columns)));
      for (const column of open!.columns) {
        const target = shape.columns.find(({ name }) => name === column.name)!;
        expect(holds(target.type, column.type)).toBe(true);
      }
      expect(planTable(shape, declared(form), { ...base, history: false }).changes).toEqual([]);
    }
  });
});
