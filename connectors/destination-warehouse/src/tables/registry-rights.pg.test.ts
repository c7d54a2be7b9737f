import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { testDatabase } from '@tapline/test/shared';
import type { TestDatabase } from '@tapline/test/services';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openPostgres } from '../engines/postgres.js';
import type { Warehouse } from '../warehouse.js';
import { applyChanges } from './changes.js';
import { planTable } from './evolve.js';
import { Registry } from './registry.js';
import { declared } from './stream-schema.test.support.js';

let database: TestDatabase;
let scratch: string;
const role = `registry_${process.pid}`;
beforeAll(async () => {
  database = await testDatabase(18);
  scratch = await mkdtemp(join(tmpdir(), 'warehouse-registry-'));
});
afterAll(async () => {
  await database.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`).catch(() => undefined);
  await database.drop();
  await rm(scratch, { recursive: true, force: true });
});

const open = (sync: string, as: { user?: string; password?: string } = {}): Promise<Warehouse> => {
  const { host, port, user, password, name } = database;
  return openPostgres({ config: { host, port, user, password, database: name, ...as }, sync, scratch, log: () => undefined });
};

test('syncs that begin at once in an empty database all find the registry', async () => {
  const warehouses = await Promise.all(['a', 'b', 'c', 'd', 'e', 'f'].map((sync) => open(sync)));
  try {
    const registries = await Promise.all(warehouses.map((warehouse, i) => Registry.open(warehouse, { sync: `sync-${i}` })));
    expect(registries.map(({ tables }) => tables.length)).toEqual([0, 0, 0, 0, 0, 0]);
    // And of two that make a table of one name, one gets it.
    const made = await Promise.allSettled(registries.slice(0, 2).map(async (registry, i) => {
      const table = await registry.tableFor({ namespace: 'shop', name: 'orders' });
      const planned = planTable(undefined, declared({ id: 'int64' }, { namespace: 'shop' }), { dialect: warehouses[i]!.dialect, table, policy: 'evolve', history: false, deletes: 'hard' });
      await warehouses[i]!.transaction(async () => {
        await applyChanges(warehouses[i]!, table, planned.changes);
        await registry.save(planned.shape);
      });
    }));
    expect(made.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    const loser = made.findIndex(({ status }) => status === 'rejected');
    const { reason } = made[loser] as PromiseRejectedResult;
    expect(reason).toMatchObject({ kind: expect.stringMatching(/transient_error|config_error/) });
    await expect((await Registry.open(warehouses[loser]!, { sync: `sync-${loser}` })).tableFor({ namespace: 'shop', name: 'orders' })).rejects.toMatchObject({ code: 'table_of_another_sync' });
  } finally {
    for (const warehouse of warehouses) await warehouse[Symbol.asyncDispose]();
  }
});

test('a role that may make no schemas writes to those that it was given', async () => {
  await database.query(
    `CREATE ROLE ${role} LOGIN PASSWORD 'secret'; DROP SCHEMA IF EXISTS _tapline CASCADE; CREATE SCHEMA _tapline AUTHORIZATION ${role}; CREATE SCHEMA given; GRANT USAGE, CREATE ON SCHEMA given TO ${role}`,
  );
  const warehouse = await open('limited', { user: role, password: 'secret' });
  try {
    const registry = await Registry.open(warehouse, { sync: 'limited' });
    const plan = async (namespace: string): Promise<void> => {
      const table = await registry.tableFor({ namespace, name: 'orders' });
      const planned = planTable(undefined, declared({ id: 'int64' }, { namespace }), { dialect: warehouse.dialect, table, policy: 'evolve', history: false, deletes: 'hard' });
      await warehouse.transaction(async () => {
        await applyChanges(warehouse, table, planned.changes);
        await registry.save(planned.shape);
      });
    };
    await plan('given');
    expect(registry.tables).toHaveLength(1);
    await expect(plan('nowhere')).rejects.toMatchObject({ kind: 'config_error', message: expect.stringContaining('may not make a schema') });
  } finally {
    await warehouse[Symbol.asyncDispose]();
  }
});
