/** Indexes bear the name of the table they were made with; the next table of that name would find it taken. */
import { identifier, qualified } from '@tapline/postgres-client';
import type { TableName } from '../dialects/dialect.js';
import { relationOf, type RunSql } from './postgres-catalog.js';

const longest = 63;

/** Of a table that was made as `madeAs`. As PostgreSQL names them itself: `<table>_pkey`, `<table>_idx`, with a number where that is taken. */
export async function nameIndexes(run: RunSql, into: TableName, madeAs: string): Promise<void> {
  const { oid } = (await relationOf(run, into))!;
  const rows = await run(
    `SELECT c.relname::text AS name, i.indisprimary AS primary FROM pg_catalog.pg_index AS i JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
     WHERE i.indrelid = $1::pg_catalog.oid AND pg_catalog.starts_with(c.relname::text, $2) ORDER BY c.relname`,
    [oid, madeAs],
  );
  for (const row of rows) {
    const ending = row['primary'] === true ? '_pkey' : '_idx';
    for (let n = 0; ; n++) {
      const name = clip(into.table, `${ending}${n === 0 ? '' : n}`);
      if (await relationOf(run, { schema: into.schema, table: name })) continue;
      await run(`ALTER INDEX ${qualified(into.schema, String(row['name']))} RENAME TO ${identifier(name)}`);
      break;
    }
  }
}

/** `name` and `ending` in no more bytes than a name may have; no character is cut in two. */
function clip(name: string, ending: string): string {
  let kept = name;
  while (Buffer.byteLength(kept + ending) > longest) kept = Array.from(kept).slice(0, -1).join('');
  return kept + ending;
}
