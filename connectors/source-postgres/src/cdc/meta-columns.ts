/** What every record of a replicated table carries beside its columns. */
import { isChangeColumn, toJsonSchema, type LogicalType } from '@tapline/catalog';
import { configError, type AirbyteStream, type ConfiguredStream, type StreamDescriptor } from '@tapline/protocol';
import { label } from '../reading.js';

const types: Readonly<Record<string, LogicalType>> = {
  _ab_cdc_lsn: { kind: 'int', bits: 64 },
  _ab_cdc_updated_at: { kind: 'timestamptz' },
  _ab_cdc_deleted_at: { kind: 'timestamptz' },
};

export const cdcProperties = (): Record<string, object> => Object.fromEntries(Object.entries(types).map(([name, type]) => [name, toJsonSchema(type)]));

/** The properties that are columns of the table. */
export function tableProperties(stream: AirbyteStream): Record<string, object> {
  const properties = (stream.json_schema['properties'] ?? {}) as Record<string, object>;
  return Object.fromEntries(Object.entries(properties).filter(([name]) => !isChangeColumn(name)));
}

/** Whether a stream is read by its changes in this run. Platforms fill in the default cursor, which is ours. */
export function isReadByChanges({ stream, sync_mode: mode, cursor_field: cursor }: ConfiguredStream): boolean {
  if (mode !== 'incremental' || stream.source_defined_cursor !== true) return false;
  return !cursor?.length || cursor[0] === '_ab_cdc_lsn';
}

/** A column of the table's own under one of these names would stand in a record twice. */
export function requirePlainNames(stream: StreamDescriptor, columns: readonly { readonly name: string }[]): void {
  const taken = columns.find(({ name }) => isChangeColumn(name));
  if (!taken) return;
  throw configError(
    `${label(stream)} has a column '${taken.name}', a name that every replicated record needs for itself: rename the column, or leave the table out`,
    { code: 'pg_column_name', stream },
  );
}
