/** Which columns of a stream travel. */
import { configError, streamKey } from '@tapline/protocol';
import type { AirbyteStream } from '@tapline/protocol';
import { isChangeColumn, isReplicated } from './change-columns.js';
import { didYouMean } from './nearest.js';

/** Only these columns, or all but these. */
export type ColumnSelection = { readonly only: readonly string[] } | { readonly exclude: readonly string[] };

/**
 * The stream with the properties that were chosen, in its own order; `tapline.left_out` names the others, because a source that
 * sends them all the same must not get them into the destination as undeclared fields. `tapline.only` says that columns which are
 * added later are left out, too. `needed` (keys, cursor) cannot be left out; change columns are not columns to select.
 * Throws a `config_error` for a column that is not there, or is needed.
 */
export function selectColumns(stream: AirbyteStream, selection: ColumnSelection, needed: Iterable<string>): AirbyteStream {
  const properties = stream.json_schema['properties'];
  if (typeof properties !== 'object' || properties === null) {
    throw configError(`${streamKey(stream)}: columns cannot be chosen, for its source declares none`, { code: 'unknown_column', stream });
  }
  const all = Object.keys(properties);
  const known = all.filter((column) => !isReplicated(stream) || !isChangeColumn(column));
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
  const travelling = all.filter((column) => !leftOut.includes(column));
  const tapline = { ...(stream['tapline'] as object | undefined), left_out: leftOut, ...('only' in selection ? { only: true } : {}) };
  return { ...stream, json_schema: withProperties(stream.json_schema, travelling), tapline };
}

/** The stream without the columns of it that were left out before: a schema that came in the middle of a run may have them again. */
export function withoutLeftOut(stream: AirbyteStream, before: AirbyteStream): AirbyteStream {
  const choice = (before['tapline'] as { left_out?: readonly string[]; only?: boolean } | null | undefined) ?? {};
  const leftOut = choice.left_out ?? [];
  if (leftOut.length === 0 && !choice.only) return stream;
  const properties = Object.keys((stream.json_schema['properties'] ?? {}) as object);
  return {
    ...stream,
    json_schema: withProperties(stream.json_schema, properties.filter((column) => !leftOut.includes(column))),
    tapline: { ...(stream['tapline'] as object | undefined), left_out: leftOut, ...(choice.only ? { only: true } : {}) },
  };
}

/** Throws a `config_error` with the nearest name, unless the stream has such a column. */
export function requireColumn(stream: AirbyteStream, column: string, known: readonly string[]): void {
  if (known.includes(column)) return;
  throw configError(`${streamKey(stream)} has no column '${column}'.${didYouMean(column, known)}`, { code: 'unknown_column', stream });
}

function withProperties(schema: AirbyteStream['json_schema'], kept: readonly string[]): AirbyteStream['json_schema'] {
  const properties = (schema['properties'] ?? {}) as Readonly<Record<string, unknown>>;
  // fromEntries defines own properties: a column may be called __proto__.
  const result: AirbyteStream['json_schema'] = { ...schema, properties: Object.fromEntries(kept.map((column) => [column, properties[column]])) };
  const required = schema['required'];
  if (Array.isArray(required)) result['required'] = required.filter((column) => kept.includes(column as string));
  return result;
}
