import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { postgresVersions } from '@tapline/test/everyday';
import { testDatabase } from '@tapline/test/shared';
import { policiesSuite } from './policies-suite.test.support.js';

for (const version of postgresVersions('policies')) {
  policiesSuite(`PostgreSQL ${version}`, {
    alterations: version === 14,
    async open() {
      const database = await testDatabase(version);
      const scratch = await mkdtemp(join(tmpdir(), 'warehouse-policies-'));
      const { host, port, user, password, name } = database;
      return {
        config: { engine: 'postgres', host, port, user, password, database: name },
        scratch,
        async dispose() {
          await database.drop();
          await rm(scratch, { recursive: true, force: true });
        },
      };
    },
  });
}
