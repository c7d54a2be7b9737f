/** The tables that are recorded of a sync, found by what they are asked for: by name, and by stream. */
import { streamKey } from '@tapline/protocol';
import type { Dialect, TableName } from '../dialects/dialect.js';
import { identity } from './names.js';
import type { RegisteredTable } from './registry-tables.js';

export class KnownTables {
  readonly #dialect: Dialect;
  readonly #byName = new Map<string, RegisteredTable>();
  readonly #byStream = new Map<string, RegisteredTable>();

  constructor(dialect: Dialect, tables: Iterable<RegisteredTable> = []) {
    this.#dialect = dialect;
    for (const table of tables) this.set(table);
  }

  get all(): readonly RegisteredTable[] {
    return [...this.#byName.values()];
  }

  at(name: TableName): RegisteredTable | undefined {
    return this.#byName.get(identity(name, this.#dialect));
  }

  /** `key`: the stream's `streamKey`; `generation`: undefined = the stream's own table. */
  of(key: string, generation: number | undefined): RegisteredTable | undefined {
    return this.#byStream.get(ofStream(key, generation));
  }

  /** In the place of what has its name. */
  set(table: RegisteredTable): void {
    const { shape, generation } = table;
    this.delete(shape.table);
    this.#byName.set(identity(shape.table, this.#dialect), table);
    this.#byStream.set(ofStream(streamKey(shape.stream), generation), table);
  }

  delete(name: TableName): void {
    const table = this.at(name);
    if (!table) return;
    this.#byName.delete(identity(name, this.#dialect));
    const key = ofStream(streamKey(table.shape.stream), table.generation);
    if (this.#byStream.get(key) === table) this.#byStream.delete(key);
  }
}

const ofStream = (key: string, generation: number | undefined): string => `${generation ?? ''}#${key}`;
