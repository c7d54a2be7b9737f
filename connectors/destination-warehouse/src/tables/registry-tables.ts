/** The registry as two tables of the database: `_tapline._tapline_tables`, a row a table, and `_tapline._tapline_columns`. */
import { formatLogicalType, parseLogicalType } from '@tapline/catalog';
import { configError } from '@tapline/protocol';
import type { ColumnType, NewColumn, TableName } from '../dialects/dialect.js';
import type { Row, Scalar, Warehouse } from '../warehouse.js';
import { existingRelation } from './existing.js';
import { identity, ownSchema } from './names.js';
import { ensureOwnTable } from './own-table.js';
import { decodeName, encodeName } from './stored-names.js';
import type { TableColumn, TableShape, WriteMode } from './shape.js';

export interface RegisteredTable {
  readonly shape: TableShape;
  /** Of a generation that is open; undefined = the stream's own table. */
  readonly generation: number | undefined;
}

const tablesTable: TableName = { schema: ownSchema, table: '_tapline_tables' };
const columnsTable: TableName = { schema: ownSchema, table: '_tapline_columns' };

const text: ColumnType = { kind: 'text' };
const column = (name: string, type: ColumnType = text, nullable = true): NewColumn => ({ name, type, nullable });

const tablesColumns: readonly NewColumn[] = [
  column('table_schema', text, false), column('table_name', text, false), column('sync', text, false), column('stream_namespace'), column('stream_name', text, false),
  column('generation', { kind: 'int', bits: 64 }), column('write_mode', text, false), column('key_columns', text, false), column('primary_key', { kind: 'boolean' }, false),
  column('cursor_column'), column('deletes'),
];
const columnsColumns: readonly NewColumn[] = [
  column('table_schema', text, false), column('table_name', text, false), column('column_name', text, false), column('position', { kind: 'int', bits: 32 }, false),
  column('type', text, false), column('field'), column('origin'),
];

/** Rows of one INSERT: servers bound its parameters. */
const rowsAtOnce = 1000;

export class RegistryTables {
  readonly #warehouse: Warehouse;

  constructor(warehouse: Warehouse) {
    this.#warehouse = warehouse;
  }

  /** Outside of a transaction. */
  async ensure(): Promise<void> {
    await ensureOwnTable(this.#warehouse, tablesTable, tablesColumns);
    await ensureOwnTable(this.#warehouse, columnsTable, columnsColumns);
  }

  /** Some sync wrote already. */
  async exist(): Promise<boolean> {
    return (await existingRelation(this.#warehouse, columnsTable)) !== undefined;
  }

  /** All of a sync's. */
  async read(sync: string): Promise<RegisteredTable[]> {
    const { dialect } = this.#warehouse;
    const tables = await this.#warehouse.run(`SELECT * FROM ${dialect.table(tablesTable)} WHERE sync = $1`, [encodeName(sync)]);
    const columns = await this.#warehouse.run(
      `SELECT c.* FROM ${dialect.table(columnsTable)} c JOIN ${dialect.table(tablesTable)} t ON t.table_schema = c.table_schema AND t.table_name = c.table_name `
      + 'WHERE t.sync = $1 ORDER BY c.table_schema, c.table_name, c.position', [encodeName(sync)],
    );
    const byTable = new Map<string, TableColumn[]>();
    for (const row of columns) {
      const key = identity(nameOf(row), dialect);
      const known = byTable.get(key);
      if (known) known.push(columnOf(row));
      else byTable.set(key, [columnOf(row)]);
    }
    return tables.map((row) => ({
      shape: shapeOf(row, byTable.get(identity(nameOf(row), dialect)) ?? []),
      generation: row['generation'] === null ? undefined : Number(row['generation']),
    }));
  }

  /** The sync that has a table in its records. */
  async writerOf(table: TableName): Promise<string | undefined> {
    const { dialect } = this.#warehouse;
    const rows = await this.#warehouse.run(`SELECT table_schema, table_name, sync FROM ${dialect.table(tablesTable)} WHERE lower(table_name) = lower($1)`, [table.table]);
    const row = rows.find((one) => identity(nameOf(one), dialect) === identity(table, dialect));
    return row && decodeName(String(row['sync']));
  }

  /** In the transaction that is open; so is `remove`. */
  async insert(sync: string, { shape, generation }: RegisteredTable): Promise<void> {
    const { stream, table: { schema, table } } = shape;
    await this.#insert(tablesTable, tablesColumns, [[
      schema, table, encodeName(sync), stream.namespace ? encodeName(stream.namespace) : null, encodeName(stream.name), generation ?? null,
      shape.write, JSON.stringify(shape.key), shape.primaryKey, shape.cursor ?? null, shape.deletes ?? null,
    ]]);
    await this.#insert(columnsTable, columnsColumns, shape.columns.map(({ name, type, field, origin = field }, i) => [
      schema, table, name, i + 1, formatLogicalType(type), field === undefined ? null : encodeName(field), origin === undefined ? null : encodeName(origin),
    ]));
  }

  async remove({ schema, table }: TableName): Promise<void> {
    for (const own of [columnsTable, tablesTable]) {
      await this.#warehouse.run(`DELETE FROM ${this.#warehouse.dialect.table(own)} WHERE table_schema = $1 AND table_name = $2`, [schema, table]);
    }
  }

  async #insert(table: TableName, columns: readonly NewColumn[], rows: readonly (readonly Scalar[])[]): Promise<void> {
    const { dialect } = this.#warehouse;
    const names = columns.map(({ name }) => dialect.quote(name)).join(', ');
    for (let at = 0; at < rows.length; at += rowsAtOnce) {
      const part = rows.slice(at, at + rowsAtOnce);
      const values = part.map((row, i) => `(${row.map((_, j) => `$${i * columns.length + j + 1}`).join(', ')})`).join(', ');
      await this.#warehouse.run(`INSERT INTO ${dialect.table(table)} (${names}) VALUES ${values}`, part.flat());
    }
  }
}

const nameOf = (row: Row): TableName => ({ schema: String(row['table_schema']), table: String(row['table_name']) });
const nameOrNot = (value: unknown): string | undefined => (typeof value === 'string' ? decodeName(value) : undefined);

function columnOf(row: Row): TableColumn {
  const type = parseLogicalType(String(row['type']));
  if (!type) throw configError(`the registry in ${ownSchema} names a type that this version does not know, '${String(row['type'])}': a newer version wrote it; use that one`, { code: 'registry_newer' });
  return { name: String(row['column_name']), type, field: nameOrNot(row['field']), origin: nameOrNot(row['origin']) };
}

function shapeOf(row: Row, columns: readonly TableColumn[]): TableShape {
  const namespace = nameOrNot(row['stream_namespace']);
  const deletes = row['deletes'];
  return {
    stream: { name: decodeName(String(row['stream_name'])), ...(namespace === undefined ? {} : { namespace }) },
    table: nameOf(row), columns, write: String(row['write_mode']) as WriteMode, key: JSON.parse(String(row['key_columns'])) as string[],
    primaryKey: row['primary_key'] === true, cursor: typeof row['cursor_column'] === 'string' ? row['cursor_column'] : undefined,
    deletes: deletes === 'hard' || deletes === 'soft' ? deletes : undefined,
  };
}
