/** Staged files whose rows go into a table as they lie there: no engine reads, folds or checks them. */
import type { TableColumn, TableShape } from '../tables/shape.js';
import { rowColumns } from '../tables/own-columns.js';
import { sameType } from '../tables/sources.js';
import type { PlainLoadColumn, PlainLoadPart, PlainLoadRequest, PlainValue } from '../warehouse.js';
import type { LoadFile } from './requests.js';
import { withMarker } from './temporary.js';

export interface PlainLoadOptions {
  readonly shape: TableShape;
  readonly files: readonly LoadFile[];
  /** The table is that of an open generation. */
  readonly open: boolean;
}

/** Undefined where a value has to be cast, or where rows are folded, or a key may be null, which has to be known. */
export function plainLoad({ shape, files, open }: PlainLoadOptions): Omit<PlainLoadRequest, 'table'> | undefined {
  if (shape.write !== 'append' && !open) return undefined;
  const table = open && shape.write !== 'append' ? withMarker(shape.columns, true) : shape.columns;
  const parts: PlainLoadPart[] = [];
  let columns: PlainLoadColumn[] | undefined;
  for (const { rows, sources } of files) {
    if (!('select' in rows) || !rows.plain) return undefined;
    const { plain } = rows;
    const byName = new Map(sources.map((source) => [source.column.name, source]));
    const valueOf = (column: TableColumn): PlainValue | undefined => {
      const source = byName.get(column.name);
      if (source?.from === undefined) return { kind: 'null' };
      if (column.field === undefined && column.origin === undefined) return own[column.name];
      const found = plain.rows.columns.get(source.from);
      if (!found) return { kind: 'null' };
      if (source.lossy || !source.type || !sameType(source.type, column.type)) return undefined;
      return { kind: 'field', index: found.index };
    };
    const keyIsThere = shape.write === 'append' || shape.key.every((name) => {
      const from = byName.get(name)?.from;
      return from !== undefined && plain.rows.columns.get(from)?.nullable === false;
    });
    const values = table.map(valueOf);
    if (!keyIsThere || !values.every((value) => value !== undefined)) return undefined;
    const form = table.map(({ name, type }, i): PlainLoadColumn => ({ name, type, value: values[i]! }));
    // Files of one commit mostly have one form; of several the engine makes one.
    if (columns && JSON.stringify(columns) !== JSON.stringify(form)) return undefined;
    columns = form;
    parts.push(plain);
  }
  return columns && { columns, parts, unseen: open };
}

const kinds = { _airbyte_raw_id: 'raw_id', _airbyte_extracted_at: 'extracted_at', _airbyte_meta: 'meta', _airbyte_generation_id: 'generation', _tapline_order: 'order' } as const;
const own: Readonly<Record<string, PlainValue | undefined>> = Object.fromEntries(rowColumns.map(({ name }) => [name, { kind: kinds[name as keyof typeof kinds] }]));
