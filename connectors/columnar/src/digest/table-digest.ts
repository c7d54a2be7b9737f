/** The digest of one stream in a lake: its files become 64 bytes a row, and those are folded. */
import {
  checksumText, streamKey, systemError, transientError, type ConfiguredStream, type RangeDigest, type RowDigest,
} from '@tapline/protocol';
import { isCdc, isChangeColumn } from '@tapline/catalog';
import { inParallel } from '../commit/in-parallel.js';
import { planColumns, type PlannedColumn } from '../convert/column-plan.js';
import { ContentError, MemoryError, type Engine, type Row } from '../convert/engine.js';
import { sqlString } from '../convert/value-sql.js';
import { columnHashes, digestColumn, first64, keyHash, keyValues, rowHash, second64, type DigestColumn } from './canonical-sql.js';
import { foldSql, rangeOf, type Fold } from './fold-sql.js';

/** An object's bytes as a local file, for as long as it is held. */
export interface LocalCopy extends AsyncDisposable {
  readonly path: string;
}

export interface TableSource {
  readonly engine: Engine;
  readonly configured: ConfiguredStream;
  /** Undefined: the object is gone. */
  readonly fetch: (name: string) => Promise<LocalCopy | undefined>;
}

/** Files that one statement reads. Writers that flush often make very many small ones. */
const filesAtOnce = 32;
/** Rows that are folded at once: the engine's aggregates do not spill well enough for more, whatever memory it has. */
const foldedAtOnce = 500_000;
const table = 'digested';
const sorted = 'sorted';
const selected = 'selected';

/** A file that was listed is gone: the lake was rewritten meanwhile. */
export class LakeMoved extends Error {}

export class TableDigest {
  readonly #source: TableSource;
  readonly #columns: readonly PlannedColumn[];
  readonly #key: readonly PlannedColumn[];
  readonly fold: Fold;
  #files: readonly string[] = [];
  #before: string | undefined;
  /** Equal parts of the keys' hashes, folded one after the other. */
  #slices = 1;

  constructor(source: TableSource) {
    this.#source = source;
    const { configured } = source;
    const replicated = isCdc(configured);
    this.#columns = planColumns(configured.stream).columns.filter(({ field }) => !(replicated && isChangeColumn(field)));
    const names = (configured.primary_key ?? configured.stream.source_defined_primary_key ?? []).map(([name]) => name!);
    this.#key = names.map((name) => this.#columns.find(({ field }) => field === name)!).filter((column) => column !== undefined);
    this.fold = configured.sync_mode === 'full_refresh' || this.#key.length === 0 ? 'all' : replicated ? 'changes' : 'versions';
  }

  /** True where rows cannot be told apart but by all that is in them. */
  get hasNoKey(): boolean {
    return this.#key.length === 0;
  }

  /** Reads the files. Rejects with {@link LakeMoved} if one is gone. */
  async load(files: readonly string[], before: string | undefined): Promise<void> {
    this.#files = files;
    this.#before = before;
    await this.#fill(table, undefined, (columns) => ({ select: `${rowHash(columns)} AS h`, extra: [] }));
    const [counted] = await this.#run(`SELECT count(*) AS n FROM ${table}`);
    this.#slices = this.fold === 'all' ? 1 : Math.max(1, Math.ceil(Number(counted!['n']) / foldedAtOnce));
    if (this.#slices === 1) return;
    // Sorting is done on disk where need be, and then a slice is read without the others.
    await this.#run(`CREATE OR REPLACE TABLE ${sorted} AS FROM ${table} ORDER BY k`);
    await this.#run(`DROP TABLE ${table}`);
    await this.#run(`ALTER TABLE ${sorted} RENAME TO ${table}`);
  }

  async ranges(bits: number): Promise<{ ranges: RangeDigest[]; nulled: number }> {
    const sums = new Map<number, { rows: number; checksum: bigint }>();
    let nulled = 0;
    for (let slice = 0; slice < this.#slices; slice++) {
      const rows = await this.#run(
        `SELECT ${rangeOf(bits)} AS r, sum(copies)::BIGINT AS rows, sum(h::HUGEINT * copies)::VARCHAR AS checksum, count(*) FILTER (nulled) AS nulled FROM (${foldSql(this.fold, this.#slice(slice))}) GROUP BY r`,
      );
      for (const row of rows) {
        const range = Number(row['r']);
        const sum = sums.get(range) ?? { rows: 0, checksum: 0n };
        sums.set(range, { rows: sum.rows + Number(row['rows']), checksum: sum.checksum + BigInt(String(row['checksum'])) });
        nulled += Number(row['nulled']);
      }
    }
    const ranges = [...sums].sort(([a], [b]) => a - b).map(([range, { rows, checksum }]): RangeDigest => [range, rows, checksumText(checksum)]);
    return { ranges, nulled };
  }

  /** The rows of one slice: all of a key are in the same. */
  #slice(slice: number): string {
    if (this.#slices === 1) return table;
    const from = (n: number): bigint => (BigInt(n) << 128n) / BigInt(this.#slices);
    return `(SELECT * FROM ${table} WHERE k BETWEEN ${from(slice)}::UHUGEINT AND ${from(slice + 1) - 1n}::UHUGEINT)`;
  }

  /** Reads the files again, this time with what tells the values of a row apart. */
  async rows(bits: number, ranges: readonly number[]): Promise<RowDigest[]> {
    const within = (k: string): string => `${rangeOf(bits, k)} IN (${ranges.join(', ')})`;
    await this.#fill(selected, within, (columns, key) => ({
      select: `${rowHash(columns)} AS h, ${columnHashes(columns)} AS cols, ${keyValues(key)} AS vals`, extra: ['cols VARCHAR', 'vals VARCHAR[]'],
    }));
    const rows = await this.#run(
      `SELECT to_hex((k >> 64)::UBIGINT) AS k1, to_hex((k % 18446744073709551616::UHUGEINT)::UBIGINT) AS k2, to_hex(h) AS h, cols, vals, sum(copies)::BIGINT AS copies `
      + `FROM (${foldSql(this.fold, selected, ['cols', 'vals'])}) GROUP BY ALL`,
    );
    await this.#run(`DROP TABLE ${selected}`);
    return rows.map((row) => ({
      key: hex(row['k1']) + hex(row['k2']), hash: hex(row['h']), copies: Number(row['copies']), columns: String(row['cols']), values: row['vals'] as (string | null)[],
    }));
  }

  async drop(): Promise<void> {
    await this.#run(`DROP TABLE IF EXISTS ${table}`);
    await this.#run(`DROP TABLE IF EXISTS ${sorted}`);
    await this.#run(`DROP TABLE IF EXISTS ${selected}`);
  }

  /** `where`: a condition on the key's hash. */
  async #fill(into: string, where: ((k: string) => string) | undefined, expressions: (columns: readonly DigestColumn[], key: readonly DigestColumn[]) => { select: string; extra: string[] }): Promise<void> {
    const { extra } = expressions([], []);
    await this.#run(`CREATE OR REPLACE TABLE ${into} (${['k UHUGEINT', 'h UBIGINT', 'ord UHUGEINT', 'gone BOOLEAN', 'nulled BOOLEAN', ...extra].join(', ')})`);
    const more = extra.map((column) => `, ${column.split(' ')[0]!}`).join('');
    await inParallel(batches(this.#files), this.#source.engine.workers, async (names) => {
      await using copies = new Copies();
      const paths = await copies.take(names, this.#source.fetch);
      const from = `read_parquet([${paths.map(sqlString).join(', ')}], union_by_name = true, hive_partitioning = false)`;
      const found = await this.#columnsOf(from);
      const columns = this.#columns.map((column) => digestColumn(column, found));
      const key = this.#key.map((planned) => columns.find((column) => column.planned === planned)!);
      const has = (name: string): boolean => found.has(name);
      const gone = this.fold === 'changes' && has('_ab_cdc_deleted_at') ? '_ab_cdc_deleted_at IS NOT NULL' : 'false';
      const before = this.fold === 'changes' && this.#before !== undefined && has('_ab_cdc_lsn') ? ` WHERE coalesce(_ab_cdc_lsn < ${BigInt(this.#before)}, true)` : '';
      let keyColumn = '_tapline_key_hash';
      while (has(keyColumn)) keyColumn += '_';
      // The key first: of rows that are not wanted nothing else is computed.
      const keyed = `SELECT *, ${keyHash(key)} AS ${keyColumn} FROM ${from}${before}`;
      const k = wide(first64(keyColumn), second64(keyColumn));
      const values = `SELECT ${k} AS k, ${expressions(columns, key).select}, ${wide(first64('_tapline_order'), second64('_tapline_order'))} AS ord, ${gone} AS gone, contains(_airbyte_meta, '"change":"NULLED"') AS nulled`;
      const wanted = where === undefined ? '' : ` WHERE ${where(`(${k})`)}`;
      await this.#run(`INSERT INTO ${into} SELECT k, h, ord, gone, nulled${more} FROM (${values} FROM (${keyed})${wanted})`);
    });
  }

  /** Of the files together, in lower case, with their types. */
  async #columnsOf(from: string): Promise<Map<string, string>> {
    const rows = await this.#run(`DESCRIBE SELECT * FROM ${from}`);
    const types: Readonly<Record<string, string>> = { 'TIMESTAMP WITH TIME ZONE': 'TIMESTAMPTZ' };
    return new Map(rows.map((row) => [String(row['column_name']).toLowerCase(), types[String(row['column_type'])] ?? String(row['column_type'])]));
  }

  async #run(sql: string): Promise<Row[]> {
    const { engine, configured } = this.#source;
    try {
      return await engine.run(sql, 0).catch((error: unknown) => {
        if (error instanceof MemoryError) return engine.runAlone(sql);
        throw error;
      });
    } catch (error) {
      const stream = { name: configured.stream.name, namespace: configured.stream.namespace };
      const key = streamKey(configured.stream);
      if (error instanceof MemoryError) throw transientError(`stream ${key}: its rows did not fit into memory`, { stream, code: 'out_of_memory' });
      // The engine's own words may quote a value.
      if (error instanceof ContentError) throw systemError(`stream ${key}: the engine could not read its files (${error.message})`, { stream, code: 'engine', cause: error });
      throw error;
    }
  }
}

/** Two 64-bit halves as one number. */
const wide = (high: string, low: string): string => `${high}::UHUGEINT * 18446744073709551616::UHUGEINT + ${low}::UHUGEINT`;
const hex = (value: unknown): string => String(value).toLowerCase().padStart(16, '0');

function* batches(files: readonly string[]): Generator<readonly string[]> {
  for (let at = 0; at < files.length; at += filesAtOnce) yield files.slice(at, at + filesAtOnce);
}

class Copies implements AsyncDisposable {
  readonly #held: LocalCopy[] = [];

  async take(names: readonly string[], fetch: TableSource['fetch']): Promise<string[]> {
    for (const name of names) {
      const copy = await fetch(name);
      if (!copy) throw new LakeMoved(name);
      this.#held.push(copy);
    }
    return this.#held.map(({ path }) => path);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const copy of this.#held) await copy[Symbol.asyncDispose]();
  }
}
