/** Which columns of a stream travel. */
import { configError, streamKey } from '@tapline/protocol';
import type { AirbyteStream } from '@tapline/protocol';
import { didYouMean } from './nearest.js';

/** Only these columns, or all but these. */
export type ColumnSelection = { readonly only: readonly string[] } | { readonly exclude: readonly string[] };

/**
 * The stream with the properties that were chosen, in its own order; `tapline.left_out` names the others, because a source that
 * sends them all the same must not get them into the destination as undeclared fields. `needed` (keys, cursor) cannot be left out.
 * Throws a `config_error` for a column that is not there, or is needed.
 */
export function selectColumns(stream: AirbyteStream, selection: ColumnSelection, needed: Iterable<string>): AirbyteStream {
  const properties = stream.json_schema['properties'];
  if (typeof properties !== 'object' || properties === null) {
    throw configError(`${streamKey(stream)}: columns cannot be chosen, for its source declares none`, { code: 'unknown_column', stream });
  }
  const known = Object.keys(properties);
  const named = 'only' in selection ? selection.only : selection.exclude;
  for (const column of named) requireColumn(stream, column, known);
  const kept = 'only' in selection ? known.filter((column) => named.includes(column)) : known.filter((column) => !named.includes(column));
  const missing = [...new Set(needed)].filter((column) => known.includes(column) && !kept.includes(column));
  if (missing.length > 0) {
    throw configError(
      `${streamKey(stream)}: ${missing.map((column) => `'${column}'`).join(', ')} cannot be left out of columns: the key and the cursor must travel`,
      { code: 'needed_column', stream },
    );
  }
  if (kept.length === 0) throw configError(`${streamKey(stream)}: no column is left; disable the stream instead`, { code: 'no_columns', stream });
  const leftOut = known.filter((column) => !kept.includes(column));
  return { ...stream, json_schema: withProperties(stream.json_schema, kept), tapline: { ...(stream['tapline'] as object | undefined), left_out: leftOut } };
}

/** Throws a `config_error` with the nearest name, unless the stream has such a column. */
export function requireColumn(stream: AirbyteStream, column: string, known: readonly string[]): void {
  if (known.includes(column)) return;
  throw configError(`${streamKey(stream)} has no column '${column}'.${didYouMean(column, known)}`, { code: 'unknown_column', stream });
}

function withProperties(schema: AirbyteStream['json_schema'], kept: readonly string[]): AirbyteStream['json_schema'] {
  const properties = schema['properties'] as Readonly<Record<string, unknown>>;
  // fromEntries defines own properties: a column may be called __proto__.
  const result: AirbyteStream['json_schema'] = { ...schema, properties: Object.fromEntries(kept.map((column) => [column, properties[column]])) };
  const required = schema['required'];
  if (Array.isArray(required)) result['required'] = required.filter((column) => kept.includes(column as string));
  return result;
}
