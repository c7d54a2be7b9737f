/** The tool `digest` of a lake: what `runner verify` asks, answered out of the files that readers see. */
import { join } from 'node:path';
import { configError, streamKey, systemError, transientError, type ConfiguredCatalog, type DigestAnswer, type RowDigest } from '@tapline/protocol';
import { entriesOf } from '../commit/long-list.js';
import type { ObjectStore } from '../commit/object-store.js';
import { Engine } from '../convert/engine.js';
import { answerDigest, type Ask, type DigestDestination } from './answer-digest.js';
import { holds } from './canonical-sql.js';
import { LakeMoved, TableDigest, type TableSource } from './table-digest.js';
import { readHead, visibleFiles } from './visible-files.js';

export interface DigestLakeOptions {
  readonly store: ObjectStore;
  readonly sync: string;
  readonly catalog: ConfiguredCatalog;
  /** For what does not fit into memory. */
  readonly scratch: string;
  readonly fetch: TableSource['fetch'];
}

const attempts = 3;

export async function* digestLake(options: DigestLakeOptions, requests: AsyncIterable<unknown>): AsyncGenerator<DigestAnswer, void, undefined> {
  await using engine = new Engine({ directory: join(options.scratch, 'digest') });
  yield* answerDigest(new LakeDigest(options, engine), requests);
}

class LakeDigest implements DigestDestination {
  readonly holds = holds;
  readonly #options: DigestLakeOptions;
  readonly #engine: Engine;
  /** The stream whose files were read last: its rows are asked for next. */
  #loaded: { readonly key: string; readonly table: TableDigest; readonly notes: readonly string[] } | undefined;

  constructor(options: DigestLakeOptions, engine: Engine) {
    this.#options = options;
    this.#engine = engine;
  }

  async states(): Promise<readonly string[]> {
    return entriesOf((await readHead(this.#options.store, this.#options.sync)).states);
  }

  async ranges(request: Ask<'ranges'>) {
    const { table, notes } = await this.#load(request);
    return { ...(await table.ranges(request.bits)), notes };
  }

  async rows(request: Ask<'rows'>): Promise<readonly RowDigest[]> {
    if (this.#loaded?.key !== streamKey(request.stream)) await this.#load(request);
    try {
      return await this.#loaded!.table.rows(request.bits, request.ranges);
    } catch (error) {
      throw error instanceof LakeMoved ? moved(streamKey(request.stream), error) : error;
    }
  }

  async #load({ stream, before }: Ask<'ranges'> | Ask<'rows'>) {
    const { store, sync, catalog, fetch } = this.#options;
    const key = streamKey(stream);
    const configured = catalog.streams.find((candidate) => streamKey(candidate.stream) === key);
    if (!configured) throw systemError(`the stream ${key} is not in the catalog`);
    await this.#loaded?.table.drop();
    this.#loaded = undefined;
    const table = new TableDigest({ engine: this.#engine, configured, fetch });
    if (table.hasNoKey && configured.sync_mode === 'incremental' && before !== undefined) {
      throw configError(`${key} has no key: its changes cannot be put together, so it cannot be compared`, { code: 'no_key', stream });
    }
    for (let attempt = 1; ; attempt++) {
      const { names, unpublished } = await visibleFiles(store, sync, stream);
      try {
        await table.load(names, before);
        const notes = unpublished > 0 ? [`${unpublished} committed files are not published, because a run was interrupted: the next run publishes them`] : [];
        return (this.#loaded = { key, table, notes });
      } catch (error) {
        if (!(error instanceof LakeMoved)) throw error;
        if (attempt === attempts) throw moved(key, error);
      }
    }
  }
}

const moved = (key: string, cause: Error) =>
  transientError(`${key}: its files were replaced while they were read. Verify again when no run replaces the table`, { code: 'lake_moved', cause });
