/** The statement by which rows leave the server for batches: values as they are, where the batch takes them so. */
import { identifier } from '@tapline/postgres-client';
import { copyOf, lastFields, type CopyRows } from '../copy-statement.js';
import { oids } from '../types.js';
import type { BatchColumn } from './batch-frames.js';
import { batchForm } from './forms.js';

export interface CopyBatch {
  readonly sql: string;
  readonly columns: readonly BatchColumn[];
  /** How many fields follow the columns. */
  readonly fields: number;
  /** Columns that tell the last row's values themselves. */
  readonly lastIntegers: readonly number[];
}

const integers: ReadonlySet<number> = new Set([oids.int2, oids.int4, oids.int8]);

/** At least one column. The text of an integer the server need not write for every row. */
export function copyBatchStatement(rows: CopyRows): CopyBatch {
  const columns = rows.columns.map(({ name, type, property = name }) => ({ name: property, form: batchForm(type) }));
  const values = rows.columns.map(({ name }, i) => columns[i]!.form.sql(`t.${identifier(name)}`));
  const last = (rows.lastOf ?? []).map((name) => rows.columns.findIndex((column) => column.name === name && integers.has(column.type.oid)));
  const lastIntegers = last.every((index) => index !== -1) ? last : [];
  const fields = rows.fields ?? (lastIntegers.length > 0 ? [] : lastFields(rows));
  return { sql: copyOf([...values, ...fields], rows), columns, fields: fields.length, lastIntegers };
}
