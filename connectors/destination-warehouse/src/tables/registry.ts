/**
 * Which tables are this sync's, and what became of its streams' names and types: `_tapline._tapline_tables` and
 * `_tapline._tapline_columns`. What they say changes in the transaction that changes the tables, so they are never at odds.
 */
import { formatLogicalType, parseLogicalType } from '@tapline/catalog';
import { generationKey } from '@tapline/columnar';
import { streamKey, systemError, type StreamDescriptor } from '@tapline/protocol';
import type { ColumnType, NewColumn, TableName } from '../dialects/dialect.js';
import type { Row, Scalar, Warehouse } from '../warehouse.js';
import { schemaExists, existingRelation } from './existing.js';
import { identity, oneTable, ownSchema, tableOf, tablesOf, type NamePatterns } from './names.js';
import { movedTable, requireFree, requireOurs } from './ownership.js';
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
  /** Of schemas and tables. */
  readonly patterns?: NamePatterns | undefined;
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
  readonly #patterns: NamePatterns;
  /** By the table's identity. */
  #tables = new Map<string, RegisteredTable>();
  readonly #declared = new Map<string, StreamDescriptor>();
  /** By what the patterns make of their names. */
  readonly #spelled = new Map<string, StreamDescriptor>();
  /** By stream, of this run. */
  #names = new Map<string, TableName>();
  /** All that are declared have a name. */
  #isNamed = true;
  /** Tables that were held against the database, with the columns that are not ours. */
  readonly #claimed = new Map<string, readonly string[]>();

  private constructor(warehouse: Warehouse, { sync, patterns = {} }: RegistryOptions) {
    this.#warehouse = warehouse;
    this.#sync = sync;
    this.#patterns = patterns;
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
      const known = byTable.get(key);
      if (known) known.push(columnOf(row));
      else byTable.set(key, [columnOf(row)]);
    }
    this.#tables = new Map(tables.map((row) => {
      const key = identity(nameOf(row), dialect);
      return [key, { shape: shapeOf(row, byTable.get(key) ?? []), generation: row['generation'] === null ? undefined : Number(row['generation']) }];
    }));
  }

  get tables(): readonly RegisteredTable[] {
    return [...this.#tables.values()];
  }

  /** The stream's own table, by its `streamKey`; undefined = nothing of it was ever complete. */
  shapeOf(key: string): TableShape | undefined {
    return this.tables.find(({ shape, generation }) => generation === undefined && streamKey(shape.stream) === key)?.shape;
  }

  /** The table of a generation that is open. */
  openShapeOf(key: string, generation: number): TableShape | undefined {
    return this.tables.find((one) => one.generation === generation && streamKey(one.shape.stream) === key)?.shape;
  }

  /**
   * A stream of this run, before any `tableFor` of it; all of the catalog before the first, so that names do not hang on who comes first.
   * Throws a `config_error` that names both where the patterns put two streams into one table, and for a pattern that makes no sense.
   */
  declare(stream: StreamDescriptor): void {
    const key = streamKey(stream);
    if (this.#declared.has(key)) return;
    const plain = tableOf(stream, this.#warehouse.dialect, this.#patterns);
    const spelling = JSON.stringify([plain.schema, plain.table]);
    const other = this.#spelled.get(spelling);
    if (other) throw oneTable([other, stream], plain);
    this.#spelled.set(spelling, stream);
    this.#declared.set(key, stream);
    this.#isNamed = false;
  }

  /**
   * Where the stream's rows are seen, held against what the database has once a run: a `config_error` where another sync's table, or anything that is not
   * ours, goes by that name; where the stream's table is gone or became something else; where the patterns name another table than the one with its rows.
   * `replaced`: all of its rows come anew, in the place of whatever the table was; so only what is not ours is in the way.
   */
  async tableFor(stream: StreamDescriptor, { replaced = false }: { readonly replaced?: boolean } = {}): Promise<TableName> {
    this.declare(stream);
    const { dialect } = this.#warehouse;
    const wanted = this.#nameOf(streamKey(stream));
    const before = this.shapeOf(streamKey(stream))?.table;
    const stays = before !== undefined && identity(before, dialect) === identity(wanted, dialect);
    if (before && !stays && !replaced) throw movedTable(stream, before, wanted);
    const table = stays ? before : wanted;
    const key = `${replaced ? 'replaced ' : ''}${identity(table, dialect)}`;
    if (!this.#claimed.has(key)) this.#claimed.set(key, await this.#claim(stream, table, replaced));
    return table;
  }

  #nameOf(key: string): TableName {
    if (!this.#isNamed) {
      const own = this.tables.filter(({ generation }) => generation === undefined).map(({ shape }) => [streamKey(shape.stream), shape.table] as const);
      // Who has a name in this run keeps it.
      this.#names = tablesOf([...this.#declared.values()], { dialect: this.#warehouse.dialect, patterns: this.#patterns, recorded: new Map([...this.#names, ...own]) });
      this.#isNamed = true;
    }
    return this.#names.get(key)!;
  }

  /** Names of columns that somebody added to the stream's table: for `planTable`, after `tableFor`. */
  foreignColumns(table: TableName): readonly string[] {
    return this.#claimed.get(identity(table, this.#warehouse.dialect)) ?? [];
  }

  async #claim(stream: StreamDescriptor, table: TableName, replaced: boolean): Promise<readonly string[]> {
    const relation = await existingRelation(this.#warehouse, table);
    const ours = this.#tables.get(identity(table, this.#warehouse.dialect));
    const { location, dialect } = this.#warehouse;
    if (!ours || streamKey(ours.shape.stream) !== streamKey(stream)) {
      requireFree(stream, table, { relation, writer: relation && (await this.#writerOf(table)), other: ours?.shape.stream, location });
      return [];
    }
    return requireOurs(stream, ours.shape, { relation, dialect, location, replaced });
  }

  /** Another sync that has the table in its records, or another stream of this one. */
  async #writerOf(table: TableName): Promise<string | undefined> {
    const { dialect } = this.#warehouse;
    const rows = await this.#warehouse.run(`SELECT table_schema, table_name, sync FROM ${dialect.table(tablesTable)} WHERE lower(table_name) = lower($1)`, [table.table]);
    const row = rows.find((one) => identity(nameOf(one), dialect) === identity(table, dialect));
    return row && decodeName(String(row['sync']));
  }

  /**
   * Writes down a stream's own table, and what it is, in the transaction that is open. What was recorded of the stream under another name is forgotten:
   * that table is nobody's from now on. Nothing is written where it stands so already.
   */
  async save(shape: TableShape): Promise<void> {
    const before = this.shapeOf(streamKey(shape.stream));
    if (before && identity(before.table, this.#warehouse.dialect) !== identity(shape.table, this.#warehouse.dialect)) await this.#remove(before.table);
    await this.#save(shape, undefined);
  }

  /** The table of an open generation, likewise. */
  async saveOpen(generation: number, shape: TableShape): Promise<void> {
    await this.#save(shape, generation);
  }

  /** Forgets the table of an open generation, in the transaction that is open. */
  async removeOpen(key: string, generation: number): Promise<void> {
    const shape = this.openShapeOf(key, generation);
    if (shape) await this.#remove(shape.table);
  }

  /** Drops tables of generations that are not open any more, in a transaction of its own. `open`: `generationKey`s that the checkpoint names. */
  async dropOrphans(open: ReadonlySet<string>): Promise<void> {
    const orphans = this.tables.filter(({ shape, generation }) => generation !== undefined && !open.has(generationKey(streamKey(shape.stream), generation)));
    if (orphans.length === 0) return;
    await this.#warehouse.transaction(async () => {
      for (const { shape: { table } } of orphans) {
        if (await existingRelation(this.#warehouse, table)) for (const statement of this.#warehouse.dialect.dropTable(table)) await this.#warehouse.run(statement);
        await this.#remove(table);
      }
    });
  }

  async #save(shape: TableShape, generation: number | undefined): Promise<void> {
    const key = identity(shape.table, this.#warehouse.dialect);
    const before = this.#tables.get(key);
    if (before && before.generation === generation && sameShape(before.shape, shape)) return;
    await this.#remove(shape.table);
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

  async #remove(name: TableName): Promise<void> {
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
