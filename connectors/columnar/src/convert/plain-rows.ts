/** Rows whose values lie in batch files as they are: who reads those himself needs no engine for them. */
import { isNative, type BatchGroup } from './batch-forms.js';
import { undeclaredFields, valuesColumn } from './batch-sql.js';
import { orderColumn, type ColumnPlan } from './column-plan.js';
import { orderPrefix, plainMeta, type RowStamp } from './row-sql.js';

export interface PlainRows {
  /** In order. */
  readonly files: readonly PlainRowsFile[];
  /** Of the plan's columns, by name: where it lies in the files, natively or as the text of its form. A column that is not here is null in all rows. */
  readonly columns: ReadonlyMap<string, PlainSource>;
  /** Which of the files' columns holds `_tapline_order`; undefined = it is `orderPrefix` and the row's number, from `firstRow` on, in 16 hex digits. */
  readonly order: number | undefined;
  readonly orderPrefix: string;
  readonly firstRow: number;
  /** `_airbyte_raw_id` is this and the order. */
  readonly rawIdPrefix: string;
  readonly generation: number;
  /** `_airbyte_meta`. */
  readonly meta: string;
}

export interface PlainRowsFile {
  readonly rows: number;
  /** `_airbyte_extracted_at`, in milliseconds since 1970. */
  readonly emittedAt: number;
}

export interface PlainSource {
  /** Which of the files' columns. */
  readonly index: number;
  /** A row may have no value in it. */
  readonly nullable: boolean;
}

export interface PlainRowsRequest {
  readonly columns: readonly string[];
  readonly groups: readonly BatchGroup[];
  readonly plan: ColumnPlan;
  readonly stamp: RowStamp;
  readonly unchanged: boolean;
}

/** Undefined where a value has to be made of another, or cannot be held, or nobody declared it. */
export function plainRows({ columns, groups, plan, stamp, unchanged }: PlainRowsRequest): PlainRows | undefined {
  const [group, ...others] = groups;
  const forms = group?.plain;
  if (!group || !forms || others.length > 0 || unchanged || columns.includes(valuesColumn)) return undefined;
  if (!plan.typed || undeclaredFields(columns, plan).length > 0) return undefined;
  const at = (field: string): PlainSource | undefined => {
    const index = columns.lastIndexOf(field);
    return index === -1 ? undefined : { index, nullable: forms.some((form) => form.columns[index]!.nullable) };
  };
  const order = plan.ownOrder ? at(orderColumn) : undefined;
  // A row without an order of its own is numbered.
  if (order && (order.nullable || group.types[order.index] !== 'VARCHAR')) return undefined;
  const sources = new Map<string, PlainSource>();
  for (const { field, name, type } of plan.columns) {
    const source = at(field);
    if (!source) continue;
    if (!isNative(type, group.types[source.index])) return undefined;
    sources.set(name, source);
  }
  return {
    files: group.files.map(({ rows, emittedAt }) => ({ rows, emittedAt: Math.round(emittedAt) })),
    columns: sources,
    order: order?.index,
    orderPrefix: orderPrefix(stamp),
    firstRow: stamp.firstRow,
    rawIdPrefix: stamp.rawIdPrefix,
    generation: stamp.generation,
    meta: plainMeta(stamp),
  };
}
