import { tmpdir } from 'node:os';
import { LakeSink, writeColumnar } from '@tapline/columnar';
import type { RawWriteContext } from '@tapline/sdk';
import type { Config } from './config.js';
import { refuseTwinFolders } from './disk-case.js';
import { storeOf } from './stores.js';

export async function write(context: RawWriteContext<Config>): Promise<void> {
  const { config, catalog, session, input, output, signal, log } = context;
  const store = await storeOf(config, { attempts: 6, connectMs: 10_000 });
  if ('local' in store) await refuseTwinFolders(store.local.location, catalog);
  const sync = session?.sync ?? config.sync_name;
  await using sink = new LakeSink({ store: 'local' in store ? store.local : store.s3, sync, source: session?.source ?? '', log });
  await writeColumnar({
    input, output, catalog, session, sink, signal, log,
    options: {
      stagingDirectory: config.staging_dir ?? session?.scratch ?? tmpdir(),
      sync,
      flush: { ms: inUnits(config.flush_seconds, 1000), bytes: inUnits(config.flush_mb, 1_000_000), rows: config.flush_rows },
      targetFileBytes: inUnits(config.file_mb, 1_000_000),
      compression: config.compression,
      partition: config.partition && { column: config.partition.column, hour: config.partition.by === 'hour' },
    },
  });
}

const inUnits = (value: number | undefined, unit: number): number | undefined => (value === undefined ? undefined : Math.round(value * unit));
