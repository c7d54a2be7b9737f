/** The engine that a configuration names, connected. Each is loaded only where it is used. */
import type { LogicalType } from '@tapline/catalog';
import type { LogLevel } from '@tapline/protocol';
import type { Config } from './config.js';
import type { Warehouse } from './warehouse.js';

export interface OpenOptions {
  readonly sync: string;
  /** A private folder, which the caller removes. */
  readonly scratch: string;
  log(level: LogLevel, message: string): void;
}

export interface OpenWarehouse {
  readonly warehouse: Warehouse;
  /** See `ColumnarOptions.refuse`. */
  readonly refuse: ((type: LogicalType, value: string) => string | undefined) | undefined;
}

export async function openWarehouse(config: Config, options: OpenOptions): Promise<OpenWarehouse> {
  const memoryBytes = config.memory_mb === undefined ? undefined : config.memory_mb * 1_000_000;
  if (config.engine === 'duckdb') {
    const { openDuckdb } = await import('./engines/duckdb.js');
    return { warehouse: await openDuckdb({ ...options, path: config.path!, ...(memoryBytes && { memoryBytes }) }), refuse: undefined };
  }
  const { openPostgres } = await import('./engines/postgres.js');
  const warehouse = await openPostgres({ ...options, config, memoryBytes });
  return { warehouse, refuse: warehouse.refuse };
}
