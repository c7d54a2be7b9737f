import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';
import { notToday } from './test/harness/everyday.js';

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));

// TypeScript of the workspace that tests of every package import, without depending on the package it lies in.
const alias = [
  { find: /^@tapline\/test\/services$/, replacement: path('test/services/index.ts') },
  { find: /^@tapline\/test\/shared$/, replacement: path('test/services/shared.ts') },
  { find: /^@tapline\/test\/digested$/, replacement: path('test/harness/digested.ts') },
  { find: /^@tapline\/test\/everyday$/, replacement: path('test/harness/everyday.ts') },
  { find: /^@tapline\/test\/batch-columns$/, replacement: path('test/harness/batch-columns.ts') },
];

const everywhere = ['{protocol,catalog,runner}/src/**', 'connectors/*/src/**', 'examples/*/src/**', 'test/**'];
/** Files that are alike take turns in `npm test`; whoever names one has it. */
const turns = [
  ['test/interop/pyairbyte.pg.test.ts', 'test/interop/source-faker.test.ts'],
  ['test/e2e/cdc-warehouse.pg.test.ts', 'test/e2e/cdc-differential.pg.test.ts'],
  ['test/chaos/warehouse-verify.pg.test.ts', 'test/e2e/verify-warehouse.pg.test.ts'],
] as const;
const exclude = ['**/node_modules/**', '**/dist/**', '.cache/**', ...(process.env['TAPLINE_TURNS'] ? notToday(turns) : [])];
const onServers = everywhere.flatMap((folder) => [`${folder}/*.pg.test.ts`, `${folder}/*.s3.test.ts`]);
// Whole processes against whole servers. Each file has databases and folders of its own; what installs or builds runs alone.
const endToEnd = ['test/{e2e,chaos,interop}/**/*.test.ts'];
const alone = ['test/{packages,demo}/**/*.test.ts'];
const whole = [...endToEnd, ...alone];

export default defineConfig({
  test: {
    // They wait for each other's processes more than they compute: two at a time leave a fifth of two cores idle.
    maxWorkers: 3,
    reporters: ['default'],
    projects: [
      {
        resolve: { alias },
        test: {
          name: 'unit',
          include: everywhere.map((folder) => `${folder}/*.test.ts`),
          exclude: [...exclude, ...onServers, ...whole],
          testTimeout: 20_000,
        },
      },
      {
        resolve: { alias },
        test: {
          name: 'servers',
          include: onServers,
          exclude: [...exclude, ...whole],
          globalSetup: ['test/services/global-setup.ts'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        resolve: { alias },
        test: {
          name: 'e2e',
          include: endToEnd,
          exclude,
          globalSetup: ['test/services/global-setup.ts'],
          testTimeout: 180_000,
          hookTimeout: 120_000,
          sequence: { groupOrder: 1 },
        },
      },
      {
        resolve: { alias },
        test: {
          name: 'whole',
          include: alone,
          exclude,
          globalSetup: ['test/services/global-setup.ts'],
          fileParallelism: false,
          testTimeout: 180_000,
          hookTimeout: 120_000,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
