import type { Warehouse } from './warehouse.js';

/** One after the other, in the transaction that is open, if one is. */
export async function runAll(warehouse: Pick<Warehouse, 'run'>, statements: readonly string[]): Promise<void> {
  for (const statement of statements) await warehouse.run(statement);
}
