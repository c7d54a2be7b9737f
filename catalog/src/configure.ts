/** From what was discovered and what was wished to the catalog that both connectors get. */
import type { CatalogBody, ConfiguredCatalog, ConfiguredStream } from '@tapline/protocol';
import { selectColumns } from './columns.js';
import { resolveMode, type ModeOptions } from './mode.js';
import { chooseStreams, type ChosenStream, type StreamRule } from './rules.js';

export interface ConfigureOptions extends ModeOptions {
  readonly rules: readonly StreamRule[];
}

/**
 * The configured catalog, in the discovered order. Generations are not in it: they belong to a run.
 * Throws a `config_error` that names the stream, the rule and what is possible.
 */
export function configureCatalog(discovered: CatalogBody, options: ConfigureOptions): ConfiguredCatalog {
  return { streams: chooseStreams(discovered.streams, options.rules).map((chosen) => configureStream(chosen, options)) };
}

function configureStream({ stream, mode, cursor, columns }: ChosenStream, options: ModeOptions): ConfiguredStream {
  // A cursor beside no mode at all means incremental: nothing else uses one.
  const wish = cursor === undefined ? mode : { ...(mode ?? { read: 'incremental' as const }), cursor };
  const resolved = resolveMode(stream, wish, options);
  const needed = [...resolved.cursorField, ...resolved.primaryKey.map((path) => path[0]!)];
  return {
    stream: columns ? selectColumns(stream, columns, needed) : stream,
    sync_mode: resolved.syncMode,
    destination_sync_mode: resolved.destinationSyncMode,
    cursor_field: [...resolved.cursorField],
    primary_key: resolved.primaryKey.map((path) => [...path]),
  };
}
