/** Which column takes the values of which field, as a stream's schema changes. Columns only grow. Pure. */
import { formatLogicalType, isWidening } from '@tapline/catalog';
import type { ColumnPlan, PlannedColumn } from '@tapline/columnar';
import { configError } from '@tapline/protocol';
import type { Dialect } from '../dialects/dialect.js';
import type { TableChange } from './changes.js';
import { columnName, NameSet } from './names.js';
import { extra as extraColumn, ownNames } from './own-columns.js';
import type { Roles } from './roles.js';
import type { TableColumn, TableShape } from './shape.js';
import { familiesOf, holds, sameType } from './sources.js';

/**
 * What may change in a table that is there. `evolve`: columns are added and widened, a changed type gets a column of its own. `add_only`:
 * no column is ever altered, a wider type gets a column, too. `freeze`: nothing; the run fails and says what changed. `discard`: nothing;
 * new fields are not written, and values of another type are cast.
 */
export type SchemaPolicy = 'evolve' | 'add_only' | 'freeze' | 'discard';

export interface EvolveColumnsOptions {
  /** For messages. */
  readonly stream: string;
  readonly plan: ColumnPlan;
  readonly dialect: Dialect;
  readonly roles: Roles;
  readonly policy: SchemaPolicy;
  /** The columns take the new types in place. */
  readonly fresh: boolean;
  readonly foreign: readonly string[];
  /** There are undeclared fields. */
  readonly extra: boolean;
}

export interface EvolvedColumns {
  /** The stream's, in the table's order. */
  readonly columns: readonly TableColumn[];
  readonly changes: readonly TableChange[];
  readonly warnings: readonly string[];
  /** The table has a column for undeclared fields. */
  readonly extra: boolean;
  /** Of a field of the plan; undefined = it is not written. */
  readonly columnOf: (field: string) => TableColumn | undefined;
}

export function evolveColumns(recorded: TableShape | undefined, options: EvolveColumnsOptions): EvolvedColumns {
  return new Evolution(recorded, options).run();
}

class Evolution {
  readonly #options: EvolveColumnsOptions;
  readonly #recorded: TableShape | undefined;
  readonly #columns: TableColumn[];
  readonly #names: NameSet;
  /** By field. Indices into the columns. */
  readonly #claims = new Map<string, number>();
  /** What the claims came to. */
  readonly #taken = new Set<number>();
  /** Of each field, the columns that hold its values now, then those that did. */
  readonly #families: ReadonlyMap<string, readonly number[]>;
  /** Fields of the plan. */
  readonly #present: ReadonlySet<string>;
  readonly #changes: TableChange[] = [];
  readonly #warnings: string[] = [];
  /** What `freeze` has to say. */
  readonly #refused: string[] = [];

  constructor(recorded: TableShape | undefined, options: EvolveColumnsOptions) {
    this.#options = options;
    this.#recorded = recorded;
    const columns = recorded?.columns ?? [];
    this.#columns = columns.filter(({ field, origin }) => field !== undefined || origin !== undefined);
    this.#families = familiesOf(this.#columns);
    this.#present = new Set(options.plan.columns.map(({ field }) => field));
    this.#names = new NameSet(options.dialect, [...columns.map(({ name }) => name), ...ownNames(options.roles.write), ...options.foreign]);
  }

  run(): EvolvedColumns {
    const { plan, fresh } = this.#options;
    // Those that fit go first: a column that one of them takes is not there for the others.
    let left: readonly PlannedColumn[] = plan.columns;
    if (fresh) {
      left = left.filter((planned) => !this.#take(planned, this.#first(planned.field)));
      left = left.filter((planned) => !this.#take(planned, this.#family(planned)[0]));
    } else {
      left = left.filter((planned) => !this.#take(planned, this.#family(planned).find((i) => sameType(this.#columns[i]!.type, planned.type))));
      left = left.filter((planned) => !this.#take(planned, this.#family(planned).find((i) => holds(this.#columns[i]!.type, planned.type))));
    }
    for (const planned of left) this.#change(planned);
    const extra = this.#extra();
    if (this.#refused.length > 0) throw this.#frozen();
    const fields = new Map([...this.#claims].map(([field, index]) => [index, field]));
    const columns = this.#columns.map((column, i): TableColumn => ({ ...column, origin: column.origin ?? column.field, field: fields.get(i) }));
    return {
      columns, changes: this.#changes, warnings: this.#warnings, extra,
      columnOf: (field) => { const index = this.#claims.get(field); return index === undefined ? undefined : columns[index]; },
    };
  }

  /** Columns that hold, or held, the field's values, and that nobody took yet. */
  #family({ field }: PlannedColumn): readonly number[] {
    return (this.#families.get(field) ?? []).filter((i) => !this.#taken.has(i));
  }

  /** The first column that was made for the field. */
  #first(field: string): number | undefined {
    const made = (this.#families.get(field) ?? []).filter((i) => (this.#columns[i]!.origin ?? this.#columns[i]!.field) === field);
    return made.length === 0 ? undefined : Math.min(...made);
  }

  #take(planned: PlannedColumn, index: number | undefined): boolean {
    if (index === undefined || this.#taken.has(index)) return false;
    this.#claims.set(planned.field, index);
    this.#taken.add(index);
    if (this.#options.fresh) this.#columns[index] = { ...this.#columns[index]!, type: planned.type };
    return true;
  }

  /** A field that no column can take as it is. */
  #change(planned: PlannedColumn): void {
    const { policy, stream } = this.#options;
    const { field, type } = planned;
    const family = this.#family(planned);
    const wide = family.find((i) => isWidening(this.#columns[i]!.type, type));
    const told = formatLogicalType(type);
    // A table that is made now takes everything.
    if (!this.#recorded) {
      this.#add(planned, planned.name);
      return;
    }
    if (family.length === 0) {
      if (policy === 'freeze') this.#refused.push(`the field "${field}" (${told}) is new`);
      else if (policy === 'discard') this.#warnings.push(`stream ${stream}: the field "${field}" is new, and is not written (schema=discard)`);
      else if (!this.#take(planned, this.#abandoned(planned, planned.name))) this.#add(planned, planned.name);
      return;
    }
    const before = this.#columns[wide ?? family[0]!]!;
    const from = formatLogicalType(before.type);
    if (policy === 'freeze') this.#refused.push(`the field "${field}" was ${from} and is ${told}`);
    else if (policy === 'discard') {
      this.#warnings.push(`stream ${stream}: the field "${field}" was ${from} and is ${told} now; its values are cast to ${from}, and those that do not fit are null (schema=discard)`);
      this.#take(planned, family[0]);
    } else if (policy === 'evolve' && wide !== undefined) {
      this.#changes.push({ kind: 'widen', column: before.name, from: before.type, to: type });
      this.#columns[wide] = { ...before, type };
      this.#take(planned, wide);
    } else {
      const first = this.#first(field);
      const base = first === undefined ? planned.name : this.#columns[first]!.name;
      const name = `${base}__${typeSuffix(type)}`;
      const column = this.#take(planned, this.#abandoned(planned, name)) ? this.#columns[this.#claims.get(field)!]!.name : this.#add(planned, name);
      this.#warnings.push(`stream ${stream}: the field "${field}" was ${from} and is ${told} now; its values go to the column "${String(column)}"`);
    }
  }

  /** A column of this name that was made for another field, which does not need it any more, and that holds the type (or takes it). */
  #abandoned(planned: PlannedColumn, name: string): number | undefined {
    const wanted = new NameSet(this.#options.dialect, [name]);
    const index = this.#columns.findIndex((column) => wanted.has(column.name));
    if (index === -1 || this.#taken.has(index)) return undefined;
    const { field, type } = this.#columns[index]!;
    const needed = field !== undefined && this.#present.has(field) && !this.#claims.has(field);
    return !needed && (this.#options.fresh || holds(type, planned.type)) ? index : undefined;
  }

  #add({ field, type }: PlannedColumn, wanted: string): string {
    const name = columnName(wanted, this.#options.dialect, this.#names);
    this.#names.add(name);
    const column: TableColumn = { name, type, field, origin: field };
    this.#columns.push(column);
    this.#claims.set(field, this.#columns.length - 1);
    this.#taken.add(this.#columns.length - 1);
    if (this.#recorded) this.#changes.push({ kind: 'add', column });
    if (name !== wanted) this.#warnings.push(`stream ${this.#options.stream}: the field "${field}" is written to the column "${name}", because its own name is taken, reserved or too long`);
    return name;
  }

  #extra(): boolean {
    const { extra, policy, stream } = this.#options;
    const has = this.#recorded?.columns.some(({ name }) => name === extraColumn.name) ?? false;
    if (!extra || has || !this.#recorded) return extra || has;
    if (policy === 'freeze') this.#refused.push('its records have fields that its schema does not declare');
    if (policy === 'discard') this.#warnings.push(`stream ${stream}: fields that its schema does not declare are not written (schema=discard)`);
    return policy === 'evolve' || policy === 'add_only';
  }

  #frozen(): Error {
    const { stream } = this.#options;
    return configError(
      `stream ${stream}: its schema changed, and schema=freeze keeps the table as it is: ${this.#refused.join('; ')}. `
      + 'Nothing was written. Take schema=evolve once to let the table follow, or leave the columns out of the sync',
      { code: 'schema_frozen', stream: this.#recorded!.stream },
    );
  }
}

/** `decimal(12,2)` as the end of a column's name: `decimal_12_2`. */
export const typeSuffix = (type: TableColumn['type']): string => formatLogicalType(type).replaceAll(/[^a-z0-9]+/g, '_').replace(/_$/, '');
