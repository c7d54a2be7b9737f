/** What the database has. */
import type { TableName } from '../dialects/dialect.js';
import type { Row, Warehouse } from '../warehouse.js';
import { identity } from './names.js';

export interface ExistingRelation {
  /** In words, for messages. */
  readonly kind: 'table' | 'view' | 'materialized view' | 'foreign table' | 'partitioned table' | 'partition' | 'relation';
  /** As the engine spells the types. */
  readonly columns: readonly { readonly name: string; readonly type: string }[];
}

const kinds: Readonly<Record<string, ExistingRelation['kind']>> = {
  r: 'table', v: 'view', m: 'materialized view', f: 'foreign table', p: 'partitioned table', partition: 'partition',
};

/** What there is under a table's name; undefined = nothing. */
export async function existingRelation(warehouse: Warehouse, name: TableName): Promise<ExistingRelation | undefined> {
  const rows = await warehouse.run(warehouse.dialect.catalog.relation, [name.schema, name.table]);
  return rows.length === 0 ? undefined : relationOf(rows);
}

/** All there is in some schemas, by `identity`: one look for many tables. */
export async function existingRelations(warehouse: Warehouse, of: Iterable<string>): Promise<Map<string, ExistingRelation>> {
  const { dialect } = warehouse;
  const wanted = [...new Set([...of].map((schema) => (dialect.caseSensitive ? schema : schema.toLowerCase())))];
  if (wanted.length === 0) return new Map();
  const rows = await warehouse.run(dialect.catalog.relations(wanted.length), wanted);
  const byName = new Map<string, Row[]>();
  for (const row of rows) {
    const key = identity({ schema: String(row['schema_name']), table: String(row['relation_name']) }, dialect);
    const known = byName.get(key);
    if (known) known.push(row);
    else byName.set(key, [row]);
  }
  return new Map([...byName].map(([key, columns]) => [key, relationOf(columns)]));
}

export async function schemaExists(warehouse: Warehouse, schema: string): Promise<boolean> {
  return (await warehouse.run(warehouse.dialect.catalog.schema, [schema])).length > 0;
}

function relationOf(rows: readonly Row[]): ExistingRelation {
  const columns = rows.filter((row) => row['name'] !== null).map((row) => ({ name: String(row['name']), type: String(row['type']) }));
  return { kind: kinds[String(rows[0]!['kind'])] ?? 'relation', columns };
}
