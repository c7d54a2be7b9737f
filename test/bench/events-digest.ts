/** Whether two copies of the table of events hold the same rows. What is not right need not be fast. */
import type { TestDatabase } from '../services/index.js';
import { askDuckdb } from './ask-duckdb.js';

/** One line that is the same for two copies of the table with the same rows, in the SQL of PostgreSQL and of DuckDB. */
export const digestOfEvents = (from: string, micros: (column: string) => string): string =>
  `SELECT concat_ws(' ', count(*), sum(id), sum(customer_id), sum(amount), count(note), sum(length(note)), sum(length(status)), sum(${micros('created_at')}),
     count(attributes), count(*) FILTER (WHERE paid), count(score)) AS digest, min(score) AS low, max(score) AS high FROM ${from}`;

export const microsInPostgres = (column: string): string => `(extract(epoch FROM ${column}) * 1000000)::bigint`;
export const microsInDuckdb = (column: string): string => `epoch_us(${column})`;

export const digestInPostgres = async (database: TestDatabase, table = 'events'): Promise<string> =>
  JSON.stringify(await database.query(digestOfEvents(table, microsInPostgres)));
/** `from` is a table, a file or a subquery; `first`, statements before. */
export const digestInDuckdb = async (from: string, first = ''): Promise<string> =>
  JSON.stringify(await askDuckdb(first + digestOfEvents(from, microsInDuckdb)));

/** Fails unless every copy has the source's rows. */
export async function requireSameRows(source: string, copies: Readonly<Record<string, string>>): Promise<void> {
  const wrong = Object.entries(copies).filter(([, digest]) => digest !== source);
  if (wrong.length > 0) throw new Error(`the rows differ:\n  source: ${source}\n${wrong.map(([name, digest]) => `  ${name}: ${digest}`).join('\n')}`);
}
