import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openDuckdb } from '../engines/duckdb.js';
import { sinkSuite } from './sink-suite.test.support.js';

sinkSuite('DuckDB', {
  shared: false,
  async place() {
    const folder = await mkdtemp(join(tmpdir(), 'tapline-sink-duckdb-'));
    const path = join(folder, 'warehouse.db');
    return {
      open: (_sync, scratch) => openDuckdb({ path, scratch, log: () => undefined }),
      config: { engine: 'duckdb', path },
      dispose: () => rm(folder, { recursive: true, force: true }),
    };
  },
});
