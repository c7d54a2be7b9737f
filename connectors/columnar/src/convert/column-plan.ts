/** Which columns a stream's Parquet files have, under which names, and where their values stand in a record. */
import { columnsOf, type LogicalType } from '@tapline/catalog';
import { streamKey, type AirbyteStream, type JsonSchema } from '@tapline/protocol';
import { heldName } from './held-name.js';

/** The columns that every row carries; a declared `_tapline_order` of the source's own takes the place of ours. */
const metaColumns = ['_airbyte_raw_id', '_airbyte_extracted_at', '_airbyte_meta', '_airbyte_generation_id', '_tapline_order'] as const;
export const extraColumn = '_tapline_extra';
/** Of files only: {@link ParquetFile.unchanged}. */
export const unchangedColumn = '_tapline_unchanged';
export const orderColumn = '_tapline_order';

export interface PlannedColumn {
  /** The member of the record's `data`. */
  readonly field: string;
  /** The column in Parquet: `field`, or with a suffix where that name was taken. */
  readonly name: string;
  readonly type: LogicalType;
}

export interface ColumnPlan {
  readonly columns: readonly PlannedColumn[];
  /** The source declares `_tapline_order` in its data: its values are the rows' order. */
  readonly ownOrder: boolean;
  /**
   * Every column says `tapline_type`: records hold nothing undeclared, and each value in its wire form, so that the engine may
   * read the raw lines. Anyone else's are walked first, and have a `_tapline_extra` column.
   */
  readonly typed: boolean;
  /** Fields that the user left out: dropped where a source sends them all the same. */
  readonly leftOut: readonly string[];
  /** What the user should know: columns that were renamed. */
  readonly warnings: readonly string[];
}

export function planColumns(stream: AirbyteStream): ColumnPlan {
  const taken = new Set<string>([...metaColumns, extraColumn, unchangedColumn]);
  const declared = columnsOf(stream);
  // A plain name keeps its spelling: only one that collides is renamed, and to a name that nobody declared.
  const spelled = new Set(declared.map((column) => column.name.toLowerCase()));
  const columns: PlannedColumn[] = [];
  const warnings: string[] = [];
  let ownOrder = false;
  for (const { name: field, type } of declared) {
    if (field === orderColumn) {
      ownOrder = true;
      continue;
    }
    const name = freeName(heldName(field), taken, spelled);
    taken.add(name.toLowerCase());
    if (name !== field) warnings.push(`stream ${streamKey(stream)}: the column "${field}" is written as "${name}", because its own name is taken, empty, or holds what no name of a column can`);
    columns.push({ field, name, type });
  }
  const leftOut = (stream['tapline'] as { left_out?: readonly string[] } | undefined)?.left_out ?? [];
  return { columns, ownOrder, leftOut, typed: declared.length > 0 && everyPropertyTyped(stream.json_schema) && warnings.length === 0, warnings };
}

/** `name`, or `name__2`, `name__3` …: what is cut off at the last `__` gives the source's name back. */
function freeName(field: string, taken: ReadonlySet<string>, spelled: ReadonlySet<string>): string {
  if (field !== '' && !taken.has(field.toLowerCase())) return field;
  for (let n = 2; ; n++) {
    const name = `${field}__${n}`;
    if (!taken.has(name.toLowerCase()) && !spelled.has(name.toLowerCase())) return name;
  }
}

function everyPropertyTyped(schema: JsonSchema): boolean {
  const properties = schema['properties'];
  if (typeof properties !== 'object' || properties === null) return false;
  return Object.values(properties).every((property: unknown) => typeof (property as JsonSchema | null)?.['tapline_type'] === 'string');
}
