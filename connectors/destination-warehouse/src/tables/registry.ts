/**
 * Which tables are this sync's, and what became of its streams' names and types: `_tapline._tapline_tables` and
 * `_tapline._tapline_columns`. What they say changes in the transaction that changes the tables, so they are never at odds.
 */
import { formatLogicalType, parseLogicalType } from '@tapline/catalog';
import { streamKey, systemError, type StreamDescriptor } from '@tapline/protocol';
import type { ColumnType, NewColumn, TableName } from '../dialects/dialect.js';
import type { Row, Scalar, Warehouse } from '../warehouse.js';
import { schemaExists, existingRelation } from './existing.js';
import { identity, ownSchema, tablesOf, type NamePatterns } from './names.js';
import { requireFree, requireOurs, requireSamePlace } from './ownership.js';
import { decodeName, encodeName } from './stored-names.js';
import type { TableColumn, TableShape, WriteMode } from './shape.js';

export interface RegisteredTable {
  readonly shape: TableShape;
  /** Of a generation that is open; undefined = the stream's own table. */
  readonly generation: number | undefined;
}

export interface RegistryOptions {
  /** The sync's name. */
  readonly sync: string;
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

export class Registry {
  readonly #warehouse: Warehouse;
  readonly #sync: string;
  /** By the table's identity. */
  #tables = new Map<string, RegisteredTable>();

  private constructor(warehouse: Warehouse, { sync }: RegistryOptions) {
    this.#warehouse = warehouse;
    this.#sync = sync;
  }

  /** Makes the schema `_tapline` and the registry's tables where they are missing, and reads what is there. Outside of a transaction, before anything else of this file. */
  static async open(warehouse: Warehouse, options: RegistryOptions): Promise<Registry> {
    await ensureOwnTable(warehouse, tablesTable, tablesColumns);
    await ensureOwnTable(warehouse, columnsTable, columnsColumns);
    const registry = new Registry(warehouse, options);
    await registry.read();
    return registry;
  }

  /** As `open`, for who only looks: undefined where no sync ever wrote. */
  static async look(warehouse: Warehouse, options: RegistryOptions): Promise<Registry | undefined> {
    if (!(await existingRelation(warehouse, columnsTable))) return undefined;
    const registry = new Registry(warehouse, options);
    await registry.read();
    return registry;
  }

  /** Reads all of this sync's again: after `open`, and after a transaction that was rolled back. */
  async read(): Promise<void> {
    const sync = encodeName(this.#sync);
    const { dialect } = this.#warehouse;
    const tables = await this.#warehouse.run(`SELECT * FROM ${dialect.table(tablesTable)} WHERE sync = $1`, [sync]);
    const columns = await this.#warehouse.run(
      `SELECT c.* FROM ${dialect.table(columnsTable)} c JOIN ${dialect.table(tablesTable)} t ON t.table_schema = c.table_schema AND t.table_name = c.table_name `
      + 'WHERE t.sync = $1 ORDER BY c.table_schema, c.table_name, c.position', [sync],
    );
    const byTable = new Map<string, TableColumn[]>();
    for (const row of columns) {
      const key = identity(nameOf(row), dialect);
      byTable.set(key, [...(byTable.get(key) ?? []), columnOf(row)]);
    }
    this.#tables = new Map(tables.map((row) => {
      const key = identity(nameOf(row), dialect);
      return [key, { shape: shapeOf(row, byTable.get(key) ?? []), generation: row['generation'] === null ? undefined : Number(row['generation']) }];
    }));
  }

  get tables(): readonly RegisteredTable[] {
    return [...this.#tables.values()];
  }

  /** The stream's own table; undefined = nothing of it was ever complete. */
  of(stream: StreamDescriptor): TableShape | undefined {
    return this.tables.find(({ shape, generation }) => generation === undefined && streamKey(shape.stream) === streamKey(stream))?.shape;
  }

  /** The table of a generation that is open. */
  ofOpen(stream: StreamDescriptor, generation: number): TableShape | undefined {
    return this.tables.find((one) => one.generation === generation && streamKey(one.shape.stream) === streamKey(stream))?.shape;
  }

  /** Tables of generations of the stream that are open. */
  openOf(stream: StreamDescriptor): readonly RegisteredTable[] {
    return this.tables.filter(({ shape, generation }) => generation !== undefined && streamKey(shape.stream) === streamKey(stream));
  }

  /**
   * The table of each stream, by its `streamKey`: as `tablesOf`, with the names that are recorded. Throws a `config_error` for two streams of one table, and, but for
   * streams of `fresh` (by key: all of their rows come anew), where the patterns name another table than the one that holds the stream's rows.
   */
  tablesOf(streams: readonly StreamDescriptor[], patterns: NamePatterns, fresh: ReadonlySet<string> = new Set()): Map<string, TableName> {
    const { dialect } = this.#warehouse;
    const recorded = new Map(this.tables.filter(({ generation }) => generation === undefined).map(({ shape }) => [streamKey(shape.stream), shape.table]));
    const tables = tablesOf(streams, { dialect, patterns, recorded });
    for (const stream of streams) {
      const before = recorded.get(streamKey(stream));
      const now = tables.get(streamKey(stream))!;
      if (before && !fresh.has(streamKey(stream)) && identity(before, dialect) !== identity(now, dialect)) requireSamePlace(stream, before, now);
    }
    return tables;
  }

  /**
   * Holds the table for the stream against what the database has: a `config_error` where another sync's table, or anything that is not ours,
   * goes by that name; where a table of ours is gone, or became something else. Returns the names of columns that it has and that are not ours.
   */
  async claim(stream: StreamDescriptor, table: TableName): Promise<readonly string[]> {
    const relation = await existingRelation(this.#warehouse, table);
    const ours = this.#tables.get(identity(table, this.#warehouse.dialect));
    if (!ours) {
      requireFree(stream, table, { relation, writer: relation && (await this.#writerOf(table)), location: this.#warehouse.location });
      return [];
    }
    return requireOurs(stream, ours.shape, { relation, dialect: this.#warehouse.dialect, location: this.#warehouse.location });
  }

  /** Another sync that has the table in its records, or another stream of this one. */
  async #writerOf(table: TableName): Promise<string | undefined> {
    const { dialect } = this.#warehouse;
    const rows = await this.#warehouse.run(`SELECT table_schema, table_name, sync FROM ${dialect.table(tablesTable)} WHERE lower(table_name) = lower($1)`, [table.table]);
    const row = rows.find((one) => identity(nameOf(one), dialect) === identity(table, dialect));
    return row && decodeName(String(row['sync']));
  }

  /** Writes down a table, and what it is, in the transaction that is open. `generation`: it is that of a generation that is open. Nothing is written where it stands so already. */
  async save(shape: TableShape, generation?: number): Promise<void> {
    const key = identity(shape.table, this.#warehouse.dialect);
    const before = this.#tables.get(key);
    if (before && before.generation === generation && sameShape(before.shape, shape)) return;
    await this.remove(shape.table);
    const { schema, table } = shape.table;
    const { stream } = shape;
    await this.#insert(tablesTable, tablesColumns, [[
      schema, table, encodeName(this.#sync), stream.namespace ? encodeName(stream.namespace) : null, encodeName(stream.name), generation ?? null,
      shape.write, JSON.stringify(shape.key), shape.primaryKey, shape.cursor ?? null, shape.deletes ?? null,
    ]]);
    await this.#insert(columnsTable, columnsColumns, shape.columns.map(({ name, type, field, origin = field }, i) => [
      schema, table, name, i + 1, formatLogicalType(type), field === undefined ? null : encodeName(field), origin === undefined ? null : encodeName(origin),
    ]));
    this.#tables.set(key, { shape, generation });
  }

  /** The table of a generation became the stream's own: its record goes on as `shape`'s, and those of both names go. In the transaction that is open. */
  async rename(from: TableName, shape: TableShape): Promise<void> {
    await this.remove(from);
    const other = this.of(shape.stream);
    // It went to another name: what lies under the old one is nobody's from now on.
    if (other && identity(other.table, this.#warehouse.dialect) !== identity(shape.table, this.#warehouse.dialect)) await this.remove(other.table);
    await this.save(shape);
  }

  /** Forgets a table, in the transaction that is open. */
  async remove(name: TableName): Promise<void> {
    const { dialect } = this.#warehouse;
    for (const table of [columnsTable, tablesTable]) {
      await this.#warehouse.run(`DELETE FROM ${dialect.table(table)} WHERE table_schema = $1 AND table_name = $2`, [name.schema, name.table]);
    }
    this.#tables.delete(identity(name, dialect));
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

/** Makes a table of ours, and the schema, where they are missing. Two syncs may begin at once: who comes second finds it there. */
export async function ensureOwnTable(warehouse: Warehouse, table: TableName, columns: readonly NewColumn[], key: readonly string[] = []): Promise<void> {
  const make = async (exists: () => Promise<boolean>, statements: readonly string[]): Promise<void> => {
    if (await exists()) return;
    try {
      for (const statement of statements) await warehouse.run(statement);
    } catch (error) {
      if (!(await exists())) throw error;
    }
  };
  await make(() => schemaExists(warehouse, table.schema), [warehouse.dialect.createSchema(table.schema)]);
  await make(async () => (await existingRelation(warehouse, table)) !== undefined, warehouse.dialect.createTable(table, columns, key));
}

const nameOf = (row: Row): TableName => ({ schema: String(row['table_schema']), table: String(row['table_name']) });
const nameOrNot = (value: unknown): string | undefined => (typeof value === 'string' ? decodeName(value) : undefined);

function columnOf(row: Row): TableColumn {
  const type = parseLogicalType(String(row['type']));
  if (!type) throw systemError(`the registry in ${ownSchema} names a type that this version does not know, '${String(row['type'])}': a newer version wrote it; use that one`, { code: 'registry_newer' });
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

const sameShape = (a: TableShape, b: TableShape): boolean => canonical(a) === canonical(b);
const canonical = ({ stream, table, columns, write, key, primaryKey, cursor, deletes }: TableShape): string => JSON.stringify([
  streamKey(stream), table.schema, table.table, columns.map(({ name, type, field, origin = field }) => [name, formatLogicalType(type), field ?? null, origin ?? null]),
  write, key, primaryKey, cursor ?? null, deletes ?? null,
]);
