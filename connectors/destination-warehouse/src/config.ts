import { z } from 'zod';
import { postgresFields } from './engines/postgres-config.js';

const about = <Schema extends z.ZodType>(schema: Schema, description: string): Schema => schema.meta({ ...schema.meta(), description });

const fields = z.strictObject({
  engine: about(z.enum(['duckdb', 'postgres']), 'What the warehouse is.'),
  path: about(z.string().min(1), 'DuckDB: the file. It is made where there is none.').optional(),
  ...postgresFields,
  deletes: about(z.enum(['hard', 'soft']), 'Of streams that tell deletions, merged: hard removes the row, soft keeps it with the time in _ab_cdc_deleted_at.').default('hard'),
  history: about(z.enum(['none', 'scd2']), 'Merged streams: none keeps one row a key; scd2 keeps every version, with valid_from, valid_to and is_current.').default('none'),
  bad_values: about(z.enum(['null', 'quarantine', 'fail']), 'A value that its column cannot hold: null with an entry in _airbyte_meta, besides a row in _tapline._tapline_quarantine, or fail.').default('null'),
  schema: about(z.enum(['evolve', 'add_only', 'freeze', 'discard']), 'When a stream changes: evolve (add and widen columns), add_only (never touch a column that is there), freeze (fail), discard (leave new fields out).').default('evolve'),
  schema_name: about(z.string().min(1), 'Schema of a stream\'s table; {namespace} and {stream} stand for its names. Streams without a namespace go to public (PostgreSQL) or main (DuckDB).').default('{namespace}'),
  table_name: about(z.string().min(1), 'Name of a stream\'s table, likewise, as in raw_{stream}.').default('{stream}'),
  post_sql: about(z.array(z.string().min(1)), 'Statements that run after a load, in order; with --continuous after a commit, at most every post_sql_seconds.').optional(),
  post_sql_seconds: about(z.number().min(0), 'With --continuous: seconds from one run of post_sql to the next.').default(60),
  flush_mb: about(z.number().positive(), 'Commit after so many MB of input. Default: 128; of batches, which are packed closer and loaded while the next ones come, 16 to 128.').optional(),
  flush_seconds: about(z.number().positive(), 'Commit after so many seconds, at the next checkpoint; --flush wins. Default: 60.').optional(),
  memory_mb: about(z.int().min(64), 'For the embedded engine. Default: 256, at most a quarter of what the process may use.').optional(),
  staging_dir: about(z.string().min(1), 'Where batches are prepared. Default: the scratch folder of the run, else the one of the system.').optional(),
  sync_name: about(z.string().min(1), 'Only for platforms other than Tapline: each connection into one warehouse needs its own.').default('default'),
});

export const config = fields.superRefine((value, context) => {
  const wrong = (path: string, message: string): void => context.addIssue({ code: 'custom', path: [path], message });
  if (value.engine === 'duckdb') {
    if (value.path === undefined) wrong('path', 'say which file: path');
    for (const name of Object.keys(postgresFields) as (keyof typeof postgresFields)[]) if (value[name] !== undefined) wrong(name, 'belongs to PostgreSQL, not to a DuckDB file');
  } else if (value.path !== undefined) wrong('path', 'belongs to DuckDB; for PostgreSQL give host and database');
});
export type Config = z.infer<typeof fields>;
