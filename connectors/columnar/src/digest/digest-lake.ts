/** The tool `digest` of a lake: what `runner verify` asks, answered out of the files that readers see. */
import { join } from 'node:path';
import {
  configError, DigestRequest, streamKey, systemError, toConnectorError, transientError, type ConfiguredCatalog, type DigestAnswer,
} from '@tapline/protocol';
import { entriesOf } from '../commit/long-list.js';
import type { ObjectStore } from '../commit/object-store.js';
import { Engine } from '../convert/engine.js';
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

type Ask<Name extends DigestRequest['ask']> = Extract<DigestRequest, { readonly ask: Name }>;

const answersAtOnce = 1_000;
const attempts = 3;

export async function* digestLake(options: DigestLakeOptions, requests: AsyncIterable<unknown>): AsyncGenerator<DigestAnswer, void, undefined> {
  await using engine = new Engine({ directory: join(options.scratch, 'digest') });
  const digest = new LakeDigest(options, engine);
  for await (const request of requests) yield* digest.answer(DigestRequest.parse(request));
}

class LakeDigest {
  readonly #options: DigestLakeOptions;
  readonly #engine: Engine;
  /** The stream whose files were read last: its rows are asked for next. */
  #loaded: { readonly key: string; readonly table: TableDigest; readonly notes: readonly string[] } | undefined;

  constructor(options: DigestLakeOptions, engine: Engine) {
    this.#options = options;
    this.#engine = engine;
  }

  async *answer(request: DigestRequest): AsyncGenerator<DigestAnswer, void, undefined> {
    switch (request.ask) {
      case 'open':
        return yield { is: 'opened', holds, states: await this.#states() };
      case 'states':
        return yield { is: 'states', states: await this.#states() };
      case 'behind':
        return yield { is: 'behind', bytes: null };
      default:
        try {
          yield* request.ask === 'ranges' ? this.#ranges(request) : this.#rows(request);
        } catch (thrown) {
          const { kind, message } = toConnectorError(thrown);
          yield { is: 'failed', kind, message };
        }
    }
  }

  async #states(): Promise<string[]> {
    return entriesOf((await readHead(this.#options.store, this.#options.sync)).states);
  }

  async *#ranges(request: Ask<'ranges'>): AsyncGenerator<DigestAnswer, void, undefined> {
    const { table, notes } = await this.#load(request);
    const { ranges, nulled } = await table.ranges(request.bits);
    for (let at = 0; at < ranges.length; at += answersAtOnce) yield { is: 'ranges', ranges: ranges.slice(at, at + answersAtOnce) };
    yield { is: 'done', nulled, notes: [...notes] };
  }

  async *#rows(request: Ask<'rows'>): AsyncGenerator<DigestAnswer, void, undefined> {
    if (this.#loaded?.key !== streamKey(request.stream)) await this.#load(request);
    let rows;
    try {
      rows = await this.#loaded!.table.rows(request.bits, request.ranges);
    } catch (error) {
      throw error instanceof LakeMoved ? moved(streamKey(request.stream), error) : error;
    }
    for (let at = 0; at < rows.length; at += answersAtOnce) yield { is: 'rows', rows: rows.slice(at, at + answersAtOnce) };
    yield { is: 'done' };
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
