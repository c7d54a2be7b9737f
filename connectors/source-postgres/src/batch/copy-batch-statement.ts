/** The statement by which rows leave the server for batches: values as they are, where the batch takes them so. */
import { identifier } from '@tapline/postgres-client';
import { copyOf, type CopyRows } from '../copy-statement.js';
import type { BatchColumn } from './batch-frames.js';
import { batchForm } from './forms.js';

/** At least one column. */
export function copyBatchStatement(rows: CopyRows): { readonly sql: string; readonly columns: readonly BatchColumn[] } {
  const columns = rows.columns.map(({ name, type, property = name }) => ({ name: property, form: batchForm(type) }));
  const values = rows.columns.map(({ name }, i) => columns[i]!.form.sql(`t.${identifier(name)}`));
  return { sql: copyOf([...values, ...(rows.fields ?? [])], rows), columns };
}
