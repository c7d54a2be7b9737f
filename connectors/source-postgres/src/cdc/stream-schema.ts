/**
 * The columns of a stream as they change in the middle of it. They only grow: a new column is added, a wider type takes the place of a
 * narrower one, any other change of type goes to a column of its own, `name__<type>`, and a column that was dropped stays.
 */
import { columnsOf, formatLogicalType, isChangeColumn, isWidening, parseLogicalType, toJsonSchema, type LogicalType } from '@tapline/catalog';
import type { AirbyteStream } from '@tapline/protocol';
import { tableProperties } from './meta-columns.js';

export class StreamSchema {
  readonly #stream: AirbyteStream;
  readonly #types = new Map<string, LogicalType>();
  readonly #leftOut: ReadonlySet<string>;
  /** The user named the columns that are wanted: one that comes later is not. */
  readonly #only: boolean;
  /** Properties that every row has had under their names since the table was copied. */
  readonly #whole: Set<string>;
  #changed = false;

  /** `remembered`: what the records so far had, from the state, and which of it came `late`; the catalog tells what the table has now. */
  constructor(stream: AirbyteStream, remembered: Readonly<Record<string, string>> = {}, late: readonly string[] = []) {
    this.#stream = stream;
    const choice = stream['tapline'] as { left_out?: readonly string[]; only?: boolean } | undefined;
    this.#leftOut = new Set(choice?.left_out ?? []);
    this.#only = choice?.only ?? false;
    const now = new Map(columnsOf(stream).filter(({ name }) => !isChangeColumn(name)).map(({ name, type }) => [name, type]));
    for (const [name, text] of Object.entries(remembered)) {
      const type = parseLogicalType(text);
      if (!type || this.#leftOut.has(name)) continue;
      this.#types.set(name, type);
      const current = now.get(name);
      if (!current || formatLogicalType(current) !== text) this.#changed = true;
    }
    const known = [...this.#types.keys()].filter((name) => !late.includes(name));
    for (const [name, type] of now) if (!this.#types.has(name)) this.#types.set(name, type);
    this.#whole = new Set(known.length > 0 ? known : now.keys());
  }

  /** False: the user left the column out. */
  wants(column: string): boolean {
    return !this.#leftOut.has(column) && (!this.#only || this.#types.has(column));
  }

  /** Which property takes the values of a column of this type; undefined if the user left the column out. */
  propertyOf(column: string, type: LogicalType): string | undefined {
    if (!this.wants(column)) return undefined;
    for (let name = column, n = 1; ; n++) {
      const known = this.#types.get(name);
      if (!known || isWidening(known, type)) this.#set(name, type);
      else if (!same(known, type) && !isWidening(type, known)) {
        const suffix = formatLogicalType(type).replaceAll(/[^a-z0-9]+/g, '_').replace(/_$/, '');
        name = n === 1 ? `${column}__${suffix}` : `${column}__${suffix}_${n}`;
        continue;
      }
      return name;
    }
  }

  /**
   * These are all that the table has from here on. One that is not among them is never whole again, though it come back: under its old name
   * a destination has what the column held before it was renamed or dropped.
   */
  narrow(present: ReadonlySet<string>): void {
    for (const name of this.#whole) if (!present.has(name)) this.#whole.delete(name);
  }

  /** The destination has a value of it for every row: that it did not change tells what it is. */
  isWhole(property: string): boolean {
    return this.#whole.has(property);
  }

  /** The stream as it is now, if that was not told yet. */
  takeChange(): AirbyteStream | undefined {
    if (!this.#changed) return undefined;
    this.#changed = false;
    const properties = (this.#stream.json_schema['properties'] ?? {}) as Record<string, object>;
    const columns = [...this.#types].map(([name, type]) => [name, toJsonSchema(type)] as const);
    const meta = Object.entries(properties).filter(([name]) => isChangeColumn(name));
    return { ...this.#stream, json_schema: { ...this.#stream.json_schema, properties: Object.fromEntries([...columns, ...meta]) } };
  }

  /** How many columns. */
  get size(): number {
    return this.#types.size;
  }

  /** For the state. */
  get columns(): Record<string, string> {
    return Object.fromEntries([...this.#types].map(([name, type]) => [name, formatLogicalType(type)]));
  }

  /** For the state: those that are not whole. */
  get late(): string[] {
    return [...this.#types.keys()].filter((name) => !this.#whole.has(name));
  }

  #set(name: string, type: LogicalType): void {
    this.#types.set(name, type);
    this.#changed = true;
  }
}

const same = (a: LogicalType, b: LogicalType): boolean => formatLogicalType(a) === formatLogicalType(b);

/** Names of the columns that are configured. */
export const configuredNames = (stream: AirbyteStream): string[] => Object.keys(tableProperties(stream));
