/** The tool `digest`: rows and checksums of tables in one snapshot. Law: protocol/SPEC.md, "Digests". */
import { isCdc, isChangeColumn } from '@tapline/catalog';
import {
  absentValue, asNumber, canonicalValue, columnHashes, identifier, keyHash, keyValues, literal, rangeOf, rowHash, type CanonicalColumn, type CanonicalValue,
} from '@tapline/postgres-client';
import {
  checksumText, configError, DigestRequest, streamKey, systemError, type ConfiguredStream, type DigestAnswer, type Holds, type RangeDigest, type RowDigest,
} from '@tapline/protocol';
import type { ToolContext } from '@tapline/sdk';
import { formatLsn, parseLsn, type Lsn } from '../cdc/lsn.js';
import { replicationNames } from '../cdc/names.js';
import { endsRun } from '../classify.js';
import type { Config } from '../config.js';
import type { Connection } from '../connection.js';
import { source } from '../copy-statement.js';
import { openPatiently } from '../patience.js';
import { columnOf, label } from '../reading.js';
import { findRelations, type Relation, type RelationColumn } from '../relations.js';
import { beginSnapshot } from './verify-snapshot.js';

const answersAtOnce = 1_000;

export async function* digest(context: ToolContext<Config>): AsyncGenerator<DigestAnswer, void, undefined> {
  if (!context.catalog) throw systemError('digest needs --catalog');
  await using connection = await openPatiently(context);
  const digester = new Digester(connection, context, context.catalog.streams);
  for await (const request of context.requests) yield* digester.answer(DigestRequest.parse(request));
}

/** A row of pg_publication_tables; filters and lists of columns are there from PostgreSQL 15 on. */
interface PublishedTable {
  readonly schemaname: string;
  readonly tablename: string;
  readonly rowfilter?: string | null;
  readonly attnames?: readonly string[] | null;
}

interface Table {
  /** With the publication's filter. */
  readonly from: string;
  readonly key: readonly CanonicalValue[];
  readonly values: readonly CanonicalValue[];
}

class Digester {
  readonly #connection: Connection;
  readonly #context: ToolContext<Config>;
  readonly #streams: readonly ConfiguredStream[];
  #relations = new Map<string, Relation>();
  #published = new Map<string, PublishedTable>();
  #holds: Holds | undefined;
  #position: Lsn | undefined;

  constructor(connection: Connection, context: ToolContext<Config>, streams: readonly ConfiguredStream[]) {
    this.#connection = connection;
    this.#context = context;
    this.#streams = streams;
  }

  async *answer(request: DigestRequest): AsyncGenerator<DigestAnswer, void, undefined> {
    switch (request.ask) {
      case 'open':
        return yield await this.#open(request.holds, request.replicated ?? false);
      case 'states':
        return yield { is: 'states', states: [] };
      case 'behind':
        return yield { is: 'behind', bytes: this.#behind(request.states) };
      default:
        return yield* this.#table(request);
    }
  }

  async #open(holds: Holds | undefined, replicated: boolean): Promise<DigestAnswer> {
    const { config, log } = this.#context;
    this.#holds = holds;
    try {
      const { position, exact } = await beginSnapshot(this.#connection, config, replicated, log);
      this.#position = position;
      const names = this.#streams.map(({ stream }) => ({ schema: stream.namespace ?? 'public', name: stream.name }));
      const relations = await findRelations(this.#connection, { names });
      this.#relations = new Map(relations.map((relation) => [streamKey({ namespace: relation.schema, name: relation.name }), relation]));
      if (replicated) await this.#findPublished();
      return { is: 'opened', exact, ...(position !== undefined && { position: String(position), position_text: formatLsn(position) }) };
    } catch (error) {
      throw this.#connection.classify(error);
    }
  }

  /** What a publication leaves out is not in the destination either. */
  async #findPublished(): Promise<void> {
    const { publication } = replicationNames(this.#context.config, this.#context.session);
    const rows = await this.#connection.query<{ published: PublishedTable }>(`SELECT pg_catalog.to_jsonb(p) AS published FROM pg_catalog.pg_publication_tables p WHERE p.pubname = ${literal(publication)}`);
    this.#published = new Map(rows.map(({ published }) => [streamKey({ namespace: published.schemaname, name: published.tablename }), published]));
  }

  /** Null where no state holds a position. */
  #behind(states: readonly string[]): number | null {
    for (const state of states) {
      const shared = (JSON.parse(state) as { global?: { shared_state?: { mode?: unknown; lsn?: unknown } | null } | null }).global?.shared_state;
      if (this.#position === undefined || shared?.mode !== 'cdc' || typeof shared.lsn !== 'string') continue;
      return Math.max(0, Number(this.#position - parseLsn(shared.lsn)));
    }
    return null;
  }

  /** What fails with one table leaves the snapshot for the others. */
  async *#table(request: Extract<DigestRequest, { readonly ask: 'ranges' | 'rows' }>): AsyncGenerator<DigestAnswer, void, undefined> {
    const connection = this.#connection;
    await connection.query('SAVEPOINT one_table');
    try {
      const table = this.#tableOf(request.stream);
      if (request.ask === 'ranges') yield* this.#ranges(table, request.bits);
      else yield* this.#rows(table, request.bits, request.ranges);
      yield { is: 'done' };
    } catch (error) {
      const { name, namespace } = request.stream;
      const classified = connection.classify(error, { schema: namespace ?? 'public', name });
      if (connection.broken || endsRun(classified)) throw classified;
      yield { is: 'failed', kind: classified.kind, message: classified.message };
    }
    await connection.query('ROLLBACK TO SAVEPOINT one_table');
  }

  #tableOf(stream: ConfiguredStream['stream'] | { readonly name: string; readonly namespace?: string | null | undefined }): Table {
    const key = streamKey(stream);
    const configured = this.#streams.find((candidate) => streamKey(candidate.stream) === key);
    if (!configured) throw systemError(`the stream ${key} is not in the catalog`);
    const relation = this.#relations.get(streamKey({ name: stream.name, namespace: stream.namespace ?? 'public' }));
    if (!relation) throw configError(`${label(configured.stream)} does not exist, or user '${this.#connection.target.user}' may not see it`, { code: 'pg_no_table', stream: configured.stream });
    const replicated = isCdc(configured);
    const names = Object.keys((configured.stream.json_schema['properties'] ?? {}) as object).filter((name) => !(replicated && isChangeColumn(name)));
    const published = replicated ? this.#published.get(streamKey({ namespace: relation.schema, name: relation.name })) : undefined;
    const comes = (name: string): boolean => !published?.attnames || published.attnames.includes(name);
    const values = new Map(names.map((name) => {
      const column = columnOf(relation, name, configured.stream);
      return [name, comes(name) ? canonicalValue(canonical(column), this.#holds) : absentValue];
    }));
    const keys = (configured.primary_key ?? configured.stream.source_defined_primary_key ?? []).flatMap(([name]) => values.get(name!) ?? []);
    const filter = published?.rowfilter ? ` WHERE ${published.rowfilter}` : '';
    return { from: `(SELECT * FROM ${source(relation)}${filter}) s`, key: keys, values: [...values.values()] };
  }

  async *#ranges({ from, key, values }: Table, bits: number): AsyncGenerator<DigestAnswer, void, undefined> {
    const rows = await this.#connection.query<{ r: number; n: string; checksum: string }>(
      `SELECT d.r, pg_catalog.count(*) AS n, pg_catalog.sum(d.h)::pg_catalog.text AS checksum FROM (SELECT ${rangeOf(key, bits)} AS r, ${asNumber(rowHash(values))} AS h FROM ${from}) d GROUP BY d.r`,
    );
    const ranges = rows.map((row): RangeDigest => [Number(row.r), Number(row.n), checksumText(row.checksum)]);
    for (let at = 0; at < ranges.length; at += answersAtOnce) yield { is: 'ranges', ranges: ranges.slice(at, at + answersAtOnce) };
  }

  async *#rows({ from, key, values }: Table, bits: number, ranges: readonly number[]): AsyncGenerator<DigestAnswer, void, undefined> {
    const found = await this.#connection.query<{ k: string; h: string; c: string; v: (string | null)[] }>(
      `SELECT ${keyHash(key)} AS k, ${rowHash(values)} AS h, ${columnHashes(values)} AS c, ${keyValues(key)} AS v FROM ${from} WHERE (${rangeOf(key, bits)}) = ANY ($1::pg_catalog.int4[])`,
      [ranges],
    );
    const rows = found.map((row): RowDigest => ({ key: row.k, hash: row.h, copies: 1, columns: row.c, values: row.v }));
    for (let at = 0; at < rows.length; at += answersAtOnce) yield { is: 'rows', rows: rows.slice(at, at + answersAtOnce) };
  }
}

/** Of the rows of alias `s`. */
function canonical({ name, type }: RelationColumn): CanonicalColumn {
  const { logical, sqlName } = type;
  return {
    value: `s.${identifier(name)}`, type: logical, isText: ['"pg_catalog"."text"', '"pg_catalog"."varchar"'].includes(sqlName), isJson: sqlName === '"pg_catalog"."json"',
  };
}
