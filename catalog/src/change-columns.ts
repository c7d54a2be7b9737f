/**
 * What the records of a replicated stream carry beside its columns: which change it was (`_ab_cdc_*`, from the source's catalog), and
 * its place in the order of changes (`_tapline_order`, in a session only). They belong to the mode, not to the columns that a user
 * selects: with cdc they always travel, and without it the source sends none of them.
 */
import type { AirbyteStream, ConfiguredStream } from '@tapline/protocol';
import { toJsonSchema } from './forms.js';

export const orderColumn = '_tapline_order';
const changeColumns: readonly string[] = ['_ab_cdc_lsn', '_ab_cdc_updated_at', '_ab_cdc_deleted_at', orderColumn];

export const isChangeColumn = (name: string): boolean => changeColumns.includes(name);

/** Its source can replicate it, and tells the order of changes (the additional property `tapline.order`). */
export const isReplicated = (stream: AirbyteStream): boolean =>
  stream.source_defined_cursor === true && (stream['tapline'] as { order?: unknown } | null | undefined)?.order === true;

/** Replicated in this run, not read by a query of its own. */
export const isCdc = ({ stream, sync_mode, cursor_field }: ConfiguredStream): boolean =>
  isReplicated(stream) && sync_mode === 'incremental' && !cursor_field?.length;

/** The stream with the change columns that its mode has. `session`: its source opens one. */
export function withChangeColumns(configured: ConfiguredStream, session: boolean): ConfiguredStream {
  const { stream } = configured;
  if (!isReplicated(stream)) return configured;
  const properties = (stream.json_schema['properties'] ?? {}) as Readonly<Record<string, unknown>>;
  const cdc = isCdc(configured);
  const kept = Object.entries(properties).filter(([name]) => name !== orderColumn && (cdc || !isChangeColumn(name)));
  if (cdc && session) kept.push([orderColumn, toJsonSchema({ kind: 'text' })]);
  return { ...configured, stream: { ...stream, json_schema: { ...stream.json_schema, properties: Object.fromEntries(kept) } } };
}
