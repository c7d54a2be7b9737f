/** Streams as a catalog declares them, in few words. */
import { toJsonSchema, parseLogicalType } from '@tapline/catalog';
import { planColumns, type StreamSchema } from '@tapline/columnar';
import type { ConfiguredStream } from '@tapline/protocol';

export interface DeclaredOptions {
  readonly name?: string;
  readonly namespace?: string;
  readonly mode?: ConfiguredStream['destination_sync_mode'];
  readonly read?: ConfiguredStream['sync_mode'];
  readonly key?: readonly string[] | readonly (readonly string[])[];
  readonly cursor?: readonly string[];
  readonly stream?: Readonly<Record<string, unknown>>;
}

/** `fields`: names and logical types, as `{ id: 'int64' }`; or a JSON schema. */
export function declared(fields: Readonly<Record<string, string | object>>, options: DeclaredOptions = {}): StreamSchema {
  const { name = 'orders', namespace = 'public', mode = options.key ? 'append_dedup' : 'append', read = 'incremental', key = [], cursor = [] } = options;
  const properties = Object.fromEntries(Object.entries(fields).map(([field, type]) => [field, typeof type === 'string' ? toJsonSchema(parseLogicalType(type)!) : type]));
  const stream = { name, namespace, json_schema: { type: 'object', properties }, supported_sync_modes: ['full_refresh', 'incremental'] as const, ...options.stream };
  const configured = {
    stream, sync_mode: read, destination_sync_mode: mode, cursor_field: [...cursor], primary_key: key.map((path) => (typeof path === 'string' ? [path] : [...path])),
  } as unknown as ConfiguredStream;
  return { configured, plan: planColumns(configured.stream) };
}
