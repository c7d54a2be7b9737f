import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { duckdbType, parseLogicalType, toJsonSchema } from '@tapline/catalog';
import type { AirbyteStream } from '@tapline/protocol';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { announced, integers, texts, writeBatch } from '../batch-files.test.support.js';
import { readAll, type ParquetRow } from '../read-parquet.test.support.js';
import type { BatchFile } from './batch-forms.js';
import { planColumns, type ColumnPlan } from './column-plan.js';
import type { ConvertedFile, ConvertRequest } from './convert-request.js';
import { Converter } from './convert.js';
import { Engine } from './engine.js';
import type { Refuse } from './refuse-sql.js';
import { lost, matrix } from './value-matrix.test.support.js';
import { sqlString } from './value-sql.js';

let directory: string;
let engine: Engine;
let files = 0;
let logged: string[] = [];

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tapline-batches-'));
  engine = new Engine({ directory: join(directory, 'engine'), workers: 2 });
});
afterAll(async () => {
  await engine[Symbol.asyncDispose]();
  await rm(directory, { recursive: true, force: true });
});

const newPath = (): string => join(directory, `${++files}.parquet`);
const stamp = { rawIdPrefix: 'abcdef12-0003-', generation: 3, syncId: 7, seq: 258, firstRow: 11, now: 1000 };
type More = Partial<Pick<ConvertRequest, 'partition' | 'unchanged'>> & { readonly refuse?: Refuse };

async function convert(plan: ColumnPlan, input: ConvertRequest['input'], { refuse, partition, unchanged = false }: More = {}): Promise<ConvertedFile[]> {
  logged = [];
  const converter = new Converter({ engine, directory: join(directory, `out${++files}`), compression: 'zstd', rowGroupBytes: 1 << 20, refuse, log: (_level, message) => void logged.push(message) });
  return await converter.convert({ stream: { name: 's' }, plan, partition, unchanged, stamp, input });
}

async function ofLines(plan: ColumnPlan, lines: readonly string[], more?: More): Promise<ParquetRow[]> {
  const path = join(directory, `${++files}.jsonl`);
  const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(''));
  await writeFile(path, bytes);
  const input = { path, lines: lines.length, bytes: bytes.length, longestLine: Math.max(...lines.map((line) => Buffer.byteLength(line))) + 1, firstLine: 1 };
  return await readAll((await convert(plan, input, more)).map((file) => file.path));
}

async function ofBatches(plan: ColumnPlan, columns: readonly string[], batches: readonly BatchFile[], more?: More): Promise<ParquetRow[]> {
  return await readAll((await convert(plan, { columns, files: batches }, more)).map((file) => file.path));
}

const record = (data: string, meta = '{}'): string => `{"type":"RECORD","record":{"stream":"s","emitted_at":1700000000123,"meta":${meta},"data":${data}}}`;
const typed = (types: Readonly<Record<string, string>>): AirbyteStream => ({
  name: 's',
  json_schema: { properties: Object.fromEntries(Object.entries(types).map(([name, type]) => [name, toJsonSchema(parseLogicalType(type)!)])) },
});
const withoutExtra = (rows: readonly ParquetRow[]): ParquetRow[] => rows.map(({ _tapline_extra, ...row }) => row);

/** What a batch holds of a value in a line: its string, or its JSON. */
const wireText = (json: string): string | null => (json === 'null' ? null : json.startsWith('"') ? (JSON.parse(json) as string) : json);

describe.each(Object.keys(matrix))('a value of type %s', (type) => {
  // Half of a surrogate pair is no text that a file could hold; of true a batch does not tell whether it stood in quotes.
  const cases = matrix[type]!.map(([json]) => json).filter((json) => !json.includes('\\ud800'));
  const plan = planColumns(typed({ v: type }));

  it('is the same as from a line, as text', async () => {
    const lines = await ofLines(plan, cases.map((json) => record(`{"v":${json}}`)));
    expect(await ofBatches(plan, ['v'], [await writeBatch(newPath(), [texts(cases.map(wireText))])])).toEqual(lines.map(({ _tapline_extra, ...row }) => row));
  });

  it('is the same as from a line, in its own form, and as text where that cannot hold it', async () => {
    const held = `try_cast(t.v AS ${duckdbType(parseLogicalType(type)!)})`;
    const path = newPath();
    const lines = await ofLines(plan, cases.map((json) => record(`{"v":${json}}`)));
    const read = newPath();
    await convert(plan, { columns: ['v'], files: [await writeBatch(read, [texts(cases.map(wireText))])] });
    const values = (await ofBatches(plan, ['v'], [await announced(read, cases.length)])).map((row) => row['v'] ?? null);
    const strays = cases.map((json, i) => (values[i] === null && json !== 'null' ? JSON.stringify({ 0: wireText(json) }) : null));
    const list = cases.map((json, i) => `(${i}, ${strays[i] === null && json !== 'null' ? sqlString(wireText(json)!).replaceAll('\0', "' || chr(0) || '") : 'NULL'}, ${strays[i] === null ? 'NULL' : sqlString(strays[i]!)})`);
    const native = type === 'bytes' ? 'from_base64(t.v)' : /^(?:int|decimal\(12)/.test(type) ? `replace(t.v, '1e3', '1000')::${duckdbType(parseLogicalType(type)!)}` : held;
    await engine.run(`COPY (SELECT ${native}, t.s FROM (VALUES ${list.join(', ')}) AS t(i, v, s) ORDER BY i) TO ${sqlString(path)} (FORMAT parquet)`, 0);
    expect(await ofBatches(plan, ['v', '_tapline_values'], [await announced(path, cases.length)])).toEqual(withoutExtra(lines));
  });
});

it('the matrix has values that cannot be held', () => {
  expect(Object.values(matrix).flat().filter(([, expected]) => expected === lost).length).toBeGreaterThan(30);
});

describe('the rows of batch files', () => {
  const plan = planColumns(typed({ id: 'int64', 'select': 'text', 'a "b" \'c\'': 'text' }));
  const columns = ['id', 'select', 'a "b" \'c\''];

  it('are those of the lines, whatever forms the files have, in their order', async () => {
    const first = await writeBatch(newPath(), [integers([1, null]), texts(['x', null]), texts(['y', "it's"])]);
    const second = await writeBatch(newPath(), [texts(['3', 'no number']), texts(['x', '']), texts([null, null])]);
    const third = await writeBatch(newPath(), [integers([5]), texts(['z']), texts([null])], 1600000000000);
    const lines = [
      record(JSON.stringify({ id: 1, 'select': 'x', 'a "b" \'c\'': 'y' })), record(JSON.stringify({ 'a "b" \'c\'': "it's" })), record(JSON.stringify({ id: 3, 'select': 'x' })),
      record(JSON.stringify({ id: 'no number', 'select': '' })), record('{"id":5,"select":"z"}').replace('1700000000123', '1600000000000'),
    ];
    expect(await ofBatches(plan, columns, [first, second, third])).toEqual(await ofLines(plan, lines));
  });

  it('are numbered through many files of one form', async () => {
    const batches = await Promise.all([1, 2, 3].map((n) => writeBatch(newPath(), [integers([n * 10, n * 10 + 1]), texts(['a', 'b']), texts(['c', null])])));
    const rows = await ofBatches(plan, columns, batches);
    expect(rows.map((row) => [row['id'], row['_tapline_order']])).toEqual(
      [10n, 11n, 20n, 21n, 30n, 31n].map((id, i) => [id, `0000000000000102${(11 + i).toString(16).padStart(16, '0')}`]),
    );
  });

  it('have columns by their position, whatever the fields are called; what is missing is null', async () => {
    const odd = planColumns(typed({ a: 'text', A: 'text', '': 'text', 'x\0y': 'text', gone: 'int32' }));
    const batch = await writeBatch(newPath(), [texts(['1']), texts(['2']), texts(['3']), texts(['4'])]);
    const lines = await ofLines(odd, [record(JSON.stringify({ a: '1', A: '2', '': '3', 'x\0y': '4' }))]);
    expect(await ofBatches(odd, ['a', 'A', '', 'x\0y'], [batch])).toEqual(lines);
  });

  it('take the order that the source declares', async () => {
    const own = planColumns(typed({ id: 'int64', _tapline_order: 'text' }));
    const batch = await writeBatch(newPath(), [texts(['000000000000000a0000000000000001', null]), integers([1, 2])]);
    const lines = [record('{"id":1,"_tapline_order":"000000000000000a0000000000000001"}'), record('{"id":2}')];
    expect(await ofBatches(own, ['_tapline_order', 'id'], [batch])).toEqual(await ofLines(own, lines));
  });

  it('leave what nobody declared in _tapline_extra, with one warning a field; what is left out goes', async () => {
    const left = planColumns({ ...typed({ id: 'int64' }), tapline: { left_out: ['secret'] } });
    const batch = await writeBatch(newPath(), [integers([1, 2]), texts(['s', 's']), texts(['é"', null]), integers([7, null])]);
    const untyped: ColumnPlan = { ...left, typed: false };
    const lines = await ofLines(untyped, [record('{"id":1,"secret":"s","new \\"one\\"":"é\\"","n":7}'), record('{"id":2,"new \\"one\\"":null,"n":null}')]);
    expect(await ofBatches(left, ['id', 'secret', 'new "one"', 'n'], [batch])).toEqual(lines);
    expect(logged).toHaveLength(2);
  });

  it('name what is unchanged, by the column where that has another name than the field', async () => {
    const batch = await writeBatch(newPath(), [integers([1, 2, 3]), texts(['["_airbyte_meta","nobody"]', null, '[]'])]);
    const renamed = planColumns(typed({ id: 'int64', _airbyte_meta: 'text' }));
    const lines = ['{"unchanged":["_airbyte_meta","nobody"]}', '{}', '{"unchanged":[]}'].map((meta, i) => record(`{"id":${i + 1}}`, meta));
    expect(await ofBatches(renamed, ['id', '_tapline_unchanged'], [batch], { unchanged: true })).toEqual(await ofLines(renamed, lines, { unchanged: true }));
    const left = planColumns({ ...typed({ id: 'int64', body: 'text' }), tapline: { left_out: ['secret'] } });
    const named = await writeBatch(newPath(), [integers([1]), texts(['["secret","body"]'])]);
    expect((await ofBatches(left, ['id', '_tapline_unchanged'], [named], { unchanged: true }))[0]).toMatchObject({ body: null, _tapline_unchanged: '["body"]' });
    expect(Object.keys((await ofBatches(left, ['id', '_tapline_unchanged'], [named]))[0]!)).not.toContain('_tapline_unchanged');
  });

  it('lose what the destination refuses, with an entry', async () => {
    const refuse: Refuse = ({ kind }, value) => (kind === 'text' ? `contains(${value}, chr(0))` : kind === 'json' ? `contains(${value}, '\\u0000')` : kind === 'int' ? `${value} > 100` : undefined);
    const batch = await writeBatch(newPath(), [integers([1, 101, null]), texts(['a\0b', 'plain', null]), texts(['x', 'y\0', null])]);
    const small = planColumns(typed({ id: 'int64', note: 'text' }));
    const untyped: ColumnPlan = { ...small, typed: false };
    const lines = await ofLines(untyped, [record('{"id":1,"note":"a\\u0000b","more":"x"}'), record('{"id":101,"note":"plain","more":"y\\u0000"}'), record('{"id":null,"note":null,"more":null}')], { refuse });
    expect(await ofBatches(small, ['id', 'note', 'more'], [batch], { refuse })).toEqual(lines);
  });

  it('lie in hive folders as those of lines do', async () => {
    const at = planColumns(typed({ at: 'timestamptz' }));
    const batch = await writeBatch(newPath(), [texts(['2026-11-20T23:30:00-02:00', '2026-11-20T07:59:59+00:00', null])]);
    const written = await convert(at, { columns: ['at'], files: [batch] }, { partition: { column: 'at', hour: true } });
    expect(Object.fromEntries(written.map((file) => [file.partition, file.rows]))).toEqual({
      'date=2026-11-21/hour=01': 1, 'date=2026-11-20/hour=07': 1, 'date=__HIVE_DEFAULT_PARTITION__/hour=__HIVE_DEFAULT_PARTITION__': 1,
    });
  });

  it('may be of types that no column has: their text is read as that of lines', async () => {
    const path = newPath();
    await engine.run(`COPY (SELECT 7::INTEGER, TIMESTAMPTZ '2026-11-20 07:00:00.5+00', TIMESTAMP_MS '2026-11-20 07:00:00.5', [1, 2], 1.50::DOUBLE, 'AB'::BLOB) TO ${sqlString(path)} (FORMAT parquet)`, 0);
    const other = planColumns(typed({ i: 'int64', t: 'text', at: 'timestamp', l: 'array<int32>', d: 'decimal(5,2)', b: 'text' }));
    expect((await ofBatches(other, ['i', 't', 'at', 'l', 'd', 'b'], [await announced(path, 1)]))[0]).toMatchObject({
      i: 7n, t: '2026-11-20T07:00:00.5+00:00', at: new Date('2026-11-20T07:00:00.500Z'), l: '[1,2]', d: 1.5, b: 'QUI=', _airbyte_meta: '{"sync_id":7,"changes":[]}',
    });
  });
});

describe('batches whose values lie in their files as they are', () => {
  const plan = planColumns(typed({ id: 'int64', name: 'text' }));
  const plainOf = async (columns: readonly string[], batches: readonly BatchFile[], more: { readonly plan?: ColumnPlan; readonly unchanged?: boolean } = {}) => {
    const converter = new Converter({ engine, directory: join(directory, `out${++files}`), compression: 'zstd', rowGroupBytes: 1 << 20, log: () => undefined });
    return (await converter.batchRows({ stream: { name: 's' }, partition: undefined, unchanged: false, stamp, plan, ...more, input: { columns, files: batches } })).plain;
  };

  it('are told where they lie, and what each row has besides', async () => {
    const batches = [await writeBatch(newPath(), [texts(['a', null]), integers([1, 2])]), await writeBatch(newPath(), [texts(['b']), integers([3])], 7)];
    expect(await plainOf(['name', 'id'], batches)).toEqual({
      files: [{ rows: 2, emittedAt: 1700000000123 }, { rows: 1, emittedAt: 7 }], order: undefined, orderPrefix: '0000000000000102', firstRow: 11,
      columns: new Map([['id', { index: 1, nullable: false }], ['name', { index: 0, nullable: true }]]), rawIdPrefix: 'abcdef12-0003-', generation: 3, meta: '{"sync_id":7,"changes":[]}',
    });
    expect((await plainOf(['id'], [await writeBatch(newPath(), [integers([1])])]))?.columns).toEqual(new Map([['id', { index: 0, nullable: false }]]));
  });

  it('have the order that the source gave, if it gave one to each row', async () => {
    const ordered = planColumns(typed({ id: 'int64', _tapline_order: 'text' }));
    const columns = ['id', '_tapline_order'];
    expect((await plainOf(columns, [await writeBatch(newPath(), [integers([1]), texts(['b'])])], { plan: ordered }))?.order).toBe(1);
    expect(await plainOf(columns, [await writeBatch(newPath(), [integers([1, 2]), texts(['b', null])])], { plan: ordered })).toBeUndefined();
  });

  it.each<[string, () => Promise<unknown>]>([
    ['a text that has to become a number', async () => await plainOf(['id'], [await writeBatch(newPath(), [texts(['1'])])])],
    ['a field that nobody declared', async () => await plainOf(['id', 'more'], [await writeBatch(newPath(), [integers([1]), texts(['x'])])])],
    ['values that no column holds', async () => await plainOf(['id', '_tapline_values'], [await writeBatch(newPath(), [integers([null]), texts(['{"0":"x"}'])])])],
    ['files of two forms', async () => await plainOf(['id'], [await writeBatch(newPath(), [integers([1])]), await writeBatch(newPath(), [texts(['1'])])])],
    ['rows that leave values out', async () => await plainOf(['id'], [await writeBatch(newPath(), [integers([1])])], { unchanged: true })],
    ['a file of another make', async () => {
      const path = newPath();
      await engine.run(`COPY (SELECT 1::BIGINT) TO ${sqlString(path)} (FORMAT parquet)`, 0);
      return await plainOf(['id'], [await announced(path, 1)]);
    }],
  ])('but not with %s', async (_what, made) => expect(await made()).toBeUndefined());
});

describe('a file that is not what was announced', () => {
  const plan = planColumns(typed({ id: 'int64' }));

  it.each([
    ['is no Parquet file that can be read', async (): Promise<BatchFile> => {
      const path = newPath();
      await writeFile(path, 'no Parquet, but long enough to be one: '.repeat(10));
      return await announced(path, 1);
    }],
    ['is no Parquet file that can be read', async (): Promise<BatchFile> => {
      const whole = await writeBatch(newPath(), [texts(['x'.repeat(5000)])]);
      await writeFile(whole.path, Buffer.alloc(100));
      return { ...whole, bytes: 100 };
    }],
    ['has 1 rows, but 2 were announced', async (): Promise<BatchFile> => ({ ...(await writeBatch(newPath(), [integers([1])])), rows: 2 })],
    ['has 2 columns, but 1 were announced', async (): Promise<BatchFile> => await writeBatch(newPath(), [integers([1]), integers([1])])],
  ])('is told by stream and name: it %s', async (what, make) => {
    const [good, bad] = [await writeBatch(newPath(), [integers([1])]), await make()];
    const failed = convert(plan, { columns: ['id'], files: [good, bad] });
    await expect(failed).rejects.toMatchObject({ code: 'protocol', stream: { name: 's' } });
    await expect(failed).rejects.toThrow(`stream s: the batch file ${bad.name} ${what}`);
  });
});
