/** Values that their columns could not hold: null, with an entry in `_airbyte_meta`, and what else the user asked for. */
import { sqlName, sqlString } from '@tapline/columnar';
import { configError, streamKey } from '@tapline/protocol';
import type { ColumnType, NewColumn, TableName } from '../dialects/dialect.js';
import { ownSchema } from '../tables/names.js';
import type { Warehouse } from '../warehouse.js';
import type { Layout } from './layout.js';
import type { TableWriterOptions } from './requests.js';

const text: ColumnType = { kind: 'text' };
export const quarantine: TableName = { schema: ownSchema, table: '_tapline_quarantine' };
/** One row a value. `key`: JSON text of the row's key, null where the stream has none. */
export const quarantineColumns: readonly NewColumn[] = [
  ...['stream', 'key', 'field', 'reason', 'run'].map((name) => ({ name, type: text, nullable: true })), { name: 'at', type: { kind: 'timestamptz' }, nullable: true },
];

export interface BadValuesRequest extends TableWriterOptions {
  /** In the embedded engine's SQL. */
  readonly layout: Layout;
  /** Rows of the files. */
  readonly rows: string;
}

/** SQL: true where a row may have one. */
export const mayBeBad = `contains(_airbyte_meta, '"reason":"DESTINATION_')`;

/** Returns how many there are. Rejects with a `config_error` that names the fields where the user wants none. */
export async function tellBadValues({ warehouse, layout, rows, badValues, run }: BadValuesRequest): Promise<number> {
  const stream = streamKey(layout.shape.stream);
  const entry = `'[{"field":"VARCHAR","change":"VARCHAR","reason":"VARCHAR"}]'`;
  const key = layout.key.length === 0 ? 'NULL::VARCHAR' : `json_object(${layout.key.map(({ name }) => `${sqlString(name)}, r.${sqlName(name)}`).join(', ')})::VARCHAR`;
  const entries = `SELECT * FROM (SELECT ${key} AS key, r._airbyte_extracted_at AS "at", unnest(from_json(json_extract(r._airbyte_meta, '$.changes'), ${entry})) AS e `
    + `FROM (${rows}) r WHERE ${mayBeBad}) WHERE e."change" = 'NULLED' AND starts_with(e.reason, 'DESTINATION_')`;
  const fields = await warehouse.query(`SELECT e.field AS field, count(*) AS n FROM (${entries}) GROUP BY 1 ORDER BY 2 DESC, 1`);
  const count = fields.reduce((sum, { n }) => sum + Number(n), 0);
  if (count === 0) return 0;
  if (badValues === 'fail') {
    const named = fields.slice(0, 5).map(({ field, n }) => `'${String(field)}' (${String(n)})`).join(', ') + (fields.length > 5 ? ', …' : '');
    throw configError(
      `stream ${stream}: ${count === 1 ? 'a value does' : `${count} values do`} not fit into ${fields.length === 1 ? 'its column' : 'their columns'}: ${named}. `
      + 'Nothing of this commit was written. Correct the source, or set bad_values to null or quarantine',
      { code: 'bad_values', stream: layout.shape.stream },
    );
  }
  if (badValues === 'quarantine') {
    await ensureQuarantine(warehouse);
    await warehouse.load({
      table: quarantine,
      columns: quarantineColumns,
      select: `SELECT ${sqlString(stream)} AS stream, key, e.field AS field, e.reason AS reason, ${sqlString(run)} AS run, "at" FROM (${entries})`,
    });
  }
  return count;
}

async function ensureQuarantine(warehouse: Warehouse): Promise<void> {
  const columns = quarantineColumns.map(({ name, type }) => `${sqlName(name)} ${warehouse.dialect.type(type)}`);
  await warehouse.run(`CREATE TABLE IF NOT EXISTS ${warehouse.dialect.table(quarantine)} (${columns.join(', ')})`);
}
