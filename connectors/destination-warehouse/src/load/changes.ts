/** Entries of `_airbyte_meta.changes`, in SQL: text in DuckDB, jsonb in PostgreSQL. */
import { sqlString } from '@tapline/columnar';
import type { Flavour } from './layout.js';

export const reasons = [
  'DESTINATION_TYPECAST_ERROR', 'DESTINATION_SERIALIZATION_ERROR', 'DESTINATION_RECORD_SIZE_LIMITATION', 'DESTINATION_FIELD_SIZE_LIMITATION',
  'SOURCE_RETRIEVAL_ERROR', 'SOURCE_SERIALIZATION_ERROR', 'SOURCE_RECORD_SIZE_LIMITATION', 'SOURCE_FIELD_SIZE_LIMITATION',
] as const;
export type Reason = (typeof reasons)[number];

/** JSON text of an entry. */
export const nulledEntry = (field: string, reason: Reason): string => JSON.stringify({ field, change: 'NULLED', reason });

/**
 * `meta` with more entries. `entries` are SQL, each an entry's JSON text or null. A row without any keeps what it has.
 */
export function withChanges(flavour: Flavour, meta: string, entries: readonly string[]): string {
  if (entries.length === 0) return meta;
  const list = `nullif(concat_ws(',', ${entries.join(', ')}), '')`;
  if (flavour === 'postgres') {
    return `CASE WHEN ${list} IS NULL THEN ${meta} ELSE jsonb_set(${meta}, '{changes}', coalesce(${meta} -> 'changes', '[]'::jsonb) || ('[' || ${list} || ']')::jsonb) END`;
  }
  // As the kit writes it: `"changes":[` is there, and nowhere in a name, whose quotes have backslashes.
  return `CASE WHEN ${list} IS NULL THEN ${meta} WHEN contains(${meta}, '"changes":[]') THEN replace(${meta}, '"changes":[]', '"changes":[' || ${list} || ']') `
    + `ELSE replace(${meta}, '"changes":[', '"changes":[' || ${list} || ',') END`;
}

/** The entries, as SQL for {@link withChanges}, that say in `meta` why the field is null. */
export function entriesOf(flavour: Flavour, meta: string, field: string): string[] {
  return reasons.map((reason) => {
    const entry = nulledEntry(field, reason);
    const has = flavour === 'postgres' ? `${meta} -> 'changes' @> ${sqlString(`[${entry}]`)}::jsonb` : `contains(${meta}, ${sqlString(entry)})`;
    return `CASE WHEN ${has} THEN ${sqlString(entry)} END`;
  });
}
