/** From what was discovered and what was wished to the catalog that both connectors get. */
import type { AirbyteStream, CatalogBody, ConfiguredCatalog, ConfiguredStream } from '@tapline/protocol';
import { orderColumn, withChangeColumns } from './change-columns.js';
import { selectColumns, withoutLeftOut } from './columns.js';
import { resolveMode, type ModeOptions } from './mode.js';
import { chooseStream, chooseStreams, takesStream, type ChosenStream, type StreamRule } from './rules.js';

export interface ConfigureOptions extends ModeOptions {
  readonly rules: readonly StreamRule[];
  /** The source opens a session: its records then carry their order. */
  readonly session?: boolean;
}

/**
 * The configured catalog, in the discovered order. Generations are not in it: they belong to a run.
 * Throws a `config_error` that names the stream, the rule and what is possible.
 */
export function configureCatalog(discovered: CatalogBody, options: ConfigureOptions): ConfiguredCatalog {
  return { streams: chooseStreams(discovered.streams, options.rules).map((chosen) => configureStream(chosen, options)) };
}

/** A stream that appeared while its source was running: configured like the others, or undefined if the rules do not take it. */
export function configureAppeared(stream: AirbyteStream, options: ConfigureOptions): ConfiguredStream | undefined {
  return takesStream(options.rules, stream) ? configureStream(chooseStream(options.rules, stream), options) : undefined;
}

/** A configured stream whose schema changed while its source was running. What the user chose stays as it was. */
export function reconfigure(before: ConfiguredStream, stream: AirbyteStream): ConfiguredStream {
  const key = stream.source_defined_primary_key;
  const session = orderColumn in ((before.stream.json_schema['properties'] ?? {}) as object);
  return withChangeColumns({ ...before, stream: withoutLeftOut(stream, before.stream), ...(key && { primary_key: key }) }, session);
}

function configureStream({ stream, mode, cursor, key, columns }: ChosenStream, options: ConfigureOptions): ConfiguredStream {
  // A cursor beside no mode at all means incremental: nothing else uses one.
  const wish = cursor === undefined ? mode : { ...(mode ?? { read: 'incremental' as const }), cursor };
  const resolved = resolveMode(stream, wish, { ...options, key });
  const needed = [...resolved.cursorField, ...resolved.primaryKey.map((path) => path[0]!)];
  const configured: ConfiguredStream = {
    stream: columns ? selectColumns(stream, columns, needed) : stream,
    sync_mode: resolved.syncMode,
    destination_sync_mode: resolved.destinationSyncMode,
    cursor_field: [...resolved.cursorField],
    primary_key: resolved.primaryKey.map((path) => [...path]),
  };
  return withChangeColumns(configured, options.session ?? false);
}
