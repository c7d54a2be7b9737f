import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { formatLogicalType, parseLogicalType, toJsonSchema } from '@tapline/catalog';
import type { AirbyteStream } from '@tapline/protocol';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parquetColumns, readAll, type ParquetRow } from '../read-parquet.test.support.js';
import { planColumns, type ColumnPlan } from './column-plan.js';
import { Converter } from './convert.js';
import type { Partition } from './row-sql.js';
import { Engine } from './engine.js';
import type { Refuse } from './refuse-sql.js';
import { lost, matrix } from './value-matrix.test.support.js';

let directory: string;
let engine: Engine;
let files = 0;
let logged: string[] = [];

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tapline-convert-'));
  engine = new Engine({ directory: join(directory, 'engine'), workers: 2 });
});
afterAll(async () => {
  await engine[Symbol.asyncDispose]();
  await rm(directory, { recursive: true, force: true });
});

async function convertLines(plan: ColumnPlan, lines: readonly (string | Uint8Array)[], { partition, refuse, readOnce, unchanged = false }: { partition?: Partition; refuse?: Refuse; readOnce?: boolean; unchanged?: boolean } = {}) {
  const path = join(directory, `${++files}.jsonl`);
  const bytes = Buffer.concat(lines.map((line) => Buffer.concat([typeof line === 'string' ? Buffer.from(line) : line, Buffer.from('\n')])));
  await writeFile(path, bytes);
  logged = [];
  const converter = new Converter({
    engine, directory: join(directory, `out${files}`), compression: 'zstd', rowGroupBytes: 1 << 20, refuse, readOnce, log: (_level, message) => void logged.push(message),
  });
  return await converter.convert({
    stream: { name: 's' }, plan, partition, unchanged,
    input: { path, lines: lines.length, bytes: bytes.length, longestLine: Math.max(...lines.map((line) => Buffer.byteLength(line))) + 1, firstLine: 1 },
    stamp: { rawIdPrefix: 'abcdef12-0003-', generation: 3, syncId: 7, seq: 258, firstRow: 11, now: 1000 },
  });
}

async function rowsOf(plan: ColumnPlan, lines: readonly (string | Uint8Array)[]): Promise<ParquetRow[]> {
  return await readAll((await convertLines(plan, lines)).map((file) => file.path));
}

const record = (data: string): string => `{"type":"RECORD","record":{"stream":"s","emitted_at":1700000000123,"data":${data}}}`;
const typed = (types: Readonly<Record<string, string>>): AirbyteStream => ({
  name: 's',
  json_schema: { properties: Object.fromEntries(Object.entries(types).map(([name, type]) => [name, toJsonSchema(parseLogicalType(type)!)])) },
});
/** The same columns, read by the walker. */
const walked = (plan: ColumnPlan): ColumnPlan => ({ ...plan, typed: false });
const changesOf = (row: ParquetRow): unknown => (JSON.parse(String(row['_airbyte_meta'])) as { changes: unknown }).changes;

/** As the matrix writes it. */
function plain(value: unknown, type: string): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString();
  if (value instanceof Date) return type === 'date' ? value.toISOString().slice(0, 10) : value.toISOString();
  if (type === 'time' && value !== null) {
    const micros = Number(value);
    return new Date(micros / 1000).toISOString().slice(11, 19) + (micros % 1e6 ? `.${String(micros % 1e6).padStart(6, '0')}` : '');
  }
  return value;
}

describe.each(Object.keys(matrix))('a value of type %s', (type) => {
  const cases = matrix[type]!;
  const lines = cases.map(([json]) => record(`{"v":${json}}`));
  const plan = planColumns(typed({ v: type }));

  it.each(['raw', 'walked'])('lands as it came, or as null with an entry (%s lines)', async (reader) => {
    const rows = await rowsOf(reader === 'raw' ? plan : walked(plan), lines);
    expect(rows.map((row) => plain(row['v'], type))).toEqual(cases.map(([, expected]) => (expected === lost ? null : expected)));
    expect(rows.map((row) => changesOf(row))).toEqual(
      cases.map(([json, expected]) => (expected === lost
        ? [{ field: 'v', change: 'NULLED', reason: json.includes('\\ud800') ? 'DESTINATION_SERIALIZATION_ERROR' : 'DESTINATION_TYPECAST_ERROR' }] : [])),
    );
  });

  it('reads the same alone by either reader', async () => {
    // Alone: one value that the raw reader refuses would else hide the others from it.
    for (const line of lines) expect(await rowsOf(plan, [line]), line).toEqual((await rowsOf(walked(plan), [line])).map(({ _tapline_extra, ...row }) => row));
  });
});

describe('every row', () => {
  const plan = planColumns(typed({ id: 'int64', 'select': 'text', 'a "b" \'c\'': 'text' }));

  it('carries who wrote it, when, in which generation, and its place', async () => {
    const [first, second] = await rowsOf(plan, [record('{"id":1,"select":"x","a \\"b\\" \'c\'":"y"}'), record('{"id":2}')]);
    expect(first).toMatchObject({
      id: 1n, select: 'x', 'a "b" \'c\'': 'y', _airbyte_raw_id: 'abcdef12-0003-0000000000000102000000000000000b', _airbyte_meta: '{"sync_id":7,"changes":[]}',
      _airbyte_extracted_at: new Date(1700000000123), _airbyte_generation_id: 3n, _tapline_order: '0000000000000102000000000000000b',
    });
    expect(second!['_tapline_order']).toBe('0000000000000102000000000000000c');
  });

  it('has the Parquet types of the contract', async () => {
    const all = Object.keys(matrix);
    const [file] = await convertLines(planColumns(typed(Object.fromEntries(all.map((type) => [formatLogicalType(parseLogicalType(type)!), type])))), [record('{}')]);
    expect(await parquetColumns(file!.path)).toMatchInlineSnapshot(`
      {
        "_airbyte_extracted_at": "INT64 TIMESTAMP_MICROS",
        "_airbyte_generation_id": "INT64 INT_64",
        "_airbyte_meta": "BYTE_ARRAY UTF8",
        "_airbyte_raw_id": "BYTE_ARRAY UTF8",
        "_tapline_order": "BYTE_ARRAY UTF8",
        "array<int32>": "BYTE_ARRAY UTF8",
        "boolean": "BOOLEAN",
        "bytes": "BYTE_ARRAY",
        "date": "INT32 DATE",
        "decimal": "BYTE_ARRAY UTF8",
        "decimal(12,2)": "INT64 DECIMAL",
        "decimal(38,10)": "FIXED_LEN_BYTE_ARRAY DECIMAL",
        "float32": "FLOAT",
        "float64": "DOUBLE",
        "int16": "INT32 INT_16",
        "int32": "INT32 INT_32",
        "int64": "INT64 INT_64",
        "interval": "BYTE_ARRAY UTF8",
        "json": "BYTE_ARRAY UTF8",
        "text": "BYTE_ARRAY UTF8",
        "time": "INT64 TIME_MICROS",
        "timestamp": "INT64 TIMESTAMP_MICROS",
        "timestamptz": "INT64 TIMESTAMP_MICROS",
        "uuid": "BYTE_ARRAY UTF8",
      }
    `);
  });

  it("keeps the record's own changes before ours", async () => {
    const line = `{"type":"RECORD","record":{"stream":"s","emitted_at":1,"meta":{"changes":[{"field":"note","change":"TRUNCATED","reason":"SOURCE_FIELD_SIZE_LIMITATION"}]},"data":{"id":1.5}}}`;
    for (const reader of [plan, walked(plan)]) {
      const [row] = await rowsOf(reader, [line]);
      expect(changesOf(row!)).toEqual([
        { field: 'note', change: 'TRUNCATED', reason: 'SOURCE_FIELD_SIZE_LIMITATION' },
        { field: 'id', change: 'NULLED', reason: 'DESTINATION_TYPECAST_ERROR' },
      ]);
    }
  });

  it('takes the order that the source declares', async () => {
    const own = planColumns(typed({ id: 'int64', _tapline_order: 'text' }));
    for (const reader of [own, walked(own)]) {
      const [row] = await rowsOf(reader, [record('{"id":1,"_tapline_order":"000000000000000a0000000000000001"}')]);
      expect(row).toMatchObject({ _tapline_order: '000000000000000a0000000000000001', _airbyte_raw_id: 'abcdef12-0003-000000000000000a0000000000000001' });
    }
  });
});

describe("other people's records", () => {
  const stream = (properties: Readonly<Record<string, unknown>>): AirbyteStream => ({ name: 's', json_schema: { properties } });

  it('keep their digits, in JSON and in text', async () => {
    const plan = planColumns(stream({ o: { type: 'object' }, u: { type: ['string', 'integer'] }, t: { type: 'string' } }));
    const [row] = await rowsOf(plan, [record('{"o":{"n":18446744073709551614, "d":12345678901234567890.123456789},"u":5e-324,"t":12345678901234567890.123456789}')]);
    expect(row).toMatchObject({ o: '{"n":18446744073709551614, "d":12345678901234567890.123456789}', u: '5e-324', t: '12345678901234567890.123456789' });
  });

  it('leave what is not declared in _tapline_extra, with one warning a field', async () => {
    const plan = planColumns(stream({ a: { type: 'string' } }));
    const rows = await rowsOf(plan, [record('{"a":"1","x":1.0,"é":{"k":"\\u0000"}}'), record('{"a":"2","x":null}'), record('{"a":"3"}')]);
    expect(rows.map((row) => row['_tapline_extra'])).toEqual(['{"x":1.0,"é":{"k":"\\u0000"}}', '{"x":null}', null]);
    expect(logged).toHaveLength(2);
  });

  it('may name columns in another case only, or as ours are named', async () => {
    const plan = planColumns(stream({ a: { type: 'string' }, A: { type: 'string' }, A__2: { type: 'string' }, _airbyte_raw_id: { type: 'string' }, '': { type: 'string' } }));
    const [row] = await rowsOf(plan, [record('{"a":"1","A":"2","A__2":"3","_airbyte_raw_id":"4","":"5","_airbyte_meta":"6"}')]);
    expect(row).toMatchObject({ a: '1', A__3: '2', A__2: '3', _airbyte_raw_id__2: '4', __2: '5', _tapline_extra: '{"_airbyte_meta":"6"}' });
    expect(plan.warnings).toHaveLength(3);
  });

  it('may have any order of members, white space, and a type at the end', async () => {
    const plan = planColumns(stream({ a: { type: 'integer' } }));
    const [row] = await rowsOf(plan, [' { "record" : { "data" : { "a" : 1 } , "emitted_at" : 1700000000123.0 , "stream" : "s" } , "type" : "RECORD" } \r']);
    expect(row).toMatchObject({ a: 1n, _airbyte_extracted_at: new Date(1700000000123) });
  });

  it('without data are left out with a warning', async () => {
    const plan = planColumns(typed({ a: 'text' }));
    const none = '{"type":"RECORD","record":{"stream":"s","emitted_at":1}}';
    expect(await rowsOf(plan, [none, record('{"a":"1"}'), none])).toHaveLength(1);
    expect(logged).toHaveLength(1);
    expect(await convertLines(plan, [none])).toEqual([]);
  });

  it('lose text that is no UTF-8, with an entry', async () => {
    const plan = planColumns(typed({ a: 'text', b: 'text' }));
    const line = Buffer.from(record('{"a":"\xff","b":"ok"}'), 'latin1');
    const [row] = await rowsOf(plan, [line]);
    expect(row).toMatchObject({ a: null, b: 'ok' });
    expect(changesOf(row!)).toEqual([{ field: 'a', change: 'NULLED', reason: 'DESTINATION_SERIALIZATION_ERROR' }]);
  });

  it('without columns still give their rows', async () => {
    const [row] = await rowsOf(planColumns(stream({})), [record('{"a":1}')]);
    expect(row).toMatchObject({ _tapline_extra: '{"a":1}' });
    expect(await rowsOf(planColumns(stream({})), [record('{}')])).toHaveLength(1);
  });

  it.each(['{"type":"RECORD","record":{"stream":"s","data":{"a":"secret"}', record('{"a":"secret" "b":1}'), record('{"a":01}'), record('{"a":"\\x"}'), record('{"a":tru}')])(
    'that are malformed are told by stream and number, without their content: %s', async (bad) => {
      const plan = planColumns(typed({ a: 'text' }));
      const failed = convertLines(plan, [record('{"a":"1"}'), bad]);
      await expect(failed).rejects.toMatchObject({ code: 'protocol' });
      await expect(failed).rejects.toThrow(/stream s: record 2 /);
      await expect(failed).rejects.not.toThrow(/secret/);
    },
  );
});

describe('values that a record calls unchanged', () => {
  const record = (data: string, meta: string): string => `{"type":"RECORD","record":{"stream":"s","emitted_at":1,"data":${data},"meta":${meta}}}`;
  const unchangedIn = async (plan: ColumnPlan, lines: readonly string[]): Promise<unknown[]> =>
    (await readAll((await convertLines(plan, lines, { unchanged: true })).map(({ path }) => path))).map((row) => row['_tapline_unchanged']);
  const plan = planColumns(typed({ id: 'int64', body: 'text', 'a "b"': 'text' }));

  it('are named by their columns, null where there are none; what it changed stands beside them', async () => {
    const lines = [
      record('{"id":1}', '{"unchanged":["body","a \\"b\\""]}'), record('{"id":2,"body":"x"}', '{}'), record('{"id":3}', '{"unchanged":[]}'), record('{"id":4}', 'null'),
      record('{"id":5}', '{"changes":[{"field":"body","change":"NULLED","reason":"r"}],"unchanged":["a \\"b\\""]}'),
    ];
    for (const reader of [plan, walked(plan)]) {
      expect(await unchangedIn(reader, lines)).toEqual(['["body","a \\"b\\""]', null, null, null, '["a \\"b\\""]']);
      const rows = await readAll((await convertLines(reader, lines, { unchanged: true })).map(({ path }) => path));
      expect(rows.map(changesOf)).toEqual([[], [], [], [], [{ field: 'body', change: 'NULLED', reason: 'r' }]]);
    }
  });

  it('are named by the column, where that has another name than the field; what no column holds is not named', async () => {
    const renamed = planColumns(typed({ id: 'int64', _airbyte_meta: 'text' }));
    expect(await unchangedIn(renamed, [record('{"id":1}', '{"unchanged":["_airbyte_meta","nobody"]}')])).toEqual(['["_airbyte_meta__2"]']);
    const left = planColumns({ ...typed({ id: 'int64', body: 'text' }), tapline: { left_out: ['secret', "it's"] } });
    for (const reader of [left, walked(left)]) expect(await unchangedIn(reader, [record('{"id":1}', '{"unchanged":["secret","body"]}'), record('{"id":1}', `{"unchanged":["it's"]}`)])).toEqual(['["body"]', null]);
  });

  it('are null, and nothing else, in a file that does not ask', async () => {
    for (const reader of [plan, walked(plan)]) {
      const [row] = await rowsOf(reader, [record('{"id":1}', '{"unchanged":["body"]}')]);
      expect(row).toMatchObject({ id: 1n, body: null, _airbyte_meta: '{"sync_id":7,"changes":[]}' });
      expect(Object.keys(row!)).not.toContain('_tapline_unchanged');
    }
  });
});

describe('values that the destination refuses', () => {
  const refuse: Refuse = ({ kind }, value) => (kind === 'text' ? `contains(${value}, chr(0))` : kind === 'json' ? `contains(${value}, '\\u0000')` : kind === 'date' ? `${value} > DATE '9999-12-31'` : undefined);
  const refused = (field: string): object => ({ field, change: 'NULLED', reason: 'DESTINATION_TYPECAST_ERROR' });
  const converted = async (plan: ColumnPlan, lines: readonly string[]): Promise<ParquetRow[]> => await readAll((await convertLines(plan, lines, { refuse })).map(({ path }) => path));
  const plan = planColumns(typed({ id: 'int64', note: 'text', day: 'date', doc: 'json' }));

  it('are null, with an entry, whatever reads the lines; others of the row stay', async () => {
    const lines = [
      record('{"id":1,"note":"a\\u0000b","day":"12026-01-01","doc":"{\\"a\\":\\"\\\\u0000\\"}"}'), record('{"id":2,"note":"plain","day":"2026-01-01","doc":"[1]"}'),
      record('{"id":3,"note":null,"day":null}'), record('{"id":"x","note":"\\u0000"}'),
    ];
    for (const reader of [plan, walked(plan)]) {
      const rows = await converted(reader, lines);
      expect(rows.map((row) => [row['id'], row['note'], row['doc']])).toEqual([[1n, null, null], [2n, 'plain', '[1]'], [3n, null, null], [null, null, null]]);
      expect(rows.map((row) => row['day'] === null)).toEqual([true, false, true, true]);
      expect(rows.map(changesOf)).toEqual([[refused('note'), refused('day'), refused('doc')], [], [], [refused('id'), refused('note')]]);
    }
  });

  it('may lie in a file of their own, or in what nobody declared', async () => {
    const long = 'x'.repeat(9 << 20);
    const [row] = await converted(plan, [record(JSON.stringify({ id: 1, note: `\0${long}`, other: 1 })), record(JSON.stringify({ id: 2, note: long }))]);
    expect(row).toMatchObject({ note: null, _tapline_extra: '{"other":1}' });
    expect(changesOf(row!)).toEqual([refused('note')]);
    const [extra, held] = await converted(walked(plan), [record('{"id":1,"other":"\\u0000"}'), record('{"id":1,"other":"x"}')]);
    expect([extra!['_tapline_extra'], held!['_tapline_extra']]).toEqual([null, '{"other":"x"}']);
    expect([extra, held].map((read) => changesOf(read!))).toEqual([[refused('_tapline_extra')], []]);
  });

  it('do not come back in what is said of them', async () => {
    const odd = planColumns(typed({ 'a\0b': 'int64' }));
    const [own, ours] = await converted(odd, [`{"type":"RECORD","record":{"stream":"s","emitted_at":1,"data":{},"meta":{"changes":[{"field":"a\\u0000b","change":"NULLED","reason":"r"}]}}}`, record('{"a\\u0000b":"x"}')]);
    expect([own, ours].map((row) => changesOf(row!))).toEqual([[refused('_airbyte_meta')], [refused('a\ufffdb')]]);
  });
});

describe('files', () => {
  it('lie in hive folders by the UTC day and hour, null in the default one', async () => {
    const plan = planColumns(typed({ at: 'timestamptz', date: 'text' }));
    const lines = ['"2026-11-20T23:30:00-02:00"', '"2026-11-20T07:59:59+00:00"', 'null', '"infinity"'].map((at) => record(`{"at":${at},"date":"own"}`));
    for (const reader of [plan, walked(plan)]) {
      const written = await convertLines(reader, lines, { partition: { column: 'at', hour: true } });
      const partitions = Object.fromEntries(written.map((file) => [file.partition, file.rows]));
      expect(partitions).toEqual({
        'date=2026-11-21/hour=01': 1, 'date=2026-11-20/hour=07': 1, 'date=__HIVE_DEFAULT_PARTITION__/hour=__HIVE_DEFAULT_PARTITION__': 2,
      });
      const rows = await readAll(written.map((file) => file.path));
      expect(rows.map((row) => row['date'])).toEqual(['own', 'own', 'own', 'own']);
      expect(Object.keys(rows[0]!)).not.toContain('__tapline_date');
    }
  });

  it('that are read once hold the same rows, and nothing is packed', async () => {
    const plan = planColumns(typed({ id: 'int64', status: 'text' }));
    const lines = Array.from({ length: 5000 }, (_, id) => record(`{"id":${id},"status":"one of few"}`));
    const [packed, plain] = [await convertLines(plan, lines), await convertLines(plan, lines, { readOnce: true })];
    expect(await readAll(plain.map(({ path }) => path))).toEqual(await readAll(packed.map(({ path }) => path)));
    const sql = `SELECT DISTINCT compression, encodings, bloom_filter_offset IS NULL AS unfiltered, dictionary_page_offset IS NULL AS plain FROM parquet_metadata('${plain[0]!.path}')`;
    expect(await engine.run(sql, 0)).toEqual([{ compression: 'UNCOMPRESSED', encodings: 'PLAIN', unfiltered: true, plain: true }]);
  });

  it('hold rows of 10 MB, escapes and order included', async () => {
    const plan = planColumns(typed({ id: 'int64', a: 'text', j: 'json', n: 'int64' }));
    const long = 'xé'.repeat(4 << 20);
    const values = [{ id: 1, a: 'short' }, { id: 2, a: long, j: '[1]' }, { id: 3, a: `\n${long}"`, j: `"${long}"` }, { id: 4, n: '1'.repeat(9 << 20) }];
    for (const reader of [plan, walked(plan)]) {
      const rows = await rowsOf(reader, values.map((value) => record(JSON.stringify(value))));
      expect(rows.map((row) => row['id'])).toEqual([1n, 2n, 3n, 4n]);
      // Compared by hand: a difference of this length is no use in a report.
      expect(values.slice(0, 3).map(({ a, j }, i) => rows[i]!['a'] === a && rows[i]!['j'] === (j ?? null))).toEqual([true, true, true]);
      expect(rows[3]!['n']).toBeNull();
      expect(changesOf(rows[3]!)).toMatchObject([{ field: 'n', change: 'NULLED' }]);
    }
  });
});
