import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDBInstance, type DuckDBConnection } from '@duckdb/node-api';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Column, parquetFile, plainForm, plainValues, type BatchType } from './index.js';

/** A value as DuckDB prints it, or null. */
type Text = string | null;

let directory: string;
let duckdb: DuckDBConnection;
let files = 0;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tapline-parquet-'));
  duckdb = await (await DuckDBInstance.create(':memory:', { threads: '1' })).connect();
  await duckdb.run(`SET TimeZone = 'UTC'`);
});
afterAll(async () => {
  duckdb.closeSync();
  await rm(directory, { recursive: true, force: true });
});

async function write(columns: readonly Column[]): Promise<string> {
  const path = join(directory, `${++files}.parquet`);
  await writeFile(path, Buffer.concat(parquetFile(columns, columns[0]!.rows)));
  return `'${path}'`;
}

const query = async (sql: string): Promise<Text[][]> => (await duckdb.runAndReadAll(sql)).getRowsJson() as Text[][];

/** Values are compared as the text of DuckDB's own, cast from the text that they were made of. */
async function expectRead(columns: readonly Column[], texts: readonly (readonly Text[])[]): Promise<void> {
  const select = columns.map(({ type }, i) => (type.kind === 'bytes' ? `hex(c${i})` : `c${i}::VARCHAR`)).join(', ');
  const rows = await query(`SELECT ${select} FROM ${await write(columns)}`);
  expect(rows).toHaveLength(texts[0]!.length);
  await expectPlain(columns);
  texts.forEach((text, i) => expect(rows.map((row) => row[i])).toEqual(text));
}

/** The last file that was written is a plain one, and has the columns' bytes. */
async function expectPlain(columns: readonly Column[]): Promise<void> {
  const path = join(directory, `${files}.parquet`);
  const form = await plainForm(path);
  expect(form?.rows).toBe(columns[0]!.rows);
  expect(form!.columns.map(({ name, type, nullable }) => ({ name, type, nullable }))).toEqual(columns.map(({ type, nulls }, i) => ({ name: `c${i}`, type, nullable: nulls > 0 })));
  const bytes = await readFile(path);
  for (const [i, column] of columns.entries()) {
    const { validity, start, end } = plainValues(bytes, form!.columns[i]!, form!.rows)!;
    expect(Buffer.compare(bytes.subarray(start, end), column.values)).toBe(0);
    expect(validity === undefined ? undefined : Buffer.compare(validity, column.validity)).toBe(column.nulls > 0 ? 0 : undefined);
  }
}

interface Kind {
  readonly type: BatchType;
  readonly duckdb: string;
  /** A value out of a random number of [0, 1): its text, and how it is put. */
  make(random: () => number): { readonly text: string; put(column: Column): void };
}

const put = {
  int32: (value: number) => (column: Column): void => void (column.view.setInt32(column.used, value, true), (column.used += 4)),
  int64: (value: bigint) => (column: Column): void => void (column.view.setBigInt64(column.used, value, true), (column.used += 8)),
  int128: (value: bigint) => (column: Column): void => {
    column.view.setBigInt64(column.used, value >> 64n);
    column.view.setBigUint64(column.used + 8, BigInt.asUintN(64, value));
    column.used += 16;
  },
  bytes: (value: Buffer) => (column: Column): void => {
    column.view.setUint32(column.used, value.length, true);
    value.copy(column.bytes, column.used + 4);
    column.used += 4 + value.length;
  },
  bool: (value: boolean) => (column: Column): void => {
    const n = column.rows - column.nulls;
    if (n % 8 === 0) column.bytes[column.used++] = 0;
    if (value) column.bytes[column.used - 1]! |= 1 << (n % 8);
  },
};

const between = (random: () => number, low: number, high: number): number => Math.floor(low + random() * (high - low + 1));
const digits = (random: () => number, most: number): bigint => {
  const length = between(random, 1, most);
  const value = BigInt(Array.from({ length }, () => between(random, 0, 9)).join(''));
  return random() < 0.5 ? -value : value;
};
/** As DuckDB has it: no zero before the point of a type that has no digit there. */
const decimalText = (value: bigint, precision: number, scale: number): string => {
  const text = String(value < 0n ? -value : value).padStart(precision > scale ? scale + 1 : scale, '0');
  return `${value < 0n ? '-' : ''}${scale > 0 ? `${text.slice(0, -scale)}.${text.slice(-scale)}` : text}`;
};
const decimal = (precision: number, scale: number): Kind => ({
  type: { kind: 'decimal', precision, scale },
  duckdb: `DECIMAL(${precision},${scale})`,
  make: (random) => {
    const value = digits(random, precision);
    return { text: decimalText(value, precision, scale), put: precision <= 9 ? put.int32(Number(value)) : precision <= 18 ? put.int64(value) : put.int128(value) };
  },
});
const iso = (micros: bigint): string => {
  const fraction = micros % 1_000_000n;
  const seconds = new Date(Number((micros - fraction) / 1000n)).toISOString().replace('T', ' ').slice(0, 19);
  return fraction === 0n ? seconds : `${seconds}.${String(fraction).padStart(6, '0').replace(/0+$/, '')}`;
};
const micros = (random: () => number): bigint => BigInt(between(random, 0, 250_000_000_000)) * 1_000_000n + (random() < 0.5 ? 0n : BigInt(between(random, 0, 999_999)));

/** Without surrogates, which no UTF-8 has. */
const character = (random: () => number): string => {
  const point = between(random, 1, random() < 0.5 ? 0x7f : 0x10ffff);
  return point >= 0xd800 && point <= 0xdfff ? '☃' : String.fromCodePoint(point);
};
const text = (random: () => number): string => Array.from({ length: Math.floor(random() ** 4 * 200) }, () => character(random)).join('');

const kinds: readonly Kind[] = [
  { type: { kind: 'boolean' }, duckdb: 'BOOLEAN', make: (random) => ((value) => ({ text: String(value), put: put.bool(value) }))(random() < 0.5) },
  { type: { kind: 'int', bits: 16 }, duckdb: 'SMALLINT', make: (random) => ((value) => ({ text: String(value), put: put.int32(value) }))(between(random, -32768, 32767)) },
  { type: { kind: 'int', bits: 32 }, duckdb: 'INTEGER', make: (random) => ((value) => ({ text: String(value), put: put.int32(value) }))(between(random, -(2 ** 31), 2 ** 31 - 1)) },
  { type: { kind: 'int', bits: 64 }, duckdb: 'BIGINT', make: (random) => ((value) => ({ text: String(value), put: put.int64(value) }))(BigInt.asIntN(64, digits(random, 19))) },
  {
    type: { kind: 'float', bits: 32 }, duckdb: 'FLOAT',
    make: (random) => ((value) => ({ text: `${value}.0`, put: (column) => void (column.view.setFloat32(column.used, value, true), (column.used += 4)) }))(between(random, -1000, 1000) || 1),
  },
  {
    type: { kind: 'float', bits: 64 }, duckdb: 'DOUBLE',
    make: (random) => ((value) => ({ text: `${value}.0`, put: (column) => void (column.view.setFloat64(column.used, value, true), (column.used += 8)) }))(between(random, -1000, 1000) || 1),
  },
  decimal(4, 4), decimal(9, 2), decimal(10, 0), decimal(18, 5), decimal(19, 2), decimal(38, 10), decimal(38, 38),
  { type: { kind: 'date' }, duckdb: 'DATE', make: (random) => ((value) => ({ text: iso(BigInt(value) * 86_400_000_000n).slice(0, 10), put: put.int32(value) }))(between(random, 0, 2_000_000)) },
  { type: { kind: 'time' }, duckdb: 'TIME', make: (random) => ((value) => ({ text: iso(value).slice(11), put: put.int64(value) }))(micros(random) % 86_400_000_000n) },
  { type: { kind: 'timestamp' }, duckdb: 'TIMESTAMP', make: (random) => ((value) => ({ text: iso(value), put: put.int64(value) }))(micros(random)) },
  { type: { kind: 'timestamptz' }, duckdb: 'TIMESTAMP WITH TIME ZONE', make: (random) => ((value) => ({ text: `${iso(value)}+00`, put: put.int64(value) }))(micros(random)) },
  { type: { kind: 'text' }, duckdb: 'VARCHAR', make: (random) => ((value) => ({ text: value, put: put.bytes(Buffer.from(value)) }))(text(random)) },
  {
    type: { kind: 'bytes' }, duckdb: 'BLOB',
    make: (random) => ((value) => ({ text: value.toString('hex').toUpperCase(), put: put.bytes(value) }))(Buffer.from(Array.from({ length: between(random, 0, 50) }, () => between(random, 0, 255)))),
  },
];

function fill(column: Column, { make }: Kind, { rows, nulls, random }: { rows: number; nulls: number; random: () => number }): Text[] {
  return Array.from({ length: rows }, () => {
    const value = random() < nulls ? undefined : make(random);
    column.reserve(1, 1000);
    if (value) value.put(column);
    else column.setNull(column.rows);
    column.rows++;
    return value?.text ?? null;
  });
}

/** The same numbers for the same seed. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

describe('a file of columns', () => {
  test.each(kinds.map((kind) => [kind.duckdb, kind] as const))('has %s as that type, whatever is null, and REQUIRED where nothing is', async (name, kind) => {
    const random = randomOf(1);
    for (const nulls of [0, 0.1, 0.9, 1]) {
      for (const rows of [1, 7, 8, 9, 300]) {
        const column = new Column(kind.type);
        const texts = fill(column, kind, { rows, nulls, random });
        await expectRead([column], [texts]);
        const file = await write([column]);
        expect((await query(`DESCRIBE SELECT * FROM ${file}`)).map((row) => row[1])).toEqual([name]);
        expect(await query(`SELECT repetition_type FROM parquet_schema(${file}) WHERE name = 'c0'`)).toEqual([[texts.includes(null) ? 'OPTIONAL' : 'REQUIRED']]);
      }
    }
  });

  test('holds any types beside each other, batch after batch out of the same buffers', async () => {
    for (let seed = 1; seed <= 5; seed++) {
      const random = randomOf(seed);
      const chosen = Array.from({ length: between(random, 1, 40) }, () => kinds[between(random, 0, kinds.length - 1)]!);
      const columns = chosen.map(({ type }) => new Column(type));
      for (let batch = 0; batch < 3; batch++) {
        const rows = Math.ceil(random() ** 3 * 5000);
        const texts = columns.map((column, i) => fill(column, chosen[i]!, { rows, nulls: random() < 0.4 ? 0 : random(), random }));
        await expectRead(columns, texts);
        columns.forEach((column) => column.reset());
      }
    }
  });

  test('holds each character of Unicode, and empty strings, which are not null', async () => {
    const column = new Column({ kind: 'text' });
    const texts: Text[] = [];
    for (let from = 1; from <= 0x10ffff; from += 4096) {
      const points = Array.from({ length: 4096 }, (_, i) => from + i).filter((point) => point <= 0x10ffff && (point < 0xd800 || point > 0xdfff));
      texts.push(String.fromCodePoint(...points), '', null);
    }
    for (const value of texts) {
      column.reserve(1, 20_000);
      if (value === null) column.setNull(column.rows);
      else put.bytes(Buffer.from(value))(column);
      column.rows++;
    }
    await expectRead([column], [texts]);
  });

  test('holds a million rows', async () => {
    const rows = 1_000_000;
    const [number, sparse, flag] = [new Column({ kind: 'int', bits: 64 }), new Column({ kind: 'int', bits: 32 }), new Column({ kind: 'boolean' })];
    for (const column of [number, sparse, flag]) column.reserve(rows, rows * 8);
    for (let i = 0; i < rows; i++) {
      put.int64(BigInt(i))(number);
      if (i % 3 === 0) sparse.setNull(i);
      else put.int32(i)(sparse);
      put.bool(i % 5 === 0)(flag);
      for (const column of [number, sparse, flag]) column.rows++;
    }
    const file = await write([number, sparse, flag]);
    const wrong = `c0 <> n OR (c1 IS NULL) <> (n % 3 = 0) OR c1 <> n OR c2 <> (n % 5 = 0)`;
    expect(await query(`SELECT count(*)::INT, count(*) FILTER (${wrong})::INT FROM (SELECT *, file_row_number AS n FROM read_parquet(${file}, file_row_number = true))`)).toEqual([[rows, 0]]);
  });

  test('may have as many columns as a table', async () => {
    const columns = Array.from({ length: 1600 }, (_, i) => {
      const column = new Column({ kind: 'int', bits: 32 });
      column.reserve(2, 8);
      put.int32(i)(column);
      column.setNull(1);
      column.rows = 2;
      return column;
    });
    await expectRead(columns, columns.map((_, i) => [String(i), null]));
  });

  test('has a column, and as many rows in each', () => {
    expect(() => parquetFile([], 1)).toThrow(RangeError);
    const column = new Column({ kind: 'date' });
    expect(() => parquetFile([column], 1)).toThrow(RangeError);
  });
});

describe('a buffer', () => {
  test('gives back what one large value took, and keeps what batches need', () => {
    const column = new Column({ kind: 'text' });
    column.reserve(1, 100 << 20);
    column.used = 100 << 20;
    column.reset();
    expect(column.bytes.length).toBeLessThan(1 << 20);
    column.reserve(1, 3 << 20);
    column.used = 3 << 20;
    const { bytes } = column;
    column.reset();
    expect(column.bytes).toBe(bytes);
  });

  test('takes a large value as it is, and lets it go', async () => {
    const column = new Column({ kind: 'text' });
    const value = Buffer.concat([Buffer.from([6, 0, 0, 0]), Buffer.from('ünder')]);
    column.reserve(1, 0);
    column.adopt(value);
    column.rows = 1;
    await expectRead([column], [['ünder']]);
    column.reset();
    expect(column.bytes.buffer).not.toBe(value.buffer);
    expect(column.used).toBe(0);
  });
});
