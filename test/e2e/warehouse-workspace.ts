/** A workspace whose rows go to a warehouse. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { testWarehouse, type TestWarehouse, type WarehouseKind } from '../harness/warehouse.js';
import type { Outcome, RunOptions, Running } from '../harness/tapline.js';
import { workspace, type Workspace, type WorkspaceOptions } from '../harness/workspace.js';

export interface WarehouseWorkspace extends Omit<Workspace, 'lake'> {
  readonly warehouse: TestWarehouse;
  /** Makes a file of options, and gives the flag and its path. */
  destConfig(options: object): Promise<string[]>;
}

/** `query` stands behind the warehouse's URI, such as `?deletes=soft`; what a call gives as `--dest` wins. */
export async function warehouseWorkspace(kind: WarehouseKind, { query = '', ...options }: WorkspaceOptions = {}): Promise<WarehouseWorkspace> {
  const [at, warehouse] = [await workspace(options), await testWarehouse(kind)];
  onTestFinished(() => warehouse.dispose());
  const withDest = (args: readonly string[] = []): readonly string[] => (args.includes('--dest') ? args : ['--dest', `${warehouse.uri}${query}`, ...args]);
  let files = 0;
  return {
    ...at,
    warehouse,
    sync: (args?: readonly string[], given?: RunOptions): Promise<Outcome> => at.sync(withDest(args), given),
    startSync: (args?: readonly string[], given?: RunOptions): Running => at.startSync(withDest(args), given),
    async destConfig(content) {
      const path = join(at.directory, `destination-${++files}.json`);
      await writeFile(path, JSON.stringify(content));
      return ['--dest-config', path];
    },
  };
}
