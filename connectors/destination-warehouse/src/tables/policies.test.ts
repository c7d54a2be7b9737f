import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { policiesSuite } from './policies-suite.test.support.js';

policiesSuite('a DuckDB file', {
  async open() {
    const scratch = await mkdtemp(join(tmpdir(), 'warehouse-policies-'));
    return { config: { engine: 'duckdb', path: join(scratch, 'w.db') }, scratch, dispose: () => rm(scratch, { recursive: true, force: true }) };
  },
});
