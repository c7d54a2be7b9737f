/**
 * Values that are not in the log, or whose JSON only the server can write, are asked for before their lines go out: by key, in batches.
 * A value is then as new as the answer; the change that made it newer follows.
 */
import { identifier, qualified } from '@tapline/postgres-client';
import type { Connection } from '../../connection.js';
import { jsonForm, type ColumnType } from '../../types.js';
import type { Filling, Hole, LineBuffer, Uncast, Unchanged, UnchangedTable } from './line-buffer.js';

/** Fetched values are held until their lines are consumed. */
const batchBytes = 8_388_608;
const [firstBatch, largestBatch] = [16, 1000];
/** The reasons of the Airbyte protocol. */
const gone: Filling = { json: undefined, reason: 'SOURCE_RETRIEVAL_ERROR' };
const unwritable: Filling = { json: undefined, reason: 'SOURCE_SERIALIZATION_ERROR' };

/**
 * All lines of `out`, in order and whole. Nothing may be written into `out` before the end. Rejects with a classified error, and what
 * was not yielded stays in `out`.
 */
export async function* fillHoles(out: LineBuffer, connection: Connection): AsyncGenerator<Buffer, void, undefined> {
  const server = new Server(connection);
  let batch = firstBatch;
  while (out.holes.length > 0) {
    const holes = out.holes.slice(0, upToWholeLine(out.holes, batch));
    const fillings = await server.answer(holes);
    const bytes = fillings.reduce((sum, { json }) => sum + (json?.length ?? 0), 1);
    batch = Math.min(largestBatch, Math.max(1, Math.floor((batchBytes * fillings.length) / bytes)));
    yield out.fill(fillings);
  }
  if (out.length > 0) yield out.take();
}

function upToWholeLine(holes: readonly Hole[], count: number): number {
  while (count < holes.length && holes[count]!.end === holes[count - 1]!.end) count++;
  return Math.min(count, holes.length);
}

class Server {
  readonly #connection: Connection;
  readonly #tables = new Map<UnchangedTable, Promise<string | undefined>>();

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  async answer(holes: readonly Hole[]): Promise<Filling[]> {
    const fillings: Filling[] = [];
    for (const question of questionsOf(holes)) {
      const answers = question.kind === 'cast' ? await this.#cast(question) : await this.#select(question);
      for (const [i, place] of question.places) fillings[i] = answers[place]!;
    }
    return fillings;
  }

  async #select({ table, column, type, keys }: Selection): Promise<Filling[]> {
    const answers = keys.map(() => gone);
    let found = this.#tables.get(table);
    if (!found) this.#tables.set(table, (found = this.#source(table)));
    const source = await found;
    if (source === undefined) return answers;
    const params = table.key.map((_, i) => `pg_catalog.unnest($${i + 1}::pg_catalog.text[])`);
    const value = jsonForm(type, `t.${identifier(column)}`, true);
    const sql = `SELECT k.place::pg_catalog.int4 AS place, pg_catalog.to_json(${value})::pg_catalog.text AS json
      FROM ROWS FROM (${params.join(', ')}) WITH ORDINALITY k(${[...table.key.map((_, i) => `v${i}`), 'place'].join(', ')}) JOIN ${source}`;
    const rows = await this.#query<Answer>(sql, table.key.map((_, i) => keys.map((key) => key[i]!)), isOfDefinition);
    for (const { place, json } of rows ?? []) answers[place - 1] = { json: Buffer.from(json ?? 'null') };
    return answers;
  }

  /** The table under the name that it has now, joined by its key. */
  async #source({ oid, key }: UnchangedTable): Promise<string | undefined> {
    const rows = await this.#query<{ schema: string; name: string; only: boolean }>(
      `SELECT n.nspname::text AS schema, c.relname::text AS name, c.relkind <> 'p' AS only
       FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1`,
      [oid],
    );
    const [table] = rows ?? [];
    if (!table || key.length === 0) return undefined;
    const conditions: string[] = [];
    for (const [i, { name, type }] of key.entries()) conditions.push(`t.${identifier(name)} ${await this.#equals(type)} k.v${i}::${type.sqlName}`);
    return `${table.only ? 'ONLY ' : ''}${qualified(table.schema, table.name)} t ON ${conditions.join(' AND ')}`;
  }

  /** A type of an extension brings its own operator, which the index on the key needs; the search path does not hold it. */
  async #equals({ sqlName }: ColumnType): Promise<string> {
    if (sqlName.startsWith('"pg_catalog".') || sqlName.startsWith('pg_catalog.')) return '=';
    const [schema] = /^"(?:[^"]|"")*"/.exec(sqlName) ?? [];
    const rows = await this.#query<{ own: boolean }>('SELECT pg_catalog.to_regoperator($1) IS NOT NULL AS own', [`${schema}.=(${sqlName}, ${sqlName})`]);
    return rows?.[0]?.own ? `OPERATOR(${schema}.=)` : '=';
  }

  async #cast({ sqlType, texts }: Casting): Promise<Filling[]> {
    const rows = await this.#query<Answer>(
      `SELECT v.place::pg_catalog.int4 AS place, pg_catalog.to_json(pg_catalog.to_json(v.text::${sqlType})::pg_catalog.text)::pg_catalog.text AS json
       FROM pg_catalog.unnest($1::pg_catalog.text[]) WITH ORDINALITY v(text, place)`,
      [texts], (code) => isOfDefinition(code) || code.startsWith('22'),
    );
    const answers = texts.map(() => unwritable);
    for (const { place, json } of rows ?? []) answers[place - 1] = { json: Buffer.from(json ?? 'null') };
    if (rows || texts.length === 1) return answers;
    // One of them cannot be read any more (a value of an enum was renamed): not for that are the others lost.
    for (const [i, text] of texts.entries()) [answers[i]] = (await this.#cast({ kind: 'cast', sqlType, texts: [text], places: [] })) as [Filling];
    return answers;
  }

  /** undefined: it failed in a way that a later try would not change. */
  async #query<Row>(sql: string, values: readonly unknown[], isFinal: (code: string) => boolean = () => false): Promise<Row[] | undefined> {
    try {
      return await this.#connection.query<Row>(sql, values);
    } catch (error) {
      const code = error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
      if (!this.#connection.broken && isFinal(code)) return undefined;
      throw this.#connection.classify(error);
    }
  }
}

/**
 * What the change knew (a table, a column, a type) is no more, or of another type (undefined_function): undefined_table, undefined_column,
 * undefined_object, invalid_schema_name.
 */
const isOfDefinition = (code: string): boolean => code === '42P01' || code === '42703' || code === '42704' || code === '42883' || code === '3F000';

interface Answer {
  /** From 1. */
  readonly place: number;
  readonly json: string | null;
}

/** Which hole takes which answer. */
type Places = [hole: number, answer: number][];
interface Selection extends Pick<Unchanged, 'kind' | 'table' | 'column' | 'type'> {
  readonly kind: 'unchanged';
  readonly keys: (readonly string[])[];
  readonly places: Places;
}
interface Casting extends Pick<Uncast, 'sqlType'> {
  readonly kind: 'cast';
  readonly texts: string[];
  readonly places: Places;
}

/** What is asked at once, and each thing once. */
function questionsOf(holes: readonly Hole[]): (Selection | Casting)[] {
  const selections = new Map<UnchangedTable, Map<string, Selection>>();
  const castings = new Map<string, Casting>();
  const asked = new Map<Selection | Casting, Map<string, number>>();
  holes.forEach(({ missing }, i) => {
    const question = missing.kind === 'cast' ? castingOf(castings, missing) : selectionOf(selections, missing);
    const text = missing.kind === 'cast' ? missing.text : JSON.stringify(missing.key);
    let known = asked.get(question);
    if (!known) asked.set(question, (known = new Map()));
    let place = known.get(text);
    if (place === undefined) {
      place = known.size;
      known.set(text, place);
      if (question.kind === 'cast') question.texts.push(text);
      else question.keys.push((missing as Unchanged).key);
    }
    question.places.push([i, place]);
  });
  return [...asked.keys()];
}

function castingOf(castings: Map<string, Casting>, { sqlType }: Uncast): Casting {
  let casting = castings.get(sqlType);
  if (!casting) castings.set(sqlType, (casting = { kind: 'cast', sqlType, texts: [], places: [] }));
  return casting;
}

function selectionOf(selections: Map<UnchangedTable, Map<string, Selection>>, { table, column, type }: Unchanged): Selection {
  let ofTable = selections.get(table);
  if (!ofTable) selections.set(table, (ofTable = new Map()));
  let selection = ofTable.get(column);
  if (!selection) ofTable.set(column, (selection = { kind: 'unchanged', table, column, type, keys: [], places: [] }));
  return selection;
}
