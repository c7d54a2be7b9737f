import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RowObserver } from '../copy-frames.js';
import { BatchFolder } from '../fixtures/batch-folder.js';
import { addedColumn, type AddedValues } from './added-columns.js';
import { BatchFrames } from './batch-frames.js';
import { eightBytes, timestamp } from './decode-fixed.js';
import { bytes } from './decode-text.js';

type Field = Buffer | string | bigint | null;

const int32 = (n: number): Buffer => { const four = Buffer.alloc(4); four.writeInt32BE(n); return four; };
const int64 = (n: bigint): Buffer => { const eight = Buffer.alloc(8); eight.writeBigInt64BE(n); return eight; };
const message = (type: string, ...parts: Buffer[]): Buffer => { const body = Buffer.concat(parts); return Buffer.concat([Buffer.from(type), int32(body.length + 4), body]); };
const header = Buffer.concat([Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1'), int32(0), int32(0)]);
const bodyOf = (field: Field): Buffer => (typeof field === 'bigint' ? int64(field) : typeof field === 'string' ? Buffer.from(field) : field!);
const row = (fields: readonly Field[]): Buffer => Buffer.concat([Buffer.from([0, fields.length]), ...fields.flatMap((field) => (field === null ? [int32(-1)] : [int32(bodyOf(field).length), bodyOf(field)]))]);

function stream(rows: readonly (readonly Field[])[], headerAlone: boolean): Buffer {
  const [first, ...rest] = rows.map(row);
  const data = headerAlone || !first ? [message('d', header), ...(first ? [message('d', first)] : [])] : [message('d', header, first)];
  return Buffer.concat([
    message('H', Buffer.alloc(3)), ...data, message('N', Buffer.from('a notice\0')), ...rest.map((one) => message('d', one)),
    message('d', Buffer.from([0xff, 0xff])), message('c'), message('C', Buffer.from('COPY 3\0')), message('Z', Buffer.from('T')),
  ]);
}

let folder: BatchFolder;
let files = 0;
beforeAll(async () => void (folder = await BatchFolder.open()));
afterAll(() => folder[Symbol.asyncDispose]());

const columns = [
  { name: 'n', form: { type: { kind: 'int', bits: 64 }, decode: eightBytes, sql: String } },
  { name: 't', form: { type: { kind: 'text' }, decode: bytes, sql: String } },
  { name: 'at', form: { type: { kind: 'timestamp' }, decode: timestamp, sql: String } },
] as const;

interface Written {
  readonly path: string;
  readonly columns: readonly string[];
  readonly rows: number;
  readonly last: readonly string[];
  readonly mark: unknown;
}

function run(input: Buffer, size: number, options: { readonly fields: number; readonly batchBytes?: number; readonly observe?: RowObserver; readonly added?: readonly AddedValues[] }) {
  const batches: Written[] = [];
  const frames = new BatchFrames({
    columns, fields: options.fields, batchBytes: options.batchBytes ?? 1 << 24, observe: options.observe, added: (options.added ?? []).map(addedColumn),
    onBlock: ({ parts, ...rest }) => {
      const path = `${++files}.parquet`;
      writeFileSync(join(folder.dir, path), Buffer.concat(parts));
      folder.take({ path });
      batches.push({ path, ...rest });
    },
  });
  let rest: Buffer | undefined;
  for (let at = 0; at < input.length && !rest; at += size) {
    const end = Math.min(input.length, at + size);
    rest = frames.push(input.subarray(at, end));
    while (frames.holdsBack) rest = frames.push(Buffer.alloc(0));
    if (rest) rest = Buffer.concat([rest, input.subarray(end)]);
  }
  frames.cut();
  return { batches, rest };
}

async function read(batches: readonly Written[], select: string): Promise<(string | null)[][]> {
  const rows: (string | null)[][] = [];
  for (const batch of batches) rows.push(...(await folder.query(`SELECT ${select} FROM ${folder.from(batch)} ORDER BY row`)));
  return rows;
}

describe('frames of a binary COPY', () => {
  const texts = ['a', '', null, 'ü'.repeat(20), 'x'.repeat(3000), 'y'.repeat(300_000), 'z', 'w'.repeat(66_000), 'v'.repeat(140_000), null, 'end'];
  const rows = texts.map((text, i): Field[] => [i === 3 ? null : BigInt(i) - 5n, text, i % 2 === 0 ? BigInt(i) : null, `key ${i}`]);
  const expected = rows.map(([n, t]) => [n === null ? null : String(n), t]);

  test.each([1, 2, 3, 7, 64, 1000, 65_536, 10_000_000])('cut into pieces of %i bytes they give the same rows', async (size) => {
    for (const headerAlone of [true, false]) {
      const { batches, rest } = run(stream(rows, headerAlone), size, { fields: 1 });
      expect((await read(batches, 'n::VARCHAR, t')).map(([n, t]) => [n, t])).toEqual(expected);
      expect(rest?.toString('latin1')).toBe('Z\0\0\0\x05T');
      expect(batches.at(-1)?.last).toEqual(['key 10']);
      expect(batches.reduce((sum, batch) => sum + batch.rows, 0)).toBe(rows.length);
    }
  });

  test('a large row is a batch alone, and each batch tells the key of its last row', async () => {
    const { batches } = run(stream(rows, false), 1000, { fields: 1 });
    expect(batches.map(({ rows: count, last }) => [count, last[0]])).toEqual([[5, 'key 4'], [1, 'key 5'], [1, 'key 6'], [1, 'key 7'], [1, 'key 8'], [2, 'key 10']]);
  });

  test('make batches of about so many bytes, of which each is whole', async () => {
    const many = Array.from({ length: 5000 }, (_, i): Field[] => [BigInt(i), 'text '.repeat(i % 40), null, String(i)]);
    const { batches } = run(stream(many, false), 5000, { fields: 1, batchBytes: 50_000 });
    expect(batches.length).toBeGreaterThan(5);
    expect((await read(batches, 'n::VARCHAR')).flat()).toEqual(many.map((_, i) => String(i)));
    let seen = 0;
    for (const { rows: count, last } of batches) expect(last).toEqual([String((seen += count) - 1)]);
  });

  test('show an observer every row, and its mark is that of the batch', () => {
    const seen: string[] = [];
    const observe: RowObserver = { row: (input, starts, ends) => void seen.push(starts.map((start, i) => input.toString('utf8', start, ends[i])).join()), mark: () => seen.length };
    const { batches } = run(stream(rows, true), 777, { fields: 1, observe });
    expect(seen).toEqual(rows.map(([, , , key]) => key));
    let sum = 0;
    for (const { rows: count, mark } of batches) expect(mark).toBe((sum += count));
  });

  test('hold what a column cannot as text beside it, in those rows only', async () => {
    const infinite = 2n ** 63n - 1n;
    const some = [0n, infinite, null, -infinite - 1n, 1n].map((at, i): Field[] => [BigInt(i), 't', at]);
    const { batches } = run(stream(some, true), 10, { fields: 0 });
    expect(batches.map((batch) => batch.columns)).toEqual([['n', 't', 'at', '_tapline_values']]);
    expect(await read(batches, '"at"::VARCHAR, _tapline_values')).toEqual([
      ['2000-01-01 00:00:00', null], [null, '{"2":"infinity"}'], [null, null], [null, '{"2":"-infinity"}'], ['2000-01-01 00:00:00.000001', null],
    ]);
    // The next batch of the same buffers knows nothing of it.
    const next = run(stream([...some, ...Array.from({ length: 100 }, (): Field[] => [1n, 'x'.repeat(1000), 1n])], true), 100, { fields: 0, batchBytes: 10_000 });
    expect(next.batches.at(-1)!.columns).toEqual(['n', 't', 'at']);
  });

  test('have columns that the server did not send: a constant, and a place that counts up beyond 32 bits', async () => {
    const some = Array.from({ length: 40 }, (_, i): Field[] => [BigInt(i), 't'.repeat(100), null]);
    const start = (3n << 32n) - 17n;
    const { batches } = run(stream(some, true), 333, {
      fields: 0, batchBytes: 1000,
      added: [{ name: '_ab_cdc_lsn', type: { kind: 'int', bits: 64 }, value: -7n }, { name: '_tapline_order', prefix: '00000000000000ff', start }],
    });
    expect(batches.length).toBeGreaterThan(2);
    expect(await read(batches, '_ab_cdc_lsn::VARCHAR, _tapline_order')).toEqual(some.map((_, i) => ['-7', `00000000000000ff${(start + BigInt(i)).toString(16).padStart(16, '0')}`]));
  });
});
