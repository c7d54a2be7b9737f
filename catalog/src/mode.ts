/**
 * Sync modes as people write them, and what they mean for one stream.
 *
 * `full_refresh[/overwrite|/append]` · `incremental[:CURSOR][/append|/append_dedup]` · `cdc[/append|/merge]`. CURSOR may be
 * SQL-quoted; without it the source's own or default cursor counts.
 */
import { configError, streamKey } from '@tapline/protocol';
import type { AirbyteStream, DestinationSyncMode, SyncMode } from '@tapline/protocol';
import { isReplicated } from './change-columns.js';
import { requireColumn } from './columns.js';
import { didYouMean } from './nearest.js';

export interface ModeWish {
  readonly read: 'full_refresh' | 'incremental' | 'cdc';
  readonly cursor?: string | undefined;
  readonly write?: 'overwrite' | 'append' | 'append_dedup' | undefined;
}

/** Parses MODE. Throws a `config_error` that shows the grammar. */
export function parseMode(text: string): ModeWish {
  const match = /^(full_refresh|incremental|cdc)(?::(.*?))?(?:\/(overwrite|append|append_dedup|merge))?$/s.exec(text);
  if (!match) throw badMode(text, didYouMean(text.split(/[:/]/)[0]!, ['full_refresh', 'incremental', 'cdc'], 1));
  const read = match[1] as ModeWish['read'];
  const cursor = match[2] === undefined ? undefined : cursorName(match[2], text);
  if (cursor !== undefined && read !== 'incremental') throw badMode(text, ` Only incremental takes a cursor.`);
  const written = match[3];
  if (written !== undefined && !writes[read].includes(written)) throw badMode(text, ` ${read} writes by ${writes[read].join(' or ')}.`);
  const write = written === 'merge' ? 'append_dedup' : (written as ModeWish['write']);
  return { read, ...(cursor === undefined ? {} : { cursor }), ...(write === undefined ? {} : { write }) };
}

const writes: Readonly<Record<ModeWish['read'], readonly string[]>> = {
  full_refresh: ['overwrite', 'append'],
  incremental: ['append', 'append_dedup'],
  cdc: ['append', 'merge'],
};

const badMode = (text: string, hint: string): Error =>
  configError(
    `'${text}' is no sync mode.${hint} There are full_refresh[/overwrite|/append], incremental:CURSOR[/append|/append_dedup] and cdc[/append|/merge].`,
    { code: 'bad_mode' },
  );

function cursorName(text: string, mode: string): string {
  if (text === '') throw badMode(mode, ' Name a column behind the colon, as in incremental:updated_at.');
  if (!text.startsWith('"')) return text;
  const match = /^"((?:[^"]|"")+)"$/s.exec(text);
  if (!match) throw badMode(mode, ' The quotes around its cursor are not closed.');
  return match[1]!.replaceAll('""', '"');
}

export interface ModeOptions {
  /** The read mode of a stream for which nothing was wished: `cdc` where the source replicates, else full_refresh. */
  readonly defaultRead: 'full_refresh' | 'cdc';
  /** From the destination's spec; undefined or empty = it does not say, so anything goes. */
  readonly destinationModes: readonly string[] | undefined;
  /** What people call the destination, for messages. */
  readonly destinationLabel: string;
}

export interface ResolvedMode {
  readonly syncMode: SyncMode;
  readonly destinationSyncMode: DestinationSyncMode;
  readonly cursorField: readonly string[];
  readonly primaryKey: readonly (readonly string[])[];
}

/** `key`: what the user says that tells rows apart. */
export interface StreamModeOptions extends ModeOptions {
  readonly key?: readonly string[] | undefined;
}

/** What a wish means for a stream. Throws a `config_error` if the stream or the destination cannot do it. */
export function resolveMode(stream: AirbyteStream, wish: ModeWish | undefined, options: StreamModeOptions): ResolvedMode {
  const asked = wish ?? defaultWish(stream, options.defaultRead);
  const syncMode: SyncMode = asked.read === 'full_refresh' ? 'full_refresh' : 'incremental';
  requireReadMode(stream, asked, syncMode);
  const primaryKey = keyOf(stream, asked, options.key);
  const cursor = cursorOf(stream, asked);
  const destinationSyncMode = asked.write ?? defaultWrite(syncMode, primaryKey.length > 0 && [...primaryKey, cursor].every(({ length }) => length <= 1), options.destinationModes);
  requireWriteMode(stream, destinationSyncMode, primaryKey.length > 0, options);
  return { syncMode, destinationSyncMode, cursorField: cursor, primaryKey };
}

function keyOf(stream: AirbyteStream, { read }: ModeWish, wished: readonly string[] | undefined): readonly (readonly string[])[] {
  if (!wished) return stream.source_defined_primary_key ?? [];
  if (read === 'cdc') {
    throw configError(`${streamKey(stream)}: with cdc the key is that of the source's log (for PostgreSQL its replica identity); leave out key`, { code: 'key_not_ours', stream });
  }
  const properties = Object.keys((stream.json_schema['properties'] as object | null | undefined) ?? {});
  if (properties.length > 0) for (const name of wished) requireColumn(stream, name, properties);
  return wished.map((name) => [name]);
}

function defaultWish(stream: AirbyteStream, defaultRead: ModeOptions['defaultRead']): ModeWish {
  const modes = stream.supported_sync_modes;
  if (defaultRead === 'cdc' && stream.source_defined_cursor && modes?.includes('incremental')) return { read: 'cdc' };
  return { read: !modes?.length || modes.includes('full_refresh') ? 'full_refresh' : 'incremental' };
}

/** `mergeable`: there is a key, and it and the cursor are columns. */
function defaultWrite(syncMode: SyncMode, mergeable: boolean, destinationModes: readonly string[] | undefined): DestinationSyncMode {
  if (syncMode === 'full_refresh') return 'overwrite';
  return mergeable && destinationModes?.includes('append_dedup') ? 'append_dedup' : 'append';
}

function requireReadMode(stream: AirbyteStream, { read }: ModeWish, syncMode: SyncMode): void {
  const modes = stream.supported_sync_modes;
  if (read === 'cdc' && !stream.source_defined_cursor) {
    throw configError(`${streamKey(stream)}: cdc needs a source that replicates changes; this one does not (for PostgreSQL: replication=cdc)`, { code: 'mode_not_supported', stream });
  }
  if (!modes?.length || modes.includes(syncMode)) return;
  throw configError(`${streamKey(stream)} cannot be read ${syncMode}: its source offers ${modes.join(', ')} for it`, { code: 'mode_not_supported', stream });
}

function requireWriteMode(stream: AirbyteStream, mode: DestinationSyncMode, hasKey: boolean, options: ModeOptions): void {
  const { destinationModes, destinationLabel } = options;
  if (destinationModes?.length && !destinationModes.includes(mode)) {
    const hint = mode === 'append_dedup' ? ' Take append, and read the latest row per key through a view.' : '';
    throw configError(
      `${streamKey(stream)}: the destination ${destinationLabel} cannot ${mode}; it offers ${destinationModes.join(', ')}.${hint}`,
      { code: 'mode_not_supported', stream },
    );
  }
  if (mode === 'append_dedup' && !hasKey) {
    throw configError(`${streamKey(stream)} has no primary key, and ${mode} needs one: take append, or name its columns in tapline.yaml (key: [id])`, { code: 'key_needed', stream });
  }
}

function cursorOf(stream: AirbyteStream, { read, cursor }: ModeWish): readonly string[] {
  if (read !== 'incremental') return [];
  const properties = Object.keys((stream.json_schema['properties'] as object | null | undefined) ?? {});
  if (cursor !== undefined) {
    if (properties.length > 0) requireColumn(stream, cursor, properties);
    return [cursor];
  }
  // Its own order is that of its log.
  if (isReplicated(stream)) return [];
  if (stream.default_cursor_field?.length) return stream.default_cursor_field;
  if (stream.source_defined_cursor) return [];
  throw configError(
    `${streamKey(stream)}: incremental needs a cursor, a column that only grows, as in ${streamKey(stream)}=incremental:updated_at`,
    { code: 'cursor_needed', stream },
  );
}
