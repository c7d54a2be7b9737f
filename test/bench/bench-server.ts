import { mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cacheDir, openToAll, startPostgres, type PostgresServer } from '../services/index.js';

/** A server whose data stay, so that a table is seeded once; BENCH_DATA names another place for them. As a user's would be set, but for fsync. */
export async function startBenchServer(): Promise<PostgresServer> {
  await mkdir(cacheDir, { recursive: true });
  const dir = process.env['BENCH_DATA'] ? process.env['BENCH_DATA'] : process.getuid?.() === 0 && !(await openToAll(cacheDir)) ? join(tmpdir(), 'tapline-bench') : join(cacheDir, 'bench');
  const conf = { shared_buffers: '1GB', max_wal_size: '4GB', wal_level: 'replica', autovacuum: 'off', checkpoint_timeout: '30min' };
  return startPostgres({ version: 18, dir, conf });
}

export interface MixedOptions {
  /** Among which the rows are divided. Default: events alone. */
  readonly tables?: readonly string[];
  /** Whether they have a primary key. Default: yes. */
  readonly keyed?: boolean;
}

/**
 * `rows` rows of nine mixed columns, some 220 bytes a row as CSV and 300 as JSON; made once, in a database of its own. One value in
 * eleven of three columns is null.
 */
export async function mixedTable(server: PostgresServer, rows: number, { tables = ['events'], keyed = true }: MixedOptions = {}): Promise<{ url: string; database: string }> {
  const name = `mixed_${rows}${tables.length > 1 ? `_in_${tables.length}` : ''}${keyed ? '' : '_keyless'}`;
  const [found] = await server.database('postgres').query('SELECT 1 FROM pg_database WHERE datname = $1', [name]);
  if (!found) {
    console.log(`Seeding ${rows.toLocaleString('en')} rows, once`);
    await server.database('postgres').query(`DROP DATABASE IF EXISTS ${name}_new`);
    const database = await server.createDatabase(`${name}_new`);
    const each = Math.ceil(rows / tables.length);
    for (const [at, table] of tables.entries()) {
      await database.query(seedOf(table, { first: at * each + 1, last: Math.min(rows, (at + 1) * each), keyed }));
      await database.query(`VACUUM (FREEZE, ANALYZE) ${table}`);
    }
    await server.database('postgres').query(`ALTER DATABASE ${name}_new RENAME TO ${name}`);
    await server.database('postgres').query('CHECKPOINT');
  }
  return { url: server.database(name).url, database: name };
}

const seedOf = (table: string, { first, last, keyed }: { readonly first: number; readonly last: number; readonly keyed: boolean }): string => `
  CREATE TABLE ${table} (
    id bigint ${keyed ? 'PRIMARY KEY' : 'NOT NULL'}, customer_id integer NOT NULL, amount numeric(12,2), status text NOT NULL, note text,
    created_at timestamptz NOT NULL, attributes jsonb, paid boolean NOT NULL, score double precision);
  INSERT INTO ${table}
  SELECT i, i * 7919 % 100000, (i * 31 % 10000000) / 100.0,
    (ARRAY['new', 'paid', 'shipped', 'returned'])[1 + i % 4],
    CASE WHEN i % 11 <> 0 THEN 'order ' || i || ' of ' || md5(i::text) || ', left at the door' || CASE WHEN i % 5 = 0 THEN E', "quoted"\\n' ELSE '' END END,
    timestamptz '2025-01-01' + i * interval '1.234567 seconds',
    CASE WHEN i % 11 <> 1 THEN jsonb_build_object('sku', md5((i * 3)::text), 'count', i % 9, 'tags', jsonb_build_array('a', i % 100)) END,
    i % 3 = 0, CASE WHEN i % 11 <> 2 THEN sin(i) * 1000 END
  FROM generate_series(${first}::bigint, ${last}::bigint) AS i;`;

export const mixedColumns = {
  id: 'BIGINT', customer_id: 'INTEGER', amount: 'DECIMAL(12,2)', status: 'VARCHAR', note: 'VARCHAR',
  created_at: 'TIMESTAMPTZ', attributes: 'VARCHAR', paid: 'BOOLEAN', score: 'DOUBLE',
} as const;
