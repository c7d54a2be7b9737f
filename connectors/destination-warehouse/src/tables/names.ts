/** The names of schemas, tables and columns: as the source has them where the engine lets them be, else made safe. The registry tells what became of which. */
import { createHash } from 'node:crypto';
import { heldName, sync8 } from '@tapline/columnar';
import { configError, streamKey, type StreamDescriptor } from '@tapline/protocol';
import type { Dialect, TableName } from '../dialects/dialect.js';
import { encodeName } from './stored-names.js';

/** Where all that is ours lies: the checkpoint, the registry, tables of open generations. No stream's table is put there. */
export const ownSchema = '_tapline';

/** `{namespace}` and `{stream}` stand for the stream's own names. */
export interface NamePatterns {
  /** Default: `{namespace}`. What comes out empty is the dialect's default schema. */
  readonly schema?: string | undefined;
  /** Default: `{stream}`. */
  readonly table?: string | undefined;
}

/** The stream's table by the patterns. Throws a `config_error` for a pattern with an unknown placeholder. */
export function tableOf(stream: StreamDescriptor, dialect: Dialect, patterns: NamePatterns = {}): TableName {
  const { schema, table } = spelled(stream, dialect, patterns);
  return { schema: safeSchema(schema, dialect), table: safeTable(table, dialect) };
}

/**
 * The table of each stream, by its `streamKey`. `recorded`: the names that streams of this sync have already, which they keep.
 * Streams whose names differ in case only get tables of their own where the engine takes the names for one. Throws a `config_error`
 * that names both where the patterns put two streams into one table.
 */
export function tablesOf(streams: readonly StreamDescriptor[], { dialect, patterns = {}, recorded = new Map() }: TablesOptions): Map<string, TableName> {
  const tables = new Map<string, TableName>();
  const taken = new Map<string, StreamDescriptor>();
  const exact = new Map<string, StreamDescriptor>();
  const wanted = streams.map((stream) => {
    const key = streamKey(stream);
    const plain = tableOf(stream, dialect, patterns);
    const second = (): TableName => ({ schema: plain.schema, table: shortened(spelled(stream, dialect, patterns).table, dialect) });
    const before = recorded.get(key);
    const isBefore = (name: TableName): boolean => before?.schema === name.schema && before.table === name.table;
    return { stream, key, plain, second, kept: isBefore(plain) ? plain : before && isBefore(second()) ? before : undefined };
  });
  // Streams that are not in this run have their tables, too.
  const keys = new Set(wanted.map(({ key }) => key));
  const others = new Map([...recorded].filter(([key]) => !keys.has(key)).map(([, table]) => [identity(table, dialect), table]));
  const isHeld = (name: TableName): boolean => {
    const other = others.get(identity(name, dialect));
    return other !== undefined && !(other.schema === name.schema && other.table === name.table);
  };
  // Who has a table keeps it, whoever else may come.
  wanted.sort((a, b) => Number(b.kept !== undefined) - Number(a.kept !== undefined) || (a.key < b.key ? -1 : 1));
  for (const { stream, key, plain, second, kept } of wanted) {
    const spelling = JSON.stringify([plain.schema, plain.table]);
    const other = exact.get(spelling);
    if (other && streamKey(other) !== key) throw oneTable([other, stream], plain);
    exact.set(spelling, stream);
    const table = kept ?? (taken.has(identity(plain, dialect)) || isHeld(plain) ? second() : plain);
    const holder = taken.get(identity(table, dialect));
    if (holder && streamKey(holder) !== key) throw oneTable([holder, stream], table);
    taken.set(identity(table, dialect), stream);
    tables.set(key, table);
  }
  return tables;
}

export interface TablesOptions {
  readonly dialect: Dialect;
  readonly patterns?: NamePatterns;
  readonly recorded?: ReadonlyMap<string, TableName>;
}

/** What tells one table from another in this engine. */
export const identity = ({ schema, table }: TableName, dialect: Dialect): string => JSON.stringify([fold(schema, dialect), fold(table, dialect)]);

export interface OpenTableNameOptions {
  readonly sync: string;
  readonly stream: StreamDescriptor;
  readonly generation: number;
  /** The stream's own table, which it may become. */
  readonly table: TableName;
  readonly dialect: Dialect;
}

/** The table of a generation that is open: `_tapline.g3_5f0c1a2b_90d6e8f4`; beside the stream's own, `_tapline_g3_…`, where the engine cannot move a table to another schema. */
export function openTableName({ sync, stream, generation, table: { schema }, dialect }: OpenTableNameOptions): TableName {
  const name = `g${generation}_${sync8(sync)}_${hash8(streamKey(stream))}`;
  return dialect.movesBetweenSchemas ? { schema: ownSchema, table: name } : { schema, table: `${ownSchema}_${name}` };
}

/** Whose table it is; undefined = it is no table of a generation. */
export function parseOpenTableName(table: string): { readonly generation: number; readonly sync8: string; readonly stream8: string } | undefined {
  const match = /^(?:_tapline_)?g(\d+)_([0-9a-f]{8})_([0-9a-f]{8})$/.exec(table);
  return match ? { generation: Number(match[1]), sync8: match[2]!, stream8: match[3]! } : undefined;
}

/** A name for a column that none of `taken` has: `wanted`, or made safe, or with `__2`, `__3` … behind it. */
export function columnName(wanted: string, dialect: Dialect, taken: NameSet): string {
  const safe = safeName(wanted, dialect);
  if (!taken.has(safe) && !dialect.isReservedColumn(safe)) return safe;
  for (let n = 2; ; n++) {
    const name = safeName(`${wanted}__${n}`, dialect);
    if (!taken.has(name) && !dialect.isReservedColumn(name)) return name;
  }
}

/** Names as the engine tells them apart. */
export class NameSet {
  readonly #dialect: Dialect;
  readonly #names = new Set<string>();

  constructor(dialect: Dialect, names: Iterable<string> = []) {
    this.#dialect = dialect;
    for (const name of names) this.add(name);
  }

  add(name: string): void {
    this.#names.add(fold(name, this.#dialect));
  }

  has(name: string): boolean {
    return this.#names.has(fold(name, this.#dialect));
  }
}

/** A name as it is if the engine holds it; else cut, or with its characters replaced, and told apart by 8 digits of the whole name's hash. */
export function safeName(name: string, { maxNameBytes }: Pick<Dialect, 'maxNameBytes'>): string {
  const clean = heldName(name);
  if (clean === name && clean !== '' && Buffer.byteLength(clean) <= (maxNameBytes ?? Infinity)) return clean;
  return shortened(name, { maxNameBytes });
}

function shortened(name: string, { maxNameBytes }: Pick<Dialect, 'maxNameBytes'>): string {
  const clean = heldName(name);
  const suffix = `_${hash8(name)}`;
  return cut(clean, (maxNameBytes ?? Infinity) - suffix.length) + suffix;
}

/** The first characters that fit into so many bytes. */
function cut(text: string, bytes: number): string {
  if (Buffer.byteLength(text) <= bytes) return text;
  let kept = '';
  let used = 0;
  for (const character of text) {
    used += Buffer.byteLength(character);
    if (used > bytes) break;
    kept += character;
  }
  return kept;
}

/** Names that begin like ours are not for streams. */
const safeTable = (name: string, dialect: Dialect): string => safeName(name.toLowerCase().startsWith(ownSchema) ? `_${name}` : name, dialect);

function safeSchema(name: string, dialect: Dialect): string {
  if (name === '') return dialect.defaultSchema;
  let safe = safeName(name, dialect);
  while (dialect.isReservedSchema(safe) || fold(safe, dialect) === ownSchema) safe = safeName(`_${safe}`, dialect);
  return safe;
}

function spelled(stream: StreamDescriptor, dialect: Dialect, { schema = '{namespace}', table = '{stream}' }: NamePatterns): TableName {
  const values: Readonly<Record<string, string>> = { namespace: stream.namespace ?? '', stream: stream.name };
  const fill = (pattern: string, option: string): string => pattern.replaceAll(/\{([^{}]*)\}/g, (_, placeholder: string) => {
    const value = Object.hasOwn(values, placeholder) ? values[placeholder] : undefined;
    if (value === undefined) throw configError(`${option}: '{${placeholder}}' is not known; there are {namespace} and {stream}`, { code: 'bad_pattern' });
    return value;
  });
  return { schema: fill(schema, 'schema_name') || dialect.defaultSchema, table: fill(table, 'table_name') };
}

export const oneTable = ([a, b]: readonly [StreamDescriptor, StreamDescriptor], { schema, table }: TableName): Error => configError(
  `the streams ${streamKey(a)} and ${streamKey(b)} would be written to one table, ${streamKey({ namespace: schema, name: table })}: `
  + 'put {namespace} or {stream} into schema_name or table_name, so that each has its own',
  { code: 'one_table', stream: b },
);

const fold = (name: string, { caseSensitive }: Pick<Dialect, 'caseSensitive'>): string => (caseSensitive ? name : name.toLowerCase());
// Of UTF-8, where two halves of surrogate pairs would be one.
const hash8 = (name: string): string => createHash('sha256').update(encodeName(name)).digest('hex').slice(0, 8);
