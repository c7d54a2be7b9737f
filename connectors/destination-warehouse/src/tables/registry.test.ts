import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openDuckdb } from '../engines/duckdb.js';
import { registrySuite } from './registry-suite.test.support.js';

registrySuite('a DuckDB file', {
  async open() {
    const folder = await mkdtemp(join(tmpdir(), 'warehouse-registry-'));
    const warehouse = await openDuckdb({ path: join(folder, 'w.db'), scratch: folder, log: () => undefined });
    return {
      warehouse,
      async dispose() {
        await warehouse[Symbol.asyncDispose]();
        await rm(folder, { recursive: true, force: true });
      },
    };
  },
});
