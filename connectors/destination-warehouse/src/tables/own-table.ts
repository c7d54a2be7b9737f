import type { NewColumn, TableName } from '../dialects/dialect.js';
import { runAll } from '../run-all.js';
import type { Warehouse } from '../warehouse.js';
import { existingRelation, schemaExists } from './existing.js';

/** Makes a table of ours, and the schema, where they are missing. Two syncs may begin at once: who comes second finds it there. */
export async function ensureOwnTable(warehouse: Warehouse, table: TableName, columns: readonly NewColumn[], key: readonly string[] = []): Promise<void> {
  const make = async (exists: () => Promise<boolean>, statements: readonly string[]): Promise<void> => {
    if (await exists()) return;
    try {
      await runAll(warehouse, statements);
    } catch (error) {
      if (!(await exists())) throw error;
    }
  };
  await make(() => schemaExists(warehouse, table.schema), [warehouse.dialect.createSchema(table.schema)]);
  await make(async () => (await existingRelation(warehouse, table)) !== undefined, warehouse.dialect.createTable(table, columns, key));
}
