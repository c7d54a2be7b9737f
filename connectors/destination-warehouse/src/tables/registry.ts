/**
 * Which tables are this sync's, and what became of its streams' names and types: `_tapline._tapline_tables` and
 * `_tapline._tapline_columns`. What they say changes in the transaction that changes the tables, so they are never at odds.
 */
import { formatLogicalType } from '@tapline/catalog';
import { generationKey } from '@tapline/columnar';
import { streamKey, type StreamDescriptor } from '@tapline/protocol';
import type { TableName } from '../dialects/dialect.js';
import { runAll } from '../run-all.js';
import type { Warehouse } from '../warehouse.js';
import { existingRelation, existingRelations, type ExistingRelation } from './existing.js';
import { KnownTables } from './known-tables.js';
import { identity, oneTable, tableOf, tablesOf, type NamePatterns } from './names.js';
import { movedTable, requireFree, requireOurs } from './ownership.js';
import { RegistryTables, type RegisteredTable } from './registry-tables.js';
import type { TableShape } from './shape.js';

export interface RegistryOptions {
  /** The sync's name. */
  readonly sync: string;
  /** Of schemas and tables. */
  readonly patterns?: NamePatterns | undefined;
}

export class Registry {
  readonly #warehouse: Warehouse;
  readonly #stored: RegistryTables;
  readonly #sync: string;
  readonly #patterns: NamePatterns;
  #tables: KnownTables;
  readonly #declared = new Map<string, StreamDescriptor>();
  /** By what the patterns make of their names. */
  readonly #spelled = new Map<string, StreamDescriptor>();
  /** By stream, of this run. */
  #names = new Map<string, TableName>();
  /** All that are declared have a name. */
  #isNamed = true;
  /** What the database had, of the schemas that were looked into. */
  readonly #relations = new Map<string, ExistingRelation>();
  readonly #looked = new Set<string>();
  /** Tables whose record this run has written. */
  readonly #written = new Set<string>();
  /** Tables that were held against the database, with the columns that are not ours. */
  readonly #claimed = new Map<string, readonly string[]>();

  private constructor(warehouse: Warehouse, { sync, patterns = {} }: RegistryOptions) {
    this.#warehouse = warehouse;
    this.#tables = new KnownTables(warehouse.dialect);
    this.#stored = new RegistryTables(warehouse);
    this.#sync = sync;
    this.#patterns = patterns;
  }

  /** Makes the schema `_tapline` and the registry's tables where they are missing, and reads what is there. Outside of a transaction, before anything else of this file. */
  static async open(warehouse: Warehouse, options: RegistryOptions): Promise<Registry> {
    const registry = new Registry(warehouse, options);
    await registry.#stored.ensure();
    await registry.read();
    return registry;
  }

  /** As `open`, for who only looks: undefined where no sync ever wrote. */
  static async look(warehouse: Warehouse, options: RegistryOptions): Promise<Registry | undefined> {
    const registry = new Registry(warehouse, options);
    if (!(await registry.#stored.exist())) return undefined;
    await registry.read();
    return registry;
  }

  /** Reads all of this sync's again: after a transaction that was rolled back. */
  async read(): Promise<void> {
    const tables = await this.#stored.read(this.#sync);
    for (const known of [this.#relations, this.#looked, this.#written, this.#claimed]) known.clear();
    this.#tables = new KnownTables(this.#warehouse.dialect, tables);
  }

  get tables(): readonly RegisteredTable[] {
    return this.#tables.all;
  }

  /** The stream's own table, by its `streamKey`; undefined = nothing of it was ever complete. */
  shapeOf(key: string): TableShape | undefined {
    return this.#tables.of(key, undefined)?.shape;
  }

  /** The table of a generation that is open. */
  openShapeOf(key: string, generation: number): TableShape | undefined {
    return this.#tables.of(key, generation)?.shape;
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
   * `replaced`: all of its rows come anew, in the place of whatever the table was; so only what is not ours is in the way. A table that is gone is
   * forgotten then. A history goes on all the same.
   */
  async tableFor(stream: StreamDescriptor, { replaced = false }: { readonly replaced?: boolean } = {}): Promise<TableName> {
    this.declare(stream);
    const { dialect } = this.#warehouse;
    const wanted = this.#nameOf(streamKey(stream));
    const before = await this.#tableBefore(streamKey(stream), replaced);
    const goesOn = !replaced || before?.write === 'history';
    const stays = before !== undefined && identity(before.table, dialect) === identity(wanted, dialect);
    if (before && !stays && goesOn) throw movedTable(before, wanted);
    const table = stays ? before.table : wanted;
    const key = `${goesOn ? '' : 'replaced '}${identity(table, dialect)}`;
    if (!this.#claimed.has(key)) this.#claimed.set(key, await this.#claim(stream, table, !goesOn));
    return table;
  }

  async #tableBefore(key: string, replaced: boolean): Promise<TableShape | undefined> {
    const before = this.shapeOf(key);
    if (!before || !replaced || this.#written.has(identity(before.table, this.#warehouse.dialect)) || (await this.#relation(before.table))) return before;
    await this.#remove(before.table);
    return undefined;
  }

  /** As it was when this run first looked into its schema; tables that this run has written are there. */
  async #relation(table: TableName): Promise<ExistingRelation | undefined> {
    const { dialect } = this.#warehouse;
    if (!this.#looked.has(table.schema)) {
      const names = [table, ...this.#names.values(), ...this.tables.map(({ shape }) => shape.table)];
      const unseen = new Set(names.map(({ schema }) => schema).filter((schema) => !this.#looked.has(schema)));
      for (const [key, relation] of await existingRelations(this.#warehouse, unseen)) this.#relations.set(key, relation);
      for (const schema of unseen) this.#looked.add(schema);
    }
    return this.#relations.get(identity(table, dialect));
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
    const { location, dialect } = this.#warehouse;
    const ours = this.#tables.at(table);
    if (ours && this.#written.has(identity(table, dialect))) return [];
    const relation = await this.#relation(table);
    if (!ours || streamKey(ours.shape.stream) !== streamKey(stream)) {
      requireFree(stream, table, { relation, writer: relation && (await this.#stored.writerOf(table)), other: ours?.shape.stream, location });
      return [];
    }
    return requireOurs(stream, ours.shape, { relation, dialect, location, replaced });
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

  /**
   * Drops tables of generations that are not open any more, in a transaction of its own, which begins with `claim`: it rejects where another writer took
   * over, whose tables they may be. `open`: `generationKey`s that the checkpoint names.
   */
  async dropOrphans(open: ReadonlySet<string>, claim: () => Promise<unknown>): Promise<void> {
    const orphans = this.tables.filter(({ shape, generation }) => generation !== undefined && !open.has(generationKey(streamKey(shape.stream), generation)));
    if (orphans.length === 0) return;
    await this.#warehouse.transaction(async () => {
      await claim();
      for (const { shape: { table } } of orphans) {
        if (await existingRelation(this.#warehouse, table)) await runAll(this.#warehouse, this.#warehouse.dialect.dropTable(table));
        await this.#remove(table);
      }
    });
  }

  async #save(shape: TableShape, generation: number | undefined): Promise<void> {
    const before = this.#tables.at(shape.table);
    if (before && before.generation === generation && sameShape(before.shape, shape)) return;
    await this.#remove(shape.table);
    await this.#stored.insert(this.#sync, { shape, generation });
    this.#tables.set({ shape, generation });
    this.#written.add(identity(shape.table, this.#warehouse.dialect));
  }

  async #remove(table: TableName): Promise<void> {
    await this.#stored.remove(table);
    this.#tables.delete(table);
  }
}

const sameShape = (a: TableShape, b: TableShape): boolean => canonical(a) === canonical(b);
const canonical = ({ stream, table, columns, write, key, primaryKey, cursor, deletes }: TableShape): string => JSON.stringify([
  streamKey(stream), table.schema, table.table, columns.map(({ name, type, field, origin = field }) => [name, formatLogicalType(type), field ?? null, origin ?? null]),
  write, key, primaryKey, cursor ?? null, deletes ?? null,
]);
