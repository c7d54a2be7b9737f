/**
 * Every version of a key, in a table of `history`. What came is laid between what is there: where records come in their order that
 * touches the last version of a key only, else all from the place on where the first of them belongs.
 *
 * A version holds from its own time on, but not from before the version before it; until the next one, or the deletion. Of several in
 * one transaction the last one stays. Rows of a later generation follow those of an earlier one.
 */
import { sqlName, unchangedColumn } from '@tapline/columnar';
import type { TableName } from '../dialects/dialect.js';
import { isCurrent, orderColumn, validFrom, validTo } from '../tables/own-columns.js';
import type { TableColumn } from '../tables/shape.js';
import type { Warehouse } from '../warehouse.js';
import { deletedAt, type Layout } from './layout.js';
import { filledRows } from './marks.js';
import { tellUnknown } from './merge.js';
import { insertInto, temporary, withMarker } from './temporary.js';

export interface HistoryRequest {
  readonly warehouse: Warehouse;
  /** In the warehouse's SQL. */
  readonly layout: Layout;
  /** Records, deletions among them, with the marker where `marked` names columns. */
  readonly events: TableName;
  readonly table: TableName;
  readonly marked: readonly string[];
  /** Columns of the key that are null in a record. */
  readonly nullable: ReadonlySet<string>;
  /** The records are a whole generation: keys that it does not have end where it begins. */
  readonly replace: boolean;
}

const generation = '_airbyte_generation_id';
const updatedAt = '_ab_cdc_updated_at';
/** In a table of versions: when the one that follows begins. */
const nextFrom = (layout: Layout): TableColumn => ({ name: layout.helper('next'), type: { kind: 'timestamptz' }, field: undefined });

/** Returns how many values are null because nobody told them. */
export async function extendHistory(request: HistoryRequest): Promise<number> {
  const { warehouse, layout, events, table, marked, nullable } = request;
  const { columns } = layout;
  const [e, t] = [warehouse.dialect.table(events), warehouse.dialect.table(table)];
  const places = columns.filter(({ name }) => layout.shape.key.includes(name) || [layout.cursor?.name, layout.shape.deletes && deletedAt, orderColumn, generation].includes(name));

  const nth = layout.helper('n');
  await using first = await temporary(warehouse, places);
  await insertInto(warehouse, first, places, `SELECT ${places.map(({ name }) => `r.${sqlName(name)}`).join(', ')} FROM (SELECT r.*, row_number() OVER (${partition(layout)}) AS ${nth} FROM ${e} r) r WHERE r.${nth} = 1`);

  const withNext = [...columns, nextFrom(layout)];
  await using touched = await temporary(warehouse, withNext);
  await insertInto(warehouse, touched, withNext, touchedSql(request, t, first.sql));

  const made = withMarker(columns, marked.length > 0);
  await using versions = await temporary(warehouse, made);
  await insertInto(warehouse, versions, made, versionsSql(layout, { events: e, touched: touched.sql, marked }));
  const nulled = await tellUnknown({ warehouse, layout, table: versions.name, marked });

  const sameRow = `${layout.sameKey('p', 't', nullable)} AND t.${generation} = p.${generation} AND t.${orderColumn} = p.${orderColumn}`;
  await warehouse.run(`DELETE FROM ${t} AS t USING ${touched.sql} AS p WHERE ${sameRow}`);
  if (request.replace) {
    const begin = `coalesce((SELECT min(${timeOf(layout, 'r')}) FROM ${e} r), now())`;
    const absent = `t.${isCurrent} AND NOT EXISTS (SELECT 1 FROM ${first.sql} f WHERE ${layout.sameKey('f', 't', nullable)})`;
    const closed = listWith(layout, 't', { [validTo]: `greatest(t.${validFrom}, ${begin})`, [isCurrent]: 'false' });
    await warehouse.run(`INSERT INTO ${versions.sql} (${layout.list()}) SELECT ${closed} FROM ${t} t WHERE ${absent}`);
    await warehouse.run(`DELETE FROM ${t} AS t WHERE ${absent}`);
  }
  await warehouse.run(`INSERT INTO ${t} (${layout.list()}) SELECT ${layout.list('v')} FROM ${versions.sql} v`);
  return nulled;
}

/** The rows of a table become a history by the key of `layout`, whatever they were. `wasHistory`: they are versions, by another key. */
export async function beginHistory({ warehouse, layout, table, wasHistory }: { readonly warehouse: Warehouse; readonly layout: Layout; readonly table: TableName; readonly wasHistory: boolean }): Promise<void> {
  const { columns } = layout;
  const t = warehouse.dialect.table(table);
  const followed = nextFrom(layout);
  const all = [...columns, followed];
  await using events = await temporary(warehouse, columns);
  await using touched = await temporary(warehouse, all);
  if (wasHistory) {
    const next = `lead(r.${validFrom}) OVER (${partition(layout)}) AS ${followed.name}`;
    await insertInto(warehouse, touched, all, `SELECT ${layout.list('r')}, ${next} FROM ${t} r`);
  } else {
    await insertInto(warehouse, events, columns, `SELECT ${layout.list('r')} FROM ${t} r`);
  }
  await using versions = await temporary(warehouse, columns);
  await insertInto(warehouse, versions, columns, versionsSql(layout, { events: events.sql, touched: touched.sql, marked: [] }));
  await warehouse.run(`DELETE FROM ${t}`);
  await warehouse.run(`INSERT INTO ${t} (${layout.list()}) SELECT ${layout.list('v')} FROM ${versions.sql} v`);
}

const partition = (layout: Layout): string => `PARTITION BY ${layout.keyOf('r').join(', ')} ORDER BY ${layout.ascending('r', true)}`;

/** Of the versions that are there: those from the first record of their key on, and the last one before it. */
function touchedSql({ layout, nullable }: HistoryRequest, t: string, first: string): string {
  const [nextName, older, nextOlder] = [nextFrom(layout).name, layout.helper('older'), layout.helper('next_older')];
  // Users may have added columns to the table.
  const placed = `SELECT ${layout.list('t')}, ${layout.after('f', 't', true)} AS ${older} FROM ${t} t JOIN ${first} f ON ${layout.sameKey('f', 't', nullable)}`;
  const next = `lead(r.${validFrom}) OVER (${partition(layout)}) AS ${nextName}, lead(r.${older}) OVER (${partition(layout)}) AS ${nextOlder}`;
  return `SELECT ${layout.list('r')}, r.${nextName} FROM (SELECT r.*, ${next} FROM (${placed}) r) r WHERE NOT coalesce(r.${nextOlder}, false)`;
}

interface Parts {
  readonly events: string;
  /** Versions that are there, with the time of the one that follows. */
  readonly touched: string;
  readonly marked: readonly string[];
}

function versionsSql(layout: Layout, { events: e, touched, marked }: Parts): string {
  const [time, own, ended, from, superseded, to] = ['time', 'own', 'ended', 'from', 'superseded', 'to'].map((name) => layout.helper(name)) as [string, string, string, string, string, string];
  const marks = (value: string): string => (marked.length > 0 ? `, ${value} AS ${sqlName(unchangedColumn)}` : '');
  const none = 'CAST(NULL AS timestamptz)';
  // A version that is there and ends before the next one begins, or with none behind it, was ended by a deletion, which is there no more.
  const next = `r.${nextFrom(layout).name}`;
  const endedAt = `CASE WHEN ${next} IS NULL OR ${next} > r.${validTo} THEN r.${validTo} END`;
  const rows = `SELECT ${layout.list('r')}, ${timeOf(layout, 'r')} AS ${time}, ${timeOf(layout, 'r')} AS ${own}, ${none} AS ${ended}${marks(`r.${sqlName(unchangedColumn)}`)} FROM ${e} r `
    + `UNION ALL SELECT ${layout.list('r')}, r.${validFrom}, ${timeOf(layout, 'r')}, ${endedAt}${marks('CAST(NULL AS text)')} FROM ${touched} r`;
  const extra = [time, own, ended];
  const placed = layout.placed(rows, marked.length > 0 ? [...extra, unchangedColumn] : extra);
  const filled = filledRows({ layout, rows: placed, marked, extra, byGeneration: true });

  const window = partition(layout);
  const begun = `max(r.${time}) OVER (${window} ROWS UNBOUNDED PRECEDING)`;
  const endedBefore = `max(r.${ended}) OVER (${window} ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)`;
  const transaction = `substr(r.${orderColumn}, 1, 16)`;
  const isSuperseded = [transaction, `r.${own}`, `r.${generation}`].map((part) => `lead(${part}) OVER (${window}) = ${part}`).join(' AND ');
  const timed = `SELECT r.*, greatest(${begun}, coalesce(${endedBefore}, ${begun})) AS ${from}, coalesce(${isSuperseded}, false) AS ${superseded} FROM (${filled}) r`;
  const lives = `SELECT r.*, CASE WHEN r.${ended} IS NULL THEN lead(r.${from}) OVER (${window}) ELSE greatest(r.${ended}, r.${from}) END AS ${to} FROM (${timed}) r WHERE NOT r.${superseded}`;
  const list = listWith(layout, 'r', { [validFrom]: `r.${from}`, [validTo]: `r.${to}`, [isCurrent]: `r.${to} IS NULL` });
  return `SELECT ${list}${marks(`r.${sqlName(unchangedColumn)}`)} FROM (${lives}) r WHERE NOT (${layout.deleted('r')})`;
}

/** All columns, some of ours with other values. */
const listWith = (layout: Layout, alias: string, values: Readonly<Record<string, string>>): string =>
  layout.columns.map(({ name, field }) => (field === undefined && values[name] !== undefined ? `${values[name]} AS ${name}` : `${alias}.${sqlName(name)}`)).join(', ');

/** A record that is the only one of its key, as a version. */
export const firstVersion = (layout: Layout, alias: string): string => listWith(layout, alias, { [validFrom]: timeOf(layout, alias), [validTo]: 'CAST(NULL AS timestamptz)', [isCurrent]: 'true' });

/** When the record became true. */
function timeOf(layout: Layout, alias: string): string {
  const of = (name: string): string => `${alias}.${sqlName(name)}`;
  const { cursor } = layout.shape;
  const type = layout.columns.find(({ name }) => name === cursor)?.type.kind;
  const known = [
    ...(layout.has(deletedAt) ? [of(deletedAt)] : []),
    ...(layout.has(updatedAt) ? [of(updatedAt)] : cursor !== undefined && type === 'timestamptz' ? [of(cursor)] : cursor !== undefined && type === 'timestamp' ? [`${of(cursor)} AT TIME ZONE 'UTC'`] : []),
  ];
  return `coalesce(${[...known, of('_airbyte_extracted_at')].join(', ')})`;
}
