import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { testDatabase } from '@tapline/test/shared';
import { openPostgres } from '../engines/postgres.js';
import { registrySuite } from './registry-suite.test.support.js';

for (const version of process.env['CHAOS'] === 'full' ? ([14, 18] as const) : ([14] as const)) {
  registrySuite(`PostgreSQL ${version}`, {
    async open() {
      const database = await testDatabase(version);
      const scratch = await mkdtemp(join(tmpdir(), 'warehouse-registry-'));
      const { host, port, user, password, name } = database;
      const warehouse = await openPostgres({ config: { host, port, user, password, database: name }, sync: 's', scratch, log: () => undefined });
      return {
        warehouse,
        async dispose() {
          await warehouse[Symbol.asyncDispose]();
          await database.drop();
          await rm(scratch, { recursive: true, force: true });
        },
      };
    },
  });
}
