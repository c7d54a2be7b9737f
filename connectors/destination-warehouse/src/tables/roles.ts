/** What a stream's configuration asks of its table: how rows are written, and which fields are its key and cursor. */
import type { StreamSchema } from '@tapline/columnar';
import { configError, streamKey, type ConfiguredStream } from '@tapline/protocol';
import type { WriteMode } from './shape.js';

export const deletedAt = '_ab_cdc_deleted_at';

export interface Roles {
  readonly write: WriteMode;
  /** Members of the record's data; empty with `append`. */
  readonly key: readonly string[];
  /** Undefined where `_tapline_order` says it all: a source that numbers its changes itself, and one without a cursor. */
  readonly cursor: string | undefined;
  readonly deletes: 'hard' | 'soft' | undefined;
}

export interface RolesOptions {
  /** `history=scd2`: what is merged keeps its versions. */
  readonly history: boolean;
  readonly deletes: 'hard' | 'soft';
}

/** Throws a `config_error` for a mode that is not offered, and for a key or a cursor that is no column of the stream. */
export function rolesOf({ configured, plan }: StreamSchema, { history, deletes }: RolesOptions): Roles {
  const { stream, destination_sync_mode: mode } = configured;
  const name = streamKey(stream);
  if (mode === 'append' || mode === 'overwrite') return { write: 'append', key: [], cursor: undefined, deletes: undefined };
  if (mode !== 'append_dedup') {
    throw configError(`stream ${name}: a warehouse cannot ${mode}; it offers append, overwrite and append_dedup`, { code: 'mode_not_supported', stream });
  }
  const fields = new Set(plan.columns.map(({ field }) => field));
  const key = keyOf(configured).map((path) => top(path, 'primary key', configured));
  if (key.length === 0) throw configError(`stream ${name} has no primary key, and append_dedup needs one: take append`, { code: 'key_needed', stream });
  for (const field of key) {
    if (!fields.has(field)) throw configError(`stream ${name}: its primary key names the field "${field}", which its schema does not declare`, { code: 'unknown_column', stream });
  }
  return { write: history ? 'history' : 'merge', key: [...new Set(key)], cursor: plan.ownOrder ? undefined : cursorOf(configured, fields), deletes: fields.has(deletedAt) ? deletes : undefined };
}

function keyOf({ primary_key: chosen, stream }: ConfiguredStream): readonly (readonly string[])[] {
  return chosen?.length ? chosen : (stream.source_defined_primary_key ?? []);
}

function cursorOf(configured: ConfiguredStream, fields: ReadonlySet<string>): string | undefined {
  const { cursor_field: chosen, stream } = configured;
  if (chosen?.length) {
    const field = top(chosen, 'cursor', configured);
    if (fields.has(field)) return field;
    // A source's own cursor need not be a column.
    if (stream.source_defined_cursor) return undefined;
    throw configError(`stream ${streamKey(stream)}: its cursor is the field "${field}", which its schema does not declare`, { code: 'unknown_column', stream });
  }
  const own = stream.default_cursor_field;
  return own?.length === 1 && configured.sync_mode === 'incremental' && fields.has(own[0]!) ? own[0] : undefined;
}

function top(path: readonly string[], what: string, { stream }: ConfiguredStream): string {
  if (path.length === 1) return path[0]!;
  throw configError(
    `stream ${streamKey(stream)}: its ${what} is the nested field ${path.map((part) => `"${part}"`).join(' . ')}; only a field at the top of a record can be one: choose another, or take append`,
    { code: 'nested_field', stream },
  );
}
