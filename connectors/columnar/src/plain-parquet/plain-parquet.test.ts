import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseLogicalType, toJsonSchema } from '@tapline/catalog';
import { columnOf, writeBatch, type BatchValue } from '@tapline/test/batch-columns';
import { byTurns } from '@tapline/test/everyday';
import { plainForm, plainValues, type BatchType } from '@tapline/sdk/batch';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { announced } from '../batch-files.test.support.js';
import type { BatchFile } from '../convert/batch-forms.js';
import { planColumns, type ColumnPlan } from '../convert/column-plan.js';
import { Converter } from '../convert/convert.js';
import { Engine } from '../convert/engine.js';
import { sqlString } from '../convert/value-sql.js';
import { parquetColumns, readParquet, type ParquetRow } from '../read-parquet.test.support.js';

let directory: string;
let engine: Engine;
let files = 0;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tapline-plain-'));
  engine = new Engine({ directory: join(directory, 'engine'), workers: 2 });
});
afterAll(async () => {
  await engine[Symbol.asyncDispose]();
  await rm(directory, { recursive: true, force: true });
});

const stamp = { rawIdPrefix: 'abcdef12-0003-', generation: 3, syncId: 7, seq: 258, firstRow: 2 ** 32 - 3, now: 1000 };
const planOf = (types: Readonly<Record<string, string>>): ColumnPlan => planColumns({
  name: 's', json_schema: { properties: Object.fromEntries(Object.entries(types).map(([name, type]) => [name, toJsonSchema(parseLogicalType(type)!)])) },
});
const batchType = (type: string): BatchType => {
  const logical = parseLogicalType(type)!;
  return ['json', 'uuid', 'interval'].includes(logical.kind) ? { kind: 'text' } : (logical as BatchType);
};

/** Both ways to the same rows: files that are not zstd are the engine's. */
async function convert(way: 'passed' | 'engine', plan: ColumnPlan, columns: readonly string[], batches: readonly BatchFile[], rowGroupBytes = 1 << 20): Promise<string> {
  const converter = new Converter({ engine, directory: join(directory, `out${++files}`), compression: way === 'passed' ? 'zstd' : 'gzip', rowGroupBytes, log: () => undefined });
  const [file] = await converter.convert({ stream: { name: 's' }, plan, partition: undefined, unchanged: false, stamp, input: { columns, files: batches } });
  return file!.path;
}

const sql = async (text: string): Promise<Record<string, unknown>[]> => [...(await engine.run(text, 0))];
const from = (path: string): string => `read_parquet(${sqlString(path)})`;
const maker = async (path: string): Promise<unknown> => (await sql(`SELECT created_by FROM parquet_file_metadata(${sqlString(path)})`))[0]!['created_by'];
const groupsOf = async (path: string): Promise<unknown> => (await sql(`SELECT num_row_groups::INT AS n FROM parquet_file_metadata(${sqlString(path)})`))[0]!['n'];

/** By the engine, by another reader, and by what the file says of its columns. */
async function expectSame(passed: string, made: string): Promise<void> {
  expect([await maker(passed), String(await maker(made)).startsWith('tapline')]).toEqual(['tapline version 1.0.0', false]);
  const described = (path: string) => sql(`DESCRIBE SELECT * FROM ${from(path)}`);
  expect(await described(passed)).toEqual(await described(made));
  const schema = (path: string) => sql(`SELECT name, type, type_length, repetition_type, scale, precision FROM parquet_schema(${sqlString(path)}) WHERE type IS NOT NULL`);
  expect(await schema(passed)).toEqual(await schema(made));
  expect(Object.keys(await parquetColumns(passed))).toEqual(Object.keys(await parquetColumns(made)));
  expect(await sql(`(SELECT * FROM ${from(passed)} EXCEPT ALL SELECT * FROM ${from(made)}) UNION ALL (SELECT * FROM ${from(made)} EXCEPT ALL SELECT * FROM ${from(passed)})`)).toEqual([]);
  const sorted = async (path: string): Promise<ParquetRow[]> => (await readParquet(path)).sort((a, b) => (String(a['_tapline_order']) < String(b['_tapline_order']) ? -1 : 1));
  expect(await sorted(passed)).toEqual(await sorted(made));
}

const far = 2n ** 63n;
const cases: Readonly<Record<string, readonly BatchValue[]>> = {
  boolean: [true, false, true, true, false],
  int16: [-32768, 32767, 0, -1],
  int32: [-2147483648, 2147483647, 0, 5],
  int64: [-far, far - 1n, 0n, -1n, 1n, 2n ** 32n, -(2n ** 32n), 2n ** 32n - 1n],
  float32: [0.5, -0.25, Infinity],
  float64: [NaN, -Infinity, 5e-324, -0.1],
  'decimal(4,2)': [9999n, -9999n, 1n],
  'decimal(12,2)': [999999999999n, -999999999999n, 150n],
  'decimal(38,10)': [10n ** 38n - 1n, -(10n ** 38n) + 1n, 0n],
  text: ['', 'é\n"', '日本\u2028', 'x'.repeat(300), '\0'],
  json: ['{"a":1.10}', 'null'],
  uuid: ['0188c6de-8d4e-7000-8000-000000000001'],
  bytes: [Buffer.from([0, 255, 128]), Buffer.alloc(0), Buffer.alloc(200, 0x80)],
  date: [-719162n, 2932896n, 0n],
  time: [0n, 86_399_999_999n],
  timestamp: [-62135596800000000n, 1763622000123456n, 253402300799999999n],
  timestamptz: [-62135596800000000n, 1763622000123456n, 253402300799999999n],
};

/** A second each. */
const largeToday = byTurns(Object.keys(cases), 5);

describe.each(Object.keys(cases))('values of type %s pass as they are', (type) => {
  const plan = planOf({ v: type, absent: type });
  const values = cases[type]!;
  const fileOf = async (rows: readonly BatchValue[], emittedAt?: number): Promise<BatchFile> => {
    const path = join(directory, `${++files}.parquet`);
    await writeBatch(path, [columnOf(batchType(type), rows)]);
    return await announced(path, rows.length, emittedAt);
  };
  const repeated = (length: number, at: (row: number) => BatchValue): BatchValue[] => Array.from({ length }, (_, row) => at(row));

  it.each<[string, () => Promise<BatchFile[]>]>([
    ['all there', async () => [await fileOf(values)]],
    ['some null', async () => [await fileOf([null, ...values, null])]],
    ['all null', async () => [await fileOf([null, null, null])]],
    ['in several files, which are put together', async () => [
      await fileOf(values), await fileOf([null, null], 5), await fileOf([null, ...values, ...values, null, ...values], 6), await fileOf(values, 5), await fileOf([values[0]!]),
    ]],
    ...largeToday.includes(type) ? [['in large files, and small ones between them', async () => [
      await fileOf(values), await fileOf(repeated(17_001, (row) => values[row % values.length]!)), await fileOf([null, values[0]!], 9),
      await fileOf(repeated(17_001, (row) => (row % 7 === 3 ? null : values[row % values.length]!))), await fileOf(values),
    ]] as [string, () => Promise<BatchFile[]>]] : [],
  ])('%s', async (_how, made) => {
    const batches = await made();
    await expectSame(await convert('passed', plan, ['v'], batches), await convert('engine', plan, ['v'], batches));
  });
});

describe('a file of passed values', () => {
  const ordered = planOf({ id: 'int64', note: 'text', _tapline_order: 'text' });
  const order = (n: number): string => `${'0'.repeat(12)}${String(n).padStart(4, '0')}`;
  const batchOf = async (ids: readonly number[], { note = 'x', emittedAt }: { readonly note?: string; readonly emittedAt?: number } = {}): Promise<BatchFile> => {
    const path = join(directory, `${++files}.parquet`);
    await writeBatch(path, [columnOf({ kind: 'int', bits: 64 }, ids), columnOf({ kind: 'text' }, ids.map(() => note)), columnOf({ kind: 'text' }, ids.map(order))]);
    return await announced(path, ids.length, emittedAt);
  };
  const columns = ['id', 'note', '_tapline_order'];

  it('has the order that the source gave, in the id of each row too', async () => {
    const batches = [await batchOf([3, 1, 2]), await batchOf([9, 8])];
    const passed = await convert('passed', ordered, columns, batches);
    await expectSame(passed, await convert('engine', ordered, columns, batches));
    expect((await readParquet(passed)).map((row) => [row['_tapline_order'], row['_airbyte_raw_id']])).toEqual([3, 1, 2, 9, 8].map((n) => [order(n), `abcdef12-0003-${order(n)}`]));
  });

  it('has row groups of whole files, each of about the size that was asked for', async () => {
    const batches: BatchFile[] = [];
    for (let n = 0; n < 12; n++) batches.push(await batchOf([n], { note: 'x'.repeat(10_000), emittedAt: n }));
    const passed = await convert('passed', ordered, columns, batches, 30_000);
    expect(await groupsOf(passed)).toBe(4);
    await expectSame(passed, await convert('engine', ordered, columns, batches));
  });

  it('of a thousand small files has few pages, and each its own time', async () => {
    const batches: BatchFile[] = [];
    for (let n = 0; n < 1000; n++) batches.push(await batchOf([n, n + 1000], { emittedAt: 1700000000000 + n }));
    const passed = await convert('passed', ordered, columns, batches, 8 << 20);
    expect(await groupsOf(passed)).toBe(1);
    await expectSame(passed, await convert('engine', ordered, columns, batches));
  });

  it('tells the bounds of its numbers and times, which readers trust', async () => {
    const plan = planOf({ a: 'int64', b: 'int32', c: 'decimal(12,2)', d: 'timestamptz', e: 'int64' });
    const random = Array.from({ length: 500 }, (_, i) => BigInt.asIntN(64, BigInt(i) * 0x9e3779b97f4a7c15n));
    const path = join(directory, `${++files}.parquet`);
    await writeBatch(path, [
      columnOf({ kind: 'int', bits: 64 }, random), columnOf({ kind: 'int', bits: 32 }, random.map((n) => BigInt.asIntN(32, n >> 16n))),
      columnOf({ kind: 'decimal', precision: 12, scale: 2 }, random.map((n) => n % 1000000000000n)), columnOf({ kind: 'timestamptz' }, random.map((n) => n % 253402300799999999n)),
      columnOf({ kind: 'int', bits: 64 }, random.map(() => null)),
    ]);
    const passed = await convert('passed', plan, ['a', 'b', 'c', 'd', 'e'], [await announced(path, random.length)]);
    const told = await sql(`SELECT path_in_schema AS name, stats_min_value AS least, stats_max_value AS greatest, stats_null_count::INT AS nulls FROM parquet_metadata(${sqlString(passed)})`);
    const real = async (name: string): Promise<unknown> => (await sql(`SELECT min(${name})::VARCHAR AS least, max(${name})::VARCHAR AS greatest FROM ${from(passed)}`))[0];
    for (const name of ['a', 'b', 'c', 'd', '_airbyte_generation_id', '_tapline_order', '_airbyte_raw_id', '_airbyte_meta']) {
      const { least, greatest, nulls } = told.find((one) => one['name'] === name)!;
      expect([name, { least, greatest }, nulls]).toEqual([name, await real(name), 0]);
    }
    expect(told.find((one) => one['name'] === 'e')).toMatchObject({ least: null, nulls: 500 });
    for (const name of ['a', 'b', 'c', 'd']) {
      const [all] = await sql(`SELECT list(${name} ORDER BY ${name}) AS l FROM ${from(passed)}`);
      const [found] = await sql(`SELECT count(*)::INT AS n FROM ${from(passed)} WHERE ${name} = (SELECT max(${name}) FROM ${from(passed)})`);
      expect([name, (all!['l'] as unknown[]).length, Number(found!['n']) > 0]).toEqual([name, 500, true]);
    }
  });
});

describe('a batch file that is not what it seems never becomes a file that cannot be read', () => {
  const plan = planOf({ id: 'int64', note: 'text', ok: 'boolean', small: 'int16' });
  const columns = ['id', 'note', 'ok', 'small'];
  const whole = async (): Promise<Buffer> => {
    const path = join(directory, `${++files}.parquet`);
    const rows = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
    await writeBatch(path, [
      columnOf({ kind: 'int', bits: 64 }, rows.map((n) => (n % 4 === 0 ? null : n))), columnOf({ kind: 'text' }, rows.map((n) => `é${n}`)),
      columnOf({ kind: 'boolean' }, rows.map((n) => n % 3 === 0)), columnOf({ kind: 'int', bits: 16 }, rows.map((n) => (n % 5 === 0 ? null : n))),
    ]);
    return await readFile(path);
  };

  it('whichever byte is wrong', async () => {
    const bytes = await whole();
    let [passed, refused] = [0, 0];
    for (let at = 0; at < bytes.length; at++) {
      const wrong = Buffer.from(bytes);
      wrong[at]! ^= 0xff;
      const path = join(directory, `${++files}.parquet`);
      await writeFile(path, wrong);
      const made = await convert('passed', plan, columns, [await announced(path, 11)]).catch(() => undefined);
      if (made === undefined) {
        refused++;
        continue;
      }
      const [read] = await sql(`SELECT count(*)::INT AS n, count(note)::INT AS notes, min(_tapline_order) AS first, max(id) + max(small) + count(ok) + sum(length(note)) AS read FROM ${from(made)}`);
      expect([at, read!['n'], read!['notes']]).toEqual([at, 11, 11]);
      passed++;
    }
    // Values are what they are; of the rest most is noticed.
    expect([passed > 100, refused > 100]).toEqual([true, true]);
  }, 60_000);

  it.each<[string, (bytes: Buffer, at: (column: number) => number) => void]>([
    ['text that is no UTF-8', (bytes, at) => void (bytes[at(1) + 4] = 0xff)],
    ['text whose last letter is cut off', (bytes, at) => void bytes.writeUInt32LE(1, at(1))],
    ['a length beyond its page', (bytes, at) => void bytes.writeUInt32LE(2 ** 31, at(1))],
    ['a number that its type does not hold', (bytes, at) => void bytes.writeInt32LE(40_000, at(3))],
  ])('%s is left to the engine, which does not take it', async (_what, spoil) => {
    const bytes = await whole();
    const path = join(directory, `${++files}.parquet`);
    await writeFile(path, bytes);
    const form = (await plainForm(path))!;
    spoil(bytes, (column) => plainValues(bytes, form.columns[column]!, 11)!.start);
    await writeFile(path, bytes);
    const made = await convert('passed', plan, columns, [await announced(path, 11)]).catch((error: unknown) => error);
    if (made instanceof Error) expect(made.message).toMatch(/batch file .* cannot be read/);
    else expect(String(await maker(made as string))).not.toMatch(/^tapline/);
  });
});
