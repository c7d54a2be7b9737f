import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeColumnar } from '@tapline/columnar';
import type { RawWriteContext } from '@tapline/sdk';
import type { Config } from './config.js';
import { openWarehouse } from './open-warehouse.js';
import { AfterLoad } from './sink/after-load.js';
import { WarehouseSink } from './sink/warehouse-sink.js';

export async function write(context: RawWriteContext<Config>): Promise<void> {
  const { config, catalog, session, input, output, signal, log } = context;
  const sync = session?.sync ?? config.sync_name;
  const stagingDirectory = config.staging_dir ?? session?.scratch ?? tmpdir();
  await mkdir(stagingDirectory, { recursive: true });
  const scratch = await mkdtemp(join(stagingDirectory, 'warehouse-'));
  try {
    const { warehouse, refuse } = await openWarehouse(config, { sync, scratch, log });
    await using _closed = warehouse;
    const afterLoad = new AfterLoad(warehouse, {
      postSql: config.post_sql ?? [], log, everyMs: session?.continuous ? config.post_sql_seconds * 1000 : undefined,
    });
    await using sink = new WarehouseSink({ warehouse, sync, source: session?.source ?? '', run: session?.run_id ?? '', directory: scratch, afterLoad, config, log });
    await writeColumnar({
      input, output, catalog, session, sink, signal, log,
      options: {
        stagingDirectory,
        sync,
        flush: { ms: inUnits(config.flush_seconds, 1000), bytes: inUnits(config.flush_mb, 1_000_000) },
        readOnce: true,
        partial: session?.extensions.includes('partial') ?? false,
        refuse,
      },
    });
    // Whoever stops us waits, and not for long.
    if (!signal.aborted) await sink.finish();
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

const inUnits = (value: number | undefined, unit: number): number | undefined => (value === undefined ? undefined : Math.round(value * unit));
