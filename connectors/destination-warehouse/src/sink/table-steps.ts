/** The steps of a commit, done: tables are made and changed, rows written, generations completed. In the transaction that is open. */
import type { Staged, StreamSchema } from '@tapline/columnar';
import { streamKey, systemError, type LogLevel, type StreamDescriptor } from '@tapline/protocol';
import type { Config } from '../config.js';
import type { TableName } from '../dialects/dialect.js';
import type { LoadFile } from '../load/requests.js';
import { TableWriter } from '../load/table-writer.js';
import { runAll } from '../run-all.js';
import { applyChanges, ensureSchema } from '../tables/changes.js';
import { planTable, type PlanOptions, type TablePlan } from '../tables/evolve.js';
import { closedShape, planAddition } from '../tables/generations.js';
import { openTableName } from '../tables/names.js';
import { Registry } from '../tables/registry.js';
import type { TableShape } from '../tables/shape.js';
import { sourcesOf } from '../tables/sources.js';
import type { Warehouse } from '../warehouse.js';
import type { SyncRecord } from './checkpoint.js';
import type { Step } from './plan-commit.js';

export interface TableStepsOptions {
  readonly warehouse: Warehouse;
  readonly sync: string;
  readonly run: string;
  readonly config: Config;
  /** Of a staged file. */
  rowsOf(name: string): LoadFile['rows'];
  log(level: LogLevel, message: string): void;
}

export interface StepsReport {
  readonly nulled: number;
  /** That readers see and that changed. */
  readonly tables: readonly TableName[];
}

/** Writes rows into tables that are as they have to be by then. */
type RowWork = () => Promise<void>;

interface Prepared extends Pick<TablePlan, 'rekeyed'> {
  readonly shape: TableShape;
}

export class TableSteps {
  readonly #options: TableStepsOptions;
  readonly #writer: TableWriter;
  /** The newest form of each stream of this run, by its key. */
  readonly #schemas = new Map<string, StreamSchema>();
  readonly #warned = new Set<string>();
  #registry: Registry | undefined;
  #nulled = 0;
  #changed = new Map<string, TableName>();

  constructor(options: TableStepsOptions) {
    this.#options = options;
    const { warehouse, run, config } = options;
    this.#writer = new TableWriter({ warehouse, run, badValues: config.bad_values });
  }

  /** Reads what is recorded of the sync's tables, and drops tables of generations that the checkpoint does not name. */
  async open(record: SyncRecord, claim: () => Promise<void>): Promise<void> {
    const { warehouse, sync, config } = this.#options;
    this.#registry = await Registry.open(warehouse, { sync, patterns: { schema: config.schema_name, table: config.table_name } });
    await this.#registry.dropOrphans(new Set(Object.keys(record.open)), claim);
  }

  configure(schema: StreamSchema): void {
    this.#schemas.set(streamKey(schema.configured.stream), schema);
    this.#tables.declare(schema.configured.stream);
  }

  async run(steps: readonly Step[]): Promise<StepsReport> {
    this.#nulled = 0;
    this.#changed = new Map();
    const { altersComeFirst } = this.#options.warehouse.dialect;
    const waiting: RowWork[] = [];
    const work = async (): Promise<void> => {
      for (const write of waiting.splice(0)) await write();
    };
    for (const step of steps) {
      const rows = await this.#step(step);
      if (rows) waiting.push(rows);
      // A table of this commit that takes another's place has to be there for what comes behind it.
      if (!altersComeFirst || (step.do === 'complete' && step.replace)) await work();
    }
    await work();
    return { nulled: this.#nulled, tables: [...this.#changed.values()] };
  }

  /** The stream's table holds versions, which a new generation closes and does not replace. */
  keepsHistory(key: string): boolean {
    return this.#options.config.history === 'scd2' && this.#schemas.get(key)?.configured.destination_sync_mode === 'append_dedup';
  }

  /** Streams that have no table yet. */
  get missing(): readonly StreamSchema[] {
    return [...this.#schemas.values()].filter(({ configured: { stream } }) => this.#tables.shapeOf(streamKey(stream)) === undefined);
  }

  async makeMissing(): Promise<void> {
    for (const { configured: { stream } } of this.missing) await this.#prepare(stream, []);
  }

  /** Makes and changes tables. Returns what then writes rows. */
  async #step(step: Step): Promise<RowWork | undefined> {
    switch (step.do) {
      case 'drop':
        await this.#drop(step.key, step.generation);
        return undefined;
      case 'fill': return this.#fill(step);
      case 'write': return this.#write(step.stream, step.files);
      case 'complete': return this.#complete(step.stream, step.generation, step.replace);
    }
  }

  async #drop(key: string, generation: number): Promise<void> {
    const shape = this.#tables.openShapeOf(key, generation);
    if (!shape) return;
    const { warehouse } = this.#options;
    await runAll(warehouse, warehouse.dialect.dropTable(shape.table));
    await this.#tables.removeOpen(key, generation);
  }

  async #write(stream: StreamDescriptor, files: readonly Staged[]): Promise<RowWork> {
    const { shape, rekeyed } = await this.#prepare(stream, files);
    return async () => this.#load(await this.#rekeyed(shape, rekeyed), files, false);
  }

  async #fill({ stream, generation, replaces, files }: Extract<Step, { readonly do: 'fill' }>): Promise<RowWork> {
    const key = streamKey(stream);
    let shape = this.#tables.openShapeOf(key, generation);
    const table = shape?.table ?? (await this.#openTable(stream, generation, replaces));
    for (const schema of this.#schemasOf(key, files)) {
      // Where it is made it takes the names of the table whose place it will take, and the new types if that leaves.
      const planned = planTable(shape ?? this.#tables.shapeOf(key), schema, { ...this.#planOptions(table, files), open: true, fresh: replaces && shape === undefined });
      await this.#apply(planned);
      shape = planned.shape;
    }
    await this.#tables.saveOpen(generation, shape!);
    return () => this.#load(shape!, files, true);
  }

  /** What stands in the way of where its rows will be seen is told before they are copied. */
  async #openTable(stream: StreamDescriptor, generation: number, replaced: boolean): Promise<TableName> {
    const table = await this.#tables.tableFor(stream, { replaced });
    await ensureSchema(this.#options.warehouse, table.schema);
    return openTableName({ ...this.#named, stream, generation, table });
  }

  async #complete(stream: StreamDescriptor, generation: number, replace: boolean): Promise<RowWork> {
    const key = streamKey(stream);
    const from = this.#tables.openShapeOf(key, generation);
    if (!from) throw systemError(`generation ${generation} of the stream ${key} completes, but has no table`, { stream });
    // A replaced table is as the new one; history goes on, and rows that are added need what they are added to.
    const replaced = replace && from.write !== 'history';
    const table = await this.#tables.tableFor(stream, { replaced });
    const { shape, rekeyed } = replaced ? { shape: closedShape(from, table), rekeyed: undefined } : await this.#addTo(table, from);
    return async () => {
      const { nulled, keyHeldNull } = await this.#writer.complete({ shape: await this.#rekeyed(shape, rekeyed), from: from.table, into: table, replace });
      await this.#tables.removeOpen(key, generation);
      if (replaced) await this.#tables.save(shape);
      if (keyHeldNull) await this.#setKeyed(key, false);
      this.#written(shape, nulled);
    };
  }

  /** The stream's table, so that it takes the rows of an open generation. */
  async #addTo(table: TableName, from: TableShape): Promise<Prepared> {
    const { shape, changes, rekeyed } = planAddition(this.#tables.shapeOf(streamKey(from.stream)), from, table);
    await applyChanges(this.#options.warehouse, table, changes);
    await this.#tables.save(shape);
    return { shape, rekeyed };
  }

  /** The stream's table, made or changed so that it takes the files. All changes come before the first row: no engine minds that order. */
  async #prepare(stream: StreamDescriptor, files: readonly Staged[]): Promise<Prepared> {
    const key = streamKey(stream);
    let shape = this.#tables.shapeOf(key);
    const table = await this.#tables.tableFor(stream);
    let rekeyed: TablePlan['rekeyed'];
    for (const schema of this.#schemasOf(key, files)) {
      const planned = planTable(shape, schema, this.#planOptions(table, files));
      await this.#apply(planned);
      rekeyed ??= planned.rekeyed;
      shape = planned.shape;
    }
    await this.#tables.save(shape!);
    return { shape: shape!, rekeyed };
  }

  /** Rows that another key told apart are folded anew. */
  async #rekeyed(shape: TableShape, before: TablePlan['rekeyed']): Promise<TableShape> {
    if (!before) return shape;
    const { keyHeldNull } = await this.#writer.rekey(shape, shape.table, before);
    const primaryKey = shape.write === 'merge' && !keyHeldNull;
    await this.#setKeyed(streamKey(shape.stream), primaryKey);
    return { ...shape, primaryKey };
  }

  /** Of the stream's table, as it is recorded by now. */
  async #setKeyed(key: string, primaryKey: boolean): Promise<void> {
    await this.#tables.save({ ...this.#tables.shapeOf(key)!, primaryKey });
  }

  /** The forms in which the files came, in order; without files the newest. */
  #schemasOf(key: string, files: readonly Staged[]): StreamSchema[] {
    if (files.length > 0) return [...new Set(files.map(({ schema }) => schema))];
    const schema = this.#schemas.get(key);
    if (!schema) throw systemError(`the stream ${key} is in a commit, but not in the catalog`);
    return [schema];
  }

  #planOptions(table: TableName, files: readonly Staged[]): PlanOptions {
    const { warehouse: { dialect }, config } = this.#options;
    return {
      dialect, table, policy: config.schema, history: config.history === 'scd2', deletes: config.deletes,
      foreign: this.#tables.foreignColumns(table), ...(files.some(({ extra }) => extra) && { extra: true }),
    };
  }

  get #named() {
    return { sync: this.#options.sync, dialect: this.#options.warehouse.dialect };
  }

  async #apply({ shape, changes, warnings }: TablePlan): Promise<void> {
    await applyChanges(this.#options.warehouse, shape.table, changes);
    for (const warning of warnings) {
      if (this.#warned.has(warning)) continue;
      this.#warned.add(warning);
      this.#options.log('WARN', warning);
    }
  }

  async #load(shape: TableShape, files: readonly Staged[], open: boolean): Promise<void> {
    if (files.length === 0) return;
    const loads = files.map(({ name, schema, unchanged, extra }): LoadFile => ({ rows: this.#options.rowsOf(name), unchanged, sources: sourcesOf(shape, schema.plan, { unchanged, extra }) }));
    const { nulled, keyHeldNull } = await this.#writer.write({ shape, table: shape.table, open, files: loads });
    if (open) {
      this.#nulled += nulled;
      return;
    }
    if (keyHeldNull) await this.#setKeyed(streamKey(shape.stream), false);
    this.#written(shape, nulled);
  }

  #written(shape: TableShape, nulled: number): void {
    this.#nulled += nulled;
    this.#changed.set(JSON.stringify(shape.table), shape.table);
  }

  get #tables(): Registry {
    if (!this.#registry) throw systemError('a step before open');
    return this.#registry;
  }
}
