/** Entries of `_airbyte_meta.changes`, in SQL. */
import { sqlString } from '@tapline/columnar';
import type { Forms } from '../dialects/dialect.js';

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
export function withChanges(forms: Forms, meta: string, entries: readonly string[]): string {
  return entries.length === 0 ? meta : forms.withChanges(meta, `nullif(concat_ws(',', ${entries.join(', ')}), '')`);
}

/** The entries, as SQL for {@link withChanges}, that say in `meta` why the field is null. */
export function entriesOf(forms: Forms, meta: string, field: string): string[] {
  return reasons.map((reason) => {
    const entry = nulledEntry(field, reason);
    return `CASE WHEN ${forms.hasChange(meta, entry)} THEN ${sqlString(entry)} END`;
  });
}
