import type { TestDatabase } from '../services/postgres.js';

/** What of the types that a server may lack (extensions, xml) this one has. */
export async function availableTypes(database: TestDatabase): Promise<Set<string>> {
  const extensions = await database.query<{ name: string }>(`SELECT name FROM pg_available_extensions WHERE name IN ('hstore', 'citext', 'ltree')`);
  const has = new Set(extensions.map(({ name }) => name));
  await database.query(`SELECT '<a/>'::xml`).then(() => has.add('xml'), () => {});
  return has;
}
