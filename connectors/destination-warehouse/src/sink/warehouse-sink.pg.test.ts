import { testDatabase } from '@tapline/test/shared';
import { openPostgres } from '../engines/postgres.js';
import { sinkSuite } from './sink-suite.test.support.js';

// What differs between versions is the dialect's and the writer's, whose tests run on both.
for (const version of process.env['CHAOS'] === 'full' ? ([14, 18] as const) : ([18] as const)) {
  sinkSuite(`PostgreSQL ${version}`, {
    shared: true,
    async place() {
      const database = await testDatabase(version);
      const { host, port, user, password, name } = database;
      return {
        open: (sync, scratch) => openPostgres({ config: { host, port, user, password, database: name }, sync, scratch, log: () => undefined }),
        config: { engine: 'postgres' },
        dispose: () => database.drop(),
      };
    },
  });
}
