/** What statements need to know of a table's shape, in the SQL of one engine: the embedded one folds files, the warehouse's own the rest. */
import { isChangeColumn } from '@tapline/catalog';
import { sqlName, sqlString, unchangedColumn } from '@tapline/columnar';
import type { ColumnType } from '../dialects/dialect.js';
import type { TableColumn, TableShape } from '../tables/shape.js';

/** Whose SQL it is. */
export type Flavour = 'duckdb' | 'postgres';

export const deletedAt = '_ab_cdc_deleted_at';
const order = '_tapline_order';
const generation = '_airbyte_generation_id';

export class Layout {
  readonly shape: TableShape;
  readonly flavour: Flavour;
  /** Without the marker of open generations. */
  readonly columns: readonly TableColumn[];
  readonly key: readonly TableColumn[];
  readonly cursor: TableColumn | undefined;

  constructor(shape: TableShape, flavour: Flavour) {
    this.shape = shape;
    this.flavour = flavour;
    this.columns = shape.columns.filter(({ name }) => name !== unchangedColumn);
    this.key = shape.key.map((name) => this.#column(name));
    this.cursor = shape.cursor === undefined ? undefined : this.#column(shape.cursor);
  }

  in(flavour: Flavour): Layout {
    return flavour === this.flavour ? this : new Layout(this.shape, flavour);
  }

  has(name: string): boolean {
    return this.columns.some((column) => column.name === name);
  }

  /** True where a row is a deletion. */
  deleted(alias: string): string {
    return this.shape.deletes === undefined ? 'false' : `${alias}.${sqlName(deletedAt)} IS NOT NULL`;
  }

  /** A deletion that does not tell the cursor: it comes after what came before it, whatever the cursors say. */
  #isPlaceless(alias: string): string | undefined {
    if (this.shape.deletes === undefined || !this.cursor || isChangeColumn(this.cursor.name)) return undefined;
    return `(${this.deleted(alias)} AND ${alias}.${sqlName(this.cursor.name)} IS NULL)`;
  }

  /**
   * The rows, where deletions that tell no cursor have the highest one of those that came before, so that one order holds for all rows.
   * `others`: columns that the rows have besides the table's.
   */
  placed(rows: string, others: readonly string[]): string {
    const placeless = this.#isPlaceless('r');
    if (placeless === undefined || !this.cursor) return rows;
    const cursor = `r.${sqlName(this.cursor.name)}`;
    const highest = `max(${this.#comparableText(this.cursor.type, cursor)}) OVER (PARTITION BY ${this.keyOf('r').join(', ')} ORDER BY r.${generation}, r.${order} ROWS UNBOUNDED PRECEDING)`;
    const list = this.columns.map(({ name }) => (name === this.cursor!.name ? `CASE WHEN ${placeless} THEN ${highest} ELSE ${cursor} END AS ${sqlName(name)}` : `r.${sqlName(name)}`));
    return `SELECT ${[...list, ...others.map((name) => `r.${sqlName(name)}`)].join(', ')} FROM (${rows}) r`;
  }

  /** By which rows of one key follow each other, ascending; each nulls first. `byGeneration`: the later generation is later, whatever its rows say. */
  order(alias: string, byGeneration = false): string[] {
    const expressions = this.cursor ? [this.#comparable(this.cursor.type, `${alias}.${sqlName(this.cursor.name)}`)] : [];
    return [...(byGeneration ? [`${alias}.${sqlName(generation)}`] : []), ...expressions, this.#comparable({ kind: 'text' }, `${alias}.${sqlName(order)}`)];
  }

  ascending(alias: string, byGeneration = false): string {
    return this.order(alias, byGeneration).map((expression) => `${expression} ASC NULLS FIRST`).join(', ');
  }

  descending(alias: string): string {
    return this.order(alias).map((expression) => `${expression} DESC NULLS LAST`).join(', ');
  }

  /** True where the row `a` comes after the row `b`. */
  after(a: string, b: string, byGeneration = false): string {
    const placeless = [this.#isPlaceless(a), this.#isPlaceless(b)];
    const whole = this.#after(this.order(a, byGeneration), this.order(b, byGeneration));
    if (placeless[0] === undefined) return whole;
    const part = (alias: string): string[] => [...(byGeneration ? [`${alias}.${sqlName(generation)}`] : []), this.#comparable({ kind: 'text' }, `${alias}.${sqlName(order)}`)];
    return `CASE WHEN ${placeless.join(' OR ')} THEN ${this.#after(part(a), part(b))} ELSE ${whole} END`;
  }

  #after(left: readonly string[], right: readonly string[]): string {
    return left.reduceRight((rest, expression, i) => {
      const other = right[i]!;
      const greater = `(${expression} IS NOT NULL AND (${other} IS NULL OR ${expression} > ${other}))`;
      return rest === '' ? greater : `(${greater} OR (${same(this.flavour, expression, other)} AND ${rest}))`;
    }, '');
  }

  /** The key as PARTITION BY and GROUP BY take it: nulls are equal. */
  keyOf(alias: string): string[] {
    return this.key.map(({ name, type }) => identity(this.flavour, type, `${alias}.${sqlName(name)}`));
  }

  /** Joins rows by key. `nullable`: columns that may be null in `a`; nulls are equal. */
  sameKey(a: string, b: string, nullable: ReadonlySet<string>): string {
    return this.key.map(({ name, type }) => {
      const [left, right] = [a, b].map((alias) => identity(this.flavour, type, `${alias}.${sqlName(name)}`)) as [string, string];
      if (!nullable.has(name)) return `${left} = ${right}`;
      if (this.flavour === 'duckdb') return `${left} IS NOT DISTINCT FROM ${right}`;
      // PostgreSQL joins by hash and by index where there is an equality, and nowhere else.
      const none = zero(type);
      return `(${left} IS NULL) = (${right} IS NULL) AND coalesce(${left}, ${none}) = coalesce(${right}, ${none})`;
    }).join(' AND ');
  }

  /** All columns, quoted. */
  list(alias?: string): string {
    return this.columns.map(({ name }) => (alias === undefined ? sqlName(name) : `${alias}.${sqlName(name)}`)).join(', ');
  }

  #column(name: string): TableColumn {
    const column = this.columns.find((one) => one.name === name);
    if (!column) throw new Error(`the table of ${this.shape.stream.name} has no column of the name that its key or cursor has`);
    return column;
  }

  #comparable(type: ColumnType, value: string): string {
    return this.flavour === 'duckdb' ? identity('duckdb', type, value) : this.#comparableText(type, value);
  }

  /** As the embedded engine compares, which knows no languages. */
  #comparableText(type: ColumnType, value: string): string {
    return this.flavour === 'postgres' && type.kind === 'text' ? `${value} COLLATE "C"` : value;
  }
}

export const same = (flavour: Flavour, a: string, b: string): string =>
  (flavour === 'duckdb' ? `${a} IS NOT DISTINCT FROM ${b}` : `coalesce(${a} = ${b}, ${a} IS NULL AND ${b} IS NULL)`);

/** Equal, and ordered, as the values are: decimals without bounds are text in DuckDB. */
const identity = (flavour: Flavour, type: ColumnType, value: string): string => (flavour === 'duckdb' && type.kind === 'bigdecimal' ? decimalOrder(value) : value);

/**
 * A text that is ordered and equal as the number in `v` is. Negative numbers: sign, and everything else in the complement of its
 * digits, closed by a character behind the digits, so that -1.5 comes after -1.55.
 */
function decimalOrder(v: string): string {
  const whole = `ltrim(split_part(ltrim(${v}, '-'), '.', 1), '0')`;
  const fraction = `rtrim(split_part(ltrim(${v}, '-'), '.', 2), '0')`;
  const digits = `lpad(length(${whole})::VARCHAR, 6, '0') || ${whole} || '.' || ${fraction}`;
  const zero = `${whole} = '' AND ${fraction} = ''`;
  return `CASE WHEN ${v} = 'NaN' THEN '4' WHEN ${v} = 'Infinity' THEN '3' WHEN ${v} = '-Infinity' THEN '0' WHEN ${zero} THEN '2' `
    + `WHEN starts_with(${v}, '-') THEN '1' || translate(${digits}, '0123456789', '9876543210') || '~' WHEN ${v} IS NOT NULL THEN '2' || ${digits} END`;
}

/** Any value of a type of PostgreSQL's. */
function zero(type: ColumnType): string {
  switch (type.kind) {
    case 'boolean': return 'false';
    case 'int': return `0::${{ 16: 'smallint', 32: 'integer', 64: 'bigint' }[type.bits]}`;
    case 'float': return `0::${{ 32: 'real', 64: 'double precision' }[type.bits]}`;
    case 'decimal':
    case 'bigdecimal': return '0::numeric';
    case 'bytes': return `''::bytea`;
    case 'date': return `DATE '2000-01-01'`;
    case 'time': return `TIME '00:00'`;
    case 'timestamp': return `TIMESTAMP '2000-01-01 00:00'`;
    case 'timestamptz': return `TIMESTAMPTZ '2000-01-01 00:00+00'`;
    case 'interval': return `INTERVAL '0'`;
    case 'uuid': return `'00000000-0000-0000-0000-000000000000'::uuid`;
    case 'json':
    case 'array': return `'null'::jsonb`;
    default: return sqlString('');
  }
}
