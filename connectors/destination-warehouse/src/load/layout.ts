/** What statements need to know of a table's shape, in the SQL of one engine: the embedded one folds files, the warehouse's own the rest. */
import { isChangeColumn } from '@tapline/catalog';
import { sqlName, unchangedColumn } from '@tapline/columnar';
import type { Forms } from '../dialects/dialect.js';
import type { TableColumn, TableShape } from '../tables/shape.js';

export const deletedAt = '_ab_cdc_deleted_at';
const order = '_tapline_order';
const generation = '_airbyte_generation_id';

export class Layout {
  readonly shape: TableShape;
  /** Whose SQL it is. */
  readonly forms: Forms;
  /** Without the marker of open generations. */
  readonly columns: readonly TableColumn[];
  readonly key: readonly TableColumn[];
  readonly cursor: TableColumn | undefined;
  readonly #helpers: string;

  constructor(shape: TableShape, forms: Forms) {
    this.shape = shape;
    this.forms = forms;
    this.columns = shape.columns.filter(({ name }) => name !== unchangedColumn);
    this.key = shape.key.map((name) => this.#column(name));
    this.cursor = shape.cursor === undefined ? undefined : this.#column(shape.cursor);
    this.#helpers = freePrefix(shape.columns);
  }

  /** The name of a column that a statement adds for itself: no column of the table has it. */
  helper(name: string): string {
    return `${this.#helpers}${name}`;
  }

  in(forms: Forms): Layout {
    return forms === this.forms ? this : new Layout(this.shape, forms);
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
    const highest = `max(${this.forms.bytewise(this.cursor.type, cursor)}) OVER (PARTITION BY ${this.keyOf('r').join(', ')} ORDER BY r.${generation}, r.${order} ROWS UNBOUNDED PRECEDING)`;
    const list = this.columns.map(({ name }) => (name === this.cursor!.name ? `CASE WHEN ${placeless} THEN ${highest} ELSE ${cursor} END AS ${sqlName(name)}` : `r.${sqlName(name)}`));
    return `SELECT ${[...list, ...others.map((name) => `r.${sqlName(name)}`)].join(', ')} FROM (${rows}) r`;
  }

  /** By which rows of one key follow each other, ascending; each nulls first. `byGeneration`: the later generation is later, whatever its rows say. */
  order(alias: string, byGeneration = false): string[] {
    const expressions = this.cursor ? [this.forms.order(this.cursor.type, `${alias}.${sqlName(this.cursor.name)}`)] : [];
    return [...(byGeneration ? [`${alias}.${sqlName(generation)}`] : []), ...expressions, this.forms.order({ kind: 'text' }, `${alias}.${sqlName(order)}`)];
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
    const part = (alias: string): string[] => [...(byGeneration ? [`${alias}.${sqlName(generation)}`] : []), this.forms.order({ kind: 'text' }, `${alias}.${sqlName(order)}`)];
    return `CASE WHEN ${placeless.join(' OR ')} THEN ${this.#after(part(a), part(b))} ELSE ${whole} END`;
  }

  #after(left: readonly string[], right: readonly string[]): string {
    return left.reduceRight((rest, expression, i) => {
      const other = right[i]!;
      const greater = `(${expression} IS NOT NULL AND (${other} IS NULL OR ${expression} > ${other}))`;
      return rest === '' ? greater : `(${greater} OR (${this.forms.same(expression, other)} AND ${rest}))`;
    }, '');
  }

  /** The key as PARTITION BY and GROUP BY take it: nulls are equal. */
  keyOf(alias: string): string[] {
    return this.key.map(({ name, type }) => this.forms.identity(type, `${alias}.${sqlName(name)}`));
  }

  /** Joins rows by key. `nullable`: columns that may be null in `a`; nulls are equal. */
  sameKey(a: string, b: string, nullable: ReadonlySet<string>): string {
    return this.key.map(({ name, type }) => {
      const [left, right] = [a, b].map((alias) => this.forms.identity(type, `${alias}.${sqlName(name)}`)) as [string, string];
      return nullable.has(name) ? this.forms.joined(type, left, right) : `${left} = ${right}`;
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
}

function freePrefix(columns: readonly TableColumn[]): string {
  for (let n = 1; ; n++) {
    const prefix = `__tapline${n === 1 ? '' : n}_`;
    if (columns.every(({ name }) => !name.toLowerCase().startsWith(prefix))) return prefix;
  }
}
