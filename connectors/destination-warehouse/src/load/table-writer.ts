/**
 * What a commit does with the tables of streams, in its transaction: staged files become rows.
 *
 * A table that readers see has one row a key (`merge`) or one a version (`history`) at any time. The table of a generation that is
 * open, which nobody sees, is a log: every record as it came, deletions and unknown values among them. It is folded when the
 * generation completes, so that it does not matter in which order copied rows and changes came into it.
 */
import { sqlName, unchangedColumn } from '@tapline/columnar';
import { configError, streamKey } from '@tapline/protocol';
import type { TableName } from '../dialects/dialect.js';
import { duckdbForms } from '../dialects/duckdb-forms.js';
import { runAll } from '../run-all.js';
import type { TableColumn, TableShape } from '../tables/shape.js';
import { mayBeBad, tellBadValues } from './bad-values.js';
import { completeMerge } from './complete.js';
import { foldedRows } from './fold.js';
import { extendHistory } from './history.js';
import { Layout } from './layout.js';
import { metaOfUnknown, needsMarker, wholeRow } from './marks.js';
import { merge, unknownCount } from './merge.js';
import type { CompleteRequest, LoadFile, TableWriterOptions, WriteReport, WriteRequest } from './requests.js';
import { plainLoad } from './plain-load.js';
import { rekeyTable, type Before } from './rekey.js';
import { stagedRows } from './staged-rows.js';
import { temporary, withMarker } from './temporary.js';

/** One transaction is open in all of its methods, and it is theirs alone. */
export class TableWriter {
  readonly #options: TableWriterOptions;

  constructor(options: TableWriterOptions) {
    this.#options = options;
  }

  /**
   * Brings staged files into a table. Rejects with a `config_error` where `fail` was asked for and a value could not be held, and where
   * a record has no value in any column of its key.
   */
  async write({ shape, table, open, files }: WriteRequest): Promise<WriteReport> {
    if (files.length === 0) return { rows: 0, nulled: 0, keyHeldNull: false };
    const plain = await this.#loadPlain({ shape, table, open, files });
    if (plain !== undefined) return { rows: plain, nulled: 0, keyHeldNull: false };
    const staged = await this.#look(shape, files);
    if (staged.count === 0) return { rows: 0, nulled: 0, keyHeldNull: false };
    const keyHeldNull = shape.write !== 'append' && staged.nullable.size > 0;
    if (keyHeldNull && shape.primaryKey && !open) await runAll(this.#options.warehouse, this.#options.warehouse.dialect.dropKey(table, shape.key));
    let { nulled } = staged;
    if (shape.write === 'append') nulled += await this.#loadKnown(staged, table);
    else if (open) await this.#load(table, withMarker(staged.layout.columns, true), staged.rows);
    else if (shape.write === 'merge') nulled += await this.#merge(staged, table);
    else nulled += await this.#history(staged, table);
    return { rows: staged.count, nulled, keyHeldNull };
  }

  /** Returns how many rows there were; undefined where they have to be looked at. */
  async #loadPlain({ shape, table, open, files }: WriteRequest): Promise<number | undefined> {
    const { warehouse } = this.#options;
    if (!warehouse.loadPlain) return undefined;
    const request = plainLoad({ shape, files, open });
    return request && (await warehouse.loadPlain({ ...request, table }));
  }

  /** Ends an open generation. */
  async complete({ shape, from, into, replace }: CompleteRequest): Promise<Pick<WriteReport, 'nulled' | 'keyHeldNull'>> {
    const { warehouse } = this.#options;
    if (shape.write !== 'append') return await completeMerge({ warehouse, shape, from, into, replace });
    if (replace) {
      await warehouse.replaceTable(from, into);
    } else {
      const list = new Layout(shape, warehouse.dialect.forms).list();
      await warehouse.run(`INSERT INTO ${warehouse.dialect.table(into)} (${list}) SELECT ${list} FROM ${warehouse.dialect.table(from)}`);
      await runAll(warehouse, warehouse.dialect.dropTable(from));
    }
    return { nulled: 0, keyHeldNull: false };
  }

  /**
   * The rows of `table` folded anew: by another key, or in another mode, than they are until now. Keys and indexes change with it. ALTERs of
   * the table come before it in the transaction. `keyHeldNull` where there cannot be a primary key.
   */
  async rekey(shape: TableShape, table: TableName, before: Before): Promise<Pick<WriteReport, 'keyHeldNull'>> {
    const { warehouse } = this.#options;
    return { keyHeldNull: await rekeyTable(warehouse, new Layout(shape, warehouse.dialect.forms), table, before) };
  }

  /** What has to be known of the rows before they are loaded. */
  async #look(shape: TableShape, files: readonly LoadFile[]): Promise<StagedRows> {
    const { warehouse } = this.#options;
    const layout = new Layout(shape, duckdbForms);
    // Where nothing can be unknown the rows have no marker, but what goes into a log has one in any case.
    const rows = stagedRows(layout, files, true);
    const keyless = layout.key.map(({ name }) => `${sqlName(name)} IS NULL`);
    const counts = keyless.map((test, i) => `count(*) FILTER (WHERE ${test}) AS k${i}`);
    if (keyless.length > 0) counts.push(`count(*) FILTER (WHERE ${keyless.join(' AND ')}) AS keyless`);
    const [found] = await warehouse.query(`SELECT count(*) AS n, count(*) FILTER (WHERE ${mayBeBad}) AS bad${counts.map((count) => `, ${count}`).join('')} FROM (${rows})`);
    const count = Number(found!['n']);
    if (shape.write !== 'append' && Number(found!['keyless'] ?? 0) > 0) {
      throw configError(
        `stream ${streamKey(shape.stream)}: ${String(found!['keyless'])} records have no value in their key (${shape.key.join(', ')}), so they cannot be merged. `
        + 'Write the stream with append, or choose another primary key',
        { code: 'null_key', stream: shape.stream },
      );
    }
    const marked = files.some(({ unchanged }) => unchanged) ? await this.#markedIn(layout, rows) : [];
    const nulled = Number(found!['bad']) > 0 ? await tellBadValues({ ...this.#options, layout, rows }) : 0;
    return { layout, rows, count, nulled, marked, nullable: new Set(layout.key.flatMap(({ name }, i) => (Number(found![`k${i}`]) > 0 ? [name] : []))) };
  }

  async #markedIn(layout: Layout, rows: string): Promise<string[]> {
    const marks = sqlName(unchangedColumn);
    const found = await this.#options.warehouse.query(`SELECT DISTINCT unnest(from_json(${marks}, '["VARCHAR"]')) AS name FROM (SELECT DISTINCT ${marks} FROM (${rows}) WHERE ${marks} <> '${wholeRow}')`);
    const names = new Set(found.map(({ name }) => String(name)));
    return layout.columns.flatMap(({ name }) => (names.has(name) ? [name] : []));
  }

  async #merge({ layout, rows, count, marked, nullable }: StagedRows, table: TableName): Promise<number> {
    const { warehouse } = this.#options;
    const [distinct] = await warehouse.query(`SELECT count(*) AS n FROM (SELECT DISTINCT ${layout.keyOf('r').join(', ')} FROM (${rows}) r)`);
    const single = Number(distinct!['n']) === count ? rows : foldedRows({ layout, rows, marker: true, marked });
    if (await this.#isEmpty(table)) return await this.#loadKnown({ layout, rows: single, marked }, table);
    const columns = withMarker(layout.columns, needsMarker(layout.shape, marked));
    await using stage = await temporary(warehouse, columns);
    await this.#load(stage.name, columns, single);
    return await merge({ warehouse, layout: layout.in(warehouse.dialect.forms), stage: stage.name, table, marked, nullable });
  }

  async #history({ layout, rows, marked, nullable }: StagedRows, table: TableName): Promise<number> {
    const { warehouse } = this.#options;
    const columns = withMarker(layout.columns, marked.length > 0);
    await using events = await temporary(warehouse, columns);
    await this.#load(events.name, columns, rows);
    await runAll(warehouse, warehouse.dialect.analyze(events.name));
    return await extendHistory({ warehouse, layout: layout.in(warehouse.dialect.forms), events: events.name, table, marked, nullable, replace: false });
  }

  /** Loads rows into a table that nobody will fill later: what is not known now is null, and told. Returns how many values that are. */
  async #loadKnown({ layout, rows, marked }: Pick<StagedRows, 'layout' | 'rows' | 'marked'>, table: TableName): Promise<number> {
    const lasting = layout.shape.write === 'merge' && layout.shape.deletes === 'hard' ? ` WHERE NOT (${layout.deleted('r')})` : '';
    if (marked.length === 0) {
      await this.#load(table, layout.columns, `SELECT ${layout.list('r')} FROM (${rows}) r${lasting}`);
      return 0;
    }
    const isAsked = `NOT (${layout.deleted('r')})`;
    const meta = `CASE WHEN ${isAsked} THEN ${metaOfUnknown(layout, 'r', marked)} ELSE r._airbyte_meta END AS _airbyte_meta`;
    const list = layout.columns.map(({ name }) => (name === '_airbyte_meta' ? meta : `r.${sqlName(name)}`)).join(', ');
    const [unknown] = await this.#options.warehouse.query(`SELECT ${unknownCount('r', marked)} AS n FROM (${rows}) r WHERE ${isAsked}`);
    await this.#load(table, layout.columns, `SELECT ${list} FROM (${rows}) r${lasting}`);
    return Number(unknown!['n'] ?? 0);
  }

  async #load(table: TableName, columns: readonly TableColumn[], rows: string): Promise<void> {
    const select = `SELECT ${columns.map(({ name }) => sqlName(name)).join(', ')} FROM (${rows})`;
    await this.#options.warehouse.load({ table, columns: columns.map(({ name, type }) => ({ name, type })), select });
  }

  async #isEmpty(table: TableName): Promise<boolean> {
    const { warehouse } = this.#options;
    return (await warehouse.run(`SELECT 1 AS one FROM ${warehouse.dialect.table(table)} LIMIT 1`)).length === 0;
  }
}

interface StagedRows {
  /** In the embedded engine's SQL. */
  readonly layout: Layout;
  /** SQL of the rows, with the marker. */
  readonly rows: string;
  readonly count: number;
  /** Values that could not be held. */
  readonly nulled: number;
  /** Columns that occur in marks. */
  readonly marked: readonly string[];
  /** Columns of the key that are null in a row. */
  readonly nullable: ReadonlySet<string>;
}
