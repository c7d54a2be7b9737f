/** The statements by which rows leave the server. */
import { identifier, qualified } from '@tapline/postgres-client';
import type { Relation, RelationColumn } from './relations.js';
import { jsonForm } from './types.js';

/** Which rows of which columns, and in which order. */
export interface CopyRows {
  readonly relation: Relation;
  /** What travels, in this order; under its own name unless it says another. */
  readonly columns: readonly (RelationColumn & { readonly property?: string | undefined })[];
  /** A condition on the alias `s`. */
  readonly where?: string | undefined;
  readonly orderBy?: readonly string[];
  /** Text expressions on the alias `t`, over columns in `needed`: each a field after the row's own. */
  readonly fields?: readonly string[];
  readonly needed?: readonly string[];
  /** Columns, among `columns` or `needed`, whose text is wanted of the last row of each block. Not beside `fields`. */
  readonly lastOf?: readonly string[];
}

/** Where the server writes the text of them for each row. */
export const lastFields = ({ lastOf = [] }: CopyRows): string[] => lastOf.map((name) => `t.${identifier(name)}::pg_catalog.text`);

/** Each row as the JSON of a line. `wide`: the columns in which integers beyond 2^53 can be. */
export function copyStatement(rows: CopyRows, wide: ReadonlySet<string>): string {
  const { columns, fields = lastFields(rows) } = rows;
  const values = columns.map(({ name, type, property = name }) => `${jsonForm(type, `t.${identifier(name)}`, wide.has(name))} AS ${identifier(property)}`).join(', ');
  // Without columns there is nothing that row_to_json could look at.
  const json = columns.length > 0 ? 'pg_catalog.row_to_json(r.*)' : `'{}'::pg_catalog.json`;
  return copyOf([json, ...fields], rows, columns.length > 0 ? `, LATERAL (SELECT ${values}) r` : '');
}

/**
 * `values` on the alias `t`, binary. Rows are ordered before they are encoded: a sort on the server, where there has to be one, must not
 * carry JSON. The names of our aliases cannot clash with those of columns: every reference is qualified.
 */
export function copyOf(values: readonly string[], { relation, columns, where, orderBy = [], needed = [] }: CopyRows, more = ''): string {
  const inner = new Set([...columns.map(({ name }) => name), ...needed, ...orderBy]);
  const list = [...inner].map((name) => `s.${identifier(name)}`).join(', ');
  const order = (alias: string): string => (orderBy.length > 0 ? ` ORDER BY ${orderBy.map((name) => `${alias}.${identifier(name)}`).join(', ')}` : '');
  const from = `(SELECT ${list} FROM ${source(relation)} s${where ? ` WHERE ${where}` : ''}${order('s')}) t`;
  return `COPY (SELECT ${values.join(', ')} FROM ${from}${more}${order('t')}) TO STDOUT (FORMAT binary)`;
}

/** Children by inheritance are streams themselves: their rows must not come twice. */
export const source = (relation: Relation): string => `${relation.hasChildren ? 'ONLY ' : ''}${qualified(relation.schema, relation.name)}`;

/**
 * One text for a key, to tell rows apart by. A nullable column may be in a key that the user declared: a JSON array holds nulls.
 */
export function keyText(relation: Relation, key: readonly string[], alias: string): string {
  const [first, ...rest] = key;
  const column = (name: string): string => `${alias}.${identifier(name)}::pg_catalog.text`;
  if (first !== undefined && rest.length === 0 && relation.columns.find(({ name }) => name === first)?.notNull) return column(first);
  return `pg_catalog.json_build_array(${key.map(column).join(', ')})::pg_catalog.text`;
}
