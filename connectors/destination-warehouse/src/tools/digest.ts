/** The tool `digest`: what `runner verify` asks, answered where the tables are. Law: protocol/SPEC.md, "Digests". */
import { mkdir, mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { answerDigest, type Ask, type DigestDestination } from '@tapline/columnar';
import { configError, streamKey, systemError, type ConfiguredStream, type ConnectorError, type DigestAnswer, type Holds, type RowDigest } from '@tapline/protocol';
import type { ToolContext } from '@tapline/sdk';
import type { Config } from '../config.js';
import { openWarehouse } from '../open-warehouse.js';
import { CheckpointTable } from '../sink/checkpoint.js';
import { Registry } from '../tables/registry.js';
import type { Warehouse } from '../warehouse.js';
import type { DigestSql } from './digest-sql.js';
import { TableDigest } from './table-digest.js';

export async function* digest({ config, catalog, session, requests, log }: ToolContext<Config>): AsyncGenerator<DigestAnswer, void, undefined> {
  if (!catalog) throw systemError('digest needs --catalog');
  const sync = session?.sync ?? config.sync_name;
  // Opening a file that is not there would make it.
  if (config.path !== undefined && !(await stat(config.path).then(() => true, () => false))) throw unknownSync(sync, config.path);
  const folder = config.staging_dir ?? session?.scratch ?? tmpdir();
  await mkdir(folder, { recursive: true });
  const scratch = await mkdtemp(join(folder, 'digest-'));
  try {
    const { warehouse } = await openWarehouse(config, { sync, scratch, log });
    await using _closed = warehouse;
    const digester = new Digester(warehouse, await digestSql(config), { sync, streams: catalog.streams });
    yield* answerDigest(digester, requests);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

const digestSql = async ({ engine }: Config): Promise<DigestSql> =>
  engine === 'duckdb' ? (await import('./duckdb-digest-sql.js')).duckdbDigestSql : (await import('./postgres-digest-sql.js')).postgresDigestSql;

const unknownSync = (sync: string, location: string): ConnectorError =>
  configError(`there is nothing of the sync '${sync}' in ${location}: run it first, or name the sync that wrote there (--sync)`, { code: 'no_such_sync' });

class Digester implements DigestDestination {
  readonly holds: Holds;
  readonly #warehouse: Warehouse;
  readonly #sql: DigestSql;
  readonly #sync: string;
  readonly #streams: readonly ConfiguredStream[];

  constructor(warehouse: Warehouse, sql: DigestSql, { sync, streams }: { readonly sync: string; readonly streams: readonly ConfiguredStream[] }) {
    this.holds = sql.holds;
    this.#warehouse = warehouse;
    this.#sql = sql;
    this.#sync = sync;
    this.#streams = streams;
  }

  async states(): Promise<readonly string[]> {
    const registry = await this.#registry();
    const record = registry && (await new CheckpointTable(this.#warehouse, this.#sync).read());
    if (!record || record.seq === 0) throw unknownSync(this.#sync, this.#warehouse.location);
    return record.states;
  }

  async ranges(request: Ask<'ranges'>) {
    const { table, notes } = await this.#table(request);
    const { ranges, nulled } = table ? await table.ranges(request.bits) : { ranges: [], nulled: 0 };
    const newer = table ? await table.newer() : 0;
    const moved = `${newer} rows changed after the source's snapshot, and stand here as they are now: they may differ. Verify again when no run is under way`;
    return { ranges, nulled, notes: newer > 0 ? [...notes, moved] : notes };
  }

  async rows(request: Ask<'rows'>): Promise<readonly RowDigest[]> {
    const { table } = await this.#table(request);
    return table ? await table.rows(request.bits, request.ranges) : [];
  }

  /** Of a stream that has no table yet there are no rows. */
  async #table({ stream, before }: Ask<'ranges'> | Ask<'rows'>): Promise<{ readonly table: TableDigest | undefined; readonly notes: string[] }> {
    const key = streamKey(stream);
    const configured = this.#streams.find((candidate) => streamKey(candidate.stream) === key);
    if (!configured) throw systemError(`the stream ${key} is not in the catalog`);
    const registry = await this.#registry();
    const shape = registry?.shapeOf(key);
    const isOpen = registry?.tables.some((table) => table.generation !== undefined && streamKey(table.shape.stream) === key) ?? false;
    const notes = isOpen ? ['a copy of it is under way, or was interrupted: it shows when it is complete'] : [];
    return { table: shape && new TableDigest({ warehouse: this.#warehouse, sql: this.#sql, configured, shape, before }), notes };
  }

  /** Read anew: a run that is under way changes tables. */
  #registry(): Promise<Registry | undefined> {
    return Registry.look(this.#warehouse, { sync: this.#sync });
  }
}
