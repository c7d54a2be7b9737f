/**
 * Random DML and DDL over tables with a column of every type: what a stream of changes has to reproduce. Where a change of the
 * table alters rows that no change in the log tells about (a default, a new name, a new type), all rows are touched behind it, as
 * the documentation asks for.
 */
import type pg from 'pg';
import type { Random } from '../chaos/random.js';
import type { TypeCase } from './types-matrix.js';

interface Column {
  readonly name: string;
  readonly type: string;
  /** SQL expressions. */
  readonly values: readonly string[];
  /** May change its type, to one that its values can be read as. */
  readonly family?: 'number' | 'time' | 'truth';
}

interface Model {
  readonly table: string;
  columns: Column[];
  ids: number[];
}

const numbers = Array.from({ length: 20 }, (_, i) => `'${i * 37}'`);
const days = Array.from({ length: 20 }, (_, i) => `'2026-01-${String(i + 1).padStart(2, '0')}'`);
const changing: readonly Column[] = [
  { name: 'x_small', type: 'smallint', values: numbers, family: 'number' },
  { name: 'x_int', type: 'int', values: numbers, family: 'number' },
  { name: 'x_real', type: 'real', values: numbers, family: 'number' },
  { name: 'x_price', type: 'numeric(12,2)', values: numbers, family: 'number' },
  { name: 'x_text', type: 'text', values: numbers, family: 'number' },
  { name: 'x_day', type: 'date', values: days, family: 'time' },
  { name: 'x_flag', type: 'boolean', values: [`'true'`, `'false'`], family: 'truth' },
];
const types: Readonly<Record<NonNullable<Column['family']>, readonly string[]>> = {
  number: ['smallint', 'int', 'bigint', 'real', 'double precision', 'numeric(12,2)', 'numeric(20,4)', 'numeric', 'text', 'varchar(30)', 'jsonb'],
  time: ['date', 'timestamp', 'timestamptz', 'text'],
  truth: ['boolean', 'text'],
};

/** Where the name was a timestamp's once, a date that no timestamp holds becomes null, and a change of its row. */
const heldByTimestamps = (column: Column): Column => (column.type === 'date' ? { ...column, values: column.values.filter((value) => !value.includes('5874897')) } : column);

export interface RandomChanges {
  readonly tables: readonly string[];
  /** SQL that makes the tables; the types of the matrix are there. */
  readonly seed: string;
  /** What was done, for a test that fails. */
  readonly history: readonly string[];
  /** One transaction, in a session with the settings of the matrix. */
  transaction(client: pg.Client): Promise<void>;
}

export function randomChanges(cases: readonly TypeCase[], random: Random): RandomChanges {
  const matrix: Column[] = cases.map(({ column, type, values }) => ({ name: column, type, values }));
  const models: Model[] = ['plain', 'whole', 'parts'].map((table) => ({ table, columns: [...matrix, ...changing], ids: [] }));
  const columns = [...matrix, ...changing].map(({ name, type }) => `"${name}" ${type}`).join(', ');
  const history: string[] = [];
  let serial = 0;

  const valueOf = ({ values, type }: Column): string => (random.below(6) === 0 ? 'NULL' : `(${random.pick(values)})::${type}`);
  const some = <T>(from: readonly T[], count: number): T[] => Array.from(new Set(Array.from({ length: count }, () => random.pick(from))));

  const insert = (model: Model): string => {
    const id = 1 + ++serial;
    model.ids.push(id);
    const chosen = random.below(3) === 0 ? model.columns : some(model.columns, 12);
    return `INSERT INTO ${model.table} (id, ${chosen.map(({ name }) => `"${name}"`).join(', ')}) VALUES (${id}, ${chosen.map(valueOf).join(', ')})`;
  };
  const update = (model: Model): string => {
    const chosen = some(model.columns, 1 + random.below(4));
    return `UPDATE ${model.table} SET ${chosen.map((column) => `"${column.name}" = ${valueOf(column)}`).join(', ')} WHERE id = ${random.pick(model.ids)}`;
  };
  const dml = (model: Model): string => {
    if (model.ids.length < 5) return insert(model);
    switch (random.below(12)) {
      case 0: case 1: case 2: return insert(model);
      case 3: {
        const id = random.pick(model.ids);
        model.ids = model.ids.filter((one) => one !== id);
        return `DELETE FROM ${model.table} WHERE id = ${id}`;
      }
      case 4: {
        const id = random.pick(model.ids);
        const other = 1 + ++serial;
        model.ids = model.ids.map((one) => (one === id ? other : one));
        return `UPDATE ${model.table} SET id = ${other} WHERE id = ${id}`;
      }
      case 5: return `UPDATE ${model.table} SET id = id WHERE id % 3 = 0`;
      default: return update(model);
    }
  };
  const touch = (model: Model): string => `UPDATE ${model.table} SET id = id`;
  const ddl = (model: Model): string[] => {
    const alter = `ALTER TABLE ${model.table}`;
    const fresh = (): string => `c${++serial}`;
    const replace = (old: Column, column: Column): void => void (model.columns = model.columns.map((one) => (one === old ? column : one)));
    switch (random.below(8)) {
      case 0: case 1: {
        const column = { ...random.pick(matrix), name: fresh() };
        model.columns.push(column);
        return [`${alter} ADD "${column.name}" ${column.type}`];
      }
      case 2: {
        const column = { name: fresh(), type: 'int', values: numbers, family: 'number' as const };
        model.columns.push(column);
        return [`${alter} ADD "${column.name}" int NOT NULL DEFAULT 7`, `${alter} ALTER "${column.name}" DROP NOT NULL`, touch(model)];
      }
      case 3: {
        const column = random.pick(model.columns);
        model.columns = model.columns.filter((one) => one !== column);
        return [`${alter} DROP "${column.name}"`];
      }
      case 4: {
        const column = random.pick(model.columns);
        const name = fresh();
        replace(column, { ...column, name });
        return [`${alter} RENAME "${column.name}" TO "${name}"`, touch(model)];
      }
      case 5: {
        const column = random.pick(model.columns);
        const other = heldByTimestamps(random.pick(matrix));
        replace(column, { ...other, name: column.name });
        return [`${alter} DROP "${column.name}"`, `${alter} ADD "${column.name}" ${other.type}`, touch(model)];
      }
      default: {
        const able = model.columns.filter((one) => one.family);
        const column = random.pick(able);
        if (!column) return [];
        const type = random.pick(types[column.family!].filter((one) => one !== column.type));
        replace(column, { ...column, type });
        // By way of numeric and text: not every two types are cast to each other.
        const using = column.family === 'number' && !['text', 'varchar(30)', 'jsonb'].includes(type) ? `("${column.name}"::text::numeric)::${type}` : `("${column.name}"::text)::${type}`;
        return [`${alter} ALTER "${column.name}" DROP DEFAULT`, `${alter} ALTER "${column.name}" TYPE ${type} USING ${using}`, touch(model)];
      }
    }
  };

  return {
    tables: models.map(({ table }) => table),
    history,
    seed: `CREATE TABLE plain (id int PRIMARY KEY, ${columns});
      CREATE TABLE whole (id int PRIMARY KEY, ${columns}); ALTER TABLE whole REPLICA IDENTITY FULL;
      CREATE TABLE parts (id int PRIMARY KEY, ${columns}) PARTITION BY RANGE (id);
      CREATE TABLE parts_low PARTITION OF parts FOR VALUES FROM (0) TO (60); CREATE TABLE parts_high PARTITION OF parts DEFAULT;`,
    async transaction(client) {
      const run = async (statement: string): Promise<void> => {
        history.push(statement.slice(0, 200));
        await client.query(statement);
      };
      await run('BEGIN');
      for (let left = 1 + random.below(6); left > 0; left--) {
        const model = random.pick(models);
        const statements = (): string[] => (random.below(5) === 0 ? ddl(model) : [dml(model)]);
        if (random.below(8) > 0) {
          for (const statement of statements()) await run(statement);
          continue;
        }
        // Tried, and taken back.
        const before = { columns: [...model.columns], ids: [...model.ids] };
        await run('SAVEPOINT tried');
        for (const statement of statements()) await run(statement);
        await run('ROLLBACK TO SAVEPOINT tried');
        Object.assign(model, before);
      }
      if (random.below(150) === 0) {
        const model = random.pick(models);
        model.ids = [];
        await run(`TRUNCATE ${model.table}`);
      }
      await run('COMMIT');
    },
  };
}
