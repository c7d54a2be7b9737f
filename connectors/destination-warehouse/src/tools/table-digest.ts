/** The digest of one stream's table, computed where it is. */
import { isCdc, isChangeColumn } from '@tapline/catalog';
import { planColumns, type Fold } from '@tapline/columnar';
import { checksumText, configError, streamKey, type ConfiguredStream, type RangeDigest, type RowDigest } from '@tapline/protocol';
import { isCurrent } from '../tables/own-columns.js';
import type { TableShape } from '../tables/shape.js';
import type { Warehouse } from '../warehouse.js';
import type { DigestedColumn, DigestSql, RowSql } from './digest-sql.js';
import { foldRows } from './fold-rows.js';

export interface TableDigestOptions {
  readonly warehouse: Warehouse;
  readonly sql: DigestSql;
  readonly configured: ConfiguredStream;
  readonly shape: TableShape;
  /** Only what was committed before this position of the source's log, in digits: of tables that keep every change. */
  readonly before: string | undefined;
}

export class TableDigest {
  readonly #options: TableDigestOptions;
  readonly #row: RowSql;
  readonly #fold: Fold;

  /** Throws a `config_error` where there is nothing to compare by. */
  constructor(options: TableDigestOptions) {
    this.#options = options;
    const { configured, shape, before, sql } = options;
    const replicated = isCdc(configured);
    const columns = planColumns(configured.stream).columns.filter(({ field }) => !(replicated && isChangeColumn(field))).map((planned): DigestedColumn => {
      const now = shape.columns.filter(({ field }) => field === planned.field);
      return { planned, held: [...now, ...shape.columns.filter((column) => column.field === undefined && column.origin === planned.field)] };
    });
    const names = (configured.primary_key ?? configured.stream.source_defined_primary_key ?? []).map(([name]) => name!);
    const key = names.flatMap((name) => columns.find(({ planned }) => planned.field === name) ?? []);
    if (key.length === 0 && replicated && before !== undefined) {
      const label = streamKey(configured.stream);
      throw configError(`${label} has no key: its changes cannot be put together, so it cannot be compared`, { code: 'no_key', stream: configured.stream });
    }
    this.#row = sql.rowOf(columns, key);
    this.#fold = shape.write !== 'append' || configured.sync_mode === 'full_refresh' || key.length === 0 ? 'all' : replicated ? 'changes' : 'versions';
  }

  async ranges(bits: number): Promise<{ readonly ranges: readonly RangeDigest[]; readonly nulled: number }> {
    const { warehouse, sql } = this.#options;
    const folded = foldRows(this.#fold, this.#rows([]), []);
    const range = bits === 0 ? '0' : sql.range('k', bits);
    const found = await warehouse.run(
      `SELECT ${range} AS r, sum(copies) AS n, ${sql.checksum('h', 'copies')} AS checksum, sum(CASE WHEN nulled THEN 1 ELSE 0 END) AS nulled FROM (${folded}) f GROUP BY 1`,
    );
    const ranges = found.map((row): RangeDigest => [Number(row['r']), Number(row['n']), checksumText(String(row['checksum']))]);
    return { ranges, nulled: found.reduce((sum, row) => sum + Number(row['nulled']), 0) };
  }

  async rows(bits: number, ranges: readonly number[]): Promise<RowDigest[]> {
    const { warehouse, sql } = this.#options;
    const extra = [`${this.#row.columns} AS cols`, `${this.#row.values} AS vals`];
    const within = bits === 0 ? '' : ` WHERE ${sql.range('k', bits)} IN (${ranges.join(', ')})`;
    const folded = foldRows(this.#fold, `SELECT * FROM (${this.#rows(extra)}) w${within}`, ['cols', 'vals']);
    const found = await warehouse.run(`SELECT k, h, cols, vals, sum(copies) AS copies FROM (${folded}) f GROUP BY k, h, cols, vals`);
    return found.map((row) => ({
      key: String(row['k']), hash: checksumText(String(row['h'])), copies: Number(row['copies']), columns: String(row['cols']),
      values: JSON.parse(String(row['vals'])) as (string | null)[],
    }));
  }

  /** Rows of a merged table that changed after the position: what they were then, it does not know any more. */
  async newer(): Promise<number> {
    const { warehouse, shape, before } = this.#options;
    const lsn = this.#column('_ab_cdc_lsn');
    if (before === undefined || shape.write === 'append' || lsn === undefined) return 0;
    const [row] = await warehouse.run(`SELECT count(*) AS n FROM ${warehouse.dialect.table(shape.table)} WHERE ${lsn} >= ${BigInt(before)}`);
    return Number(row!['n']);
  }

  /** Of the rows that count: k, h, ord, gone, nulled, `extra`. */
  #rows(extra: readonly string[]): string {
    const { warehouse: { dialect }, shape, before } = this.#options;
    const table = dialect.table(shape.table);
    const { key, row, order, nulled } = this.#row;
    const deleted = this.#column('_ab_cdc_deleted_at');
    const gone = this.#fold === 'changes' && deleted !== undefined ? `${deleted} IS NOT NULL` : 'false';
    const conditions: string[] = [];
    if (shape.write === 'history') conditions.push(isCurrent);
    else if (shape.write === 'append') conditions.push(`_airbyte_generation_id = (SELECT max(_airbyte_generation_id) FROM ${table})`);
    if (shape.write !== 'append' && deleted !== undefined) conditions.push(`${deleted} IS NULL`);
    const lsn = this.#column('_ab_cdc_lsn');
    if (this.#fold === 'changes' && before !== undefined && lsn !== undefined) conditions.push(`coalesce(${lsn} < ${BigInt(before)}, true)`);
    const where = conditions.length === 0 ? '' : ` WHERE ${conditions.join(' AND ')}`;
    return `SELECT ${[`${key} AS k`, `${row} AS h`, `${order} AS ord`, `${gone} AS gone`, `${nulled} AS nulled`, ...extra].join(', ')} FROM ${table}${where}`;
  }

  /** Its quoted name. */
  #column(field: string): string | undefined {
    const { warehouse, shape } = this.#options;
    const column = shape.columns.find((one) => one.field === field);
    return column && warehouse.dialect.quote(column.name);
  }
}
