import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LogLevel } from '@tapline/protocol';
import type { Config } from './config.js';
import { openWarehouse } from './open-warehouse.js';
import { runAll } from './run-all.js';
import { ensureSchema } from './tables/changes.js';
import { ownSchema } from './tables/names.js';

interface CheckContext {
  readonly config: Config;
  log(level: LogLevel, message: string): void;
}

/** Rejects with what is wrong and what to do. Leaves nothing behind: what a run would make is made in a transaction, and rolled back. */
export async function check({ config, log }: CheckContext): Promise<void> {
  const scratch = await mkdtemp(join(config.staging_dir ?? tmpdir(), 'warehouse-check-'));
  const existed = config.path === undefined || (await stat(config.path).then(() => true, () => false));
  try {
    const { warehouse } = await openWarehouse(config, { sync: config.sync_name, scratch, log });
    await using _closed = warehouse;
    const { dialect } = warehouse;
    const probe = { schema: ownSchema, table: `check_${process.pid}_${Date.now()}` };
    await warehouse.transaction(async () => {
      await ensureSchema(warehouse, ownSchema);
      await runAll(warehouse, dialect.createTable(probe, [{ name: 'id', type: { kind: 'int', bits: 64 }, nullable: true }], []));
      throw new RolledBack();
    }).catch((error: unknown) => {
      if (!(error instanceof RolledBack)) throw error;
    });
  } finally {
    if (!existed) await Promise.all([config.path!, `${config.path!}.wal`].map((path) => rm(path, { force: true })));
    await rm(scratch, { recursive: true, force: true });
  }
}

class RolledBack extends Error {}
