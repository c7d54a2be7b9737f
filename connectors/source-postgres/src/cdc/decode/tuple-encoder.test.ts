import { describe, expect, test } from 'vitest';
import type { ColumnType } from '../../types.js';
import { LineBuffer } from './line-buffer.js';
import { readMessage, type PgoutputHandler } from './messages.js';
import { isoMicros } from './transaction-mark.js';
import { noRow, TransactionMark, TupleEncoder, type TupleEncoderOptions } from './tuple-encoder.js';

const type = (logical: ColumnType['logical'], oid = 25): ColumnType => ({ logical, oid, sqlName: '"pg_catalog"."text"', isPlain: true });
const text = type({ kind: 'text' });
const int = type({ kind: 'int', bits: 64 }, 20);
const int32 = (n: number): Buffer => { const bytes = Buffer.alloc(4); bytes.writeInt32BE(n); return bytes; };
const unchanged = Symbol('unchanged');
type Value = string | null | typeof unchanged;
const tuple = (...values: Value[]): Buffer => Buffer.concat([Buffer.from([0, values.length]), ...values.map((value) =>
  value === null ? Buffer.from('n') : value === unchanged ? Buffer.from('u') : Buffer.concat([Buffer.from('t'), int32(Buffer.byteLength(value)), Buffer.from(value)]))]);
const message = (kind: string, ...parts: (Buffer | string)[]): Buffer => Buffer.concat([Buffer.from(kind), int32(7), ...parts.map((part) => Buffer.from(part))]);

const relation = { oid: 7, schema: 'shop', name: 'orders', identity: 'd', columns: ['id', 'body', 'left_out', 'note'].map((name) => ({ name, key: name === 'id', typeOid: 25, modifier: -1 })) } as const;
const columns = [{ index: 0, property: 'id', type: int, key: true }, { index: 1, property: 'the "body"', type: text, key: false }, { index: 3, property: 'note', type: text, key: false }];
const mark = new TransactionMark(0x16b3748n, 1_795_158_000_123_456n, true);
const change = (deletedAt: string, sequence: string): string =>
  `"_ab_cdc_lsn":23803720,"_ab_cdc_updated_at":"2026-11-20T07:00:00.123456+00:00","_ab_cdc_deleted_at":${deletedAt},"_tapline_order":"00000000016b3748${sequence}"`;
const line = (data: string, meta = ''): string => `{"type":"RECORD","record":{"stream":"orders","namespace":"shop","emitted_at":5,"data":{${data}}${meta}}}\n`;
const alive = (sequence = '0000000000000001'): string => change('null', sequence);

function encode(messages: readonly Buffer[], options: Partial<TupleEncoderOptions> = {}, out = new LineBuffer(16), first = 1): LineBuffer {
  const encoder = new TupleEncoder({ stream: { namespace: 'shop', name: 'orders' }, relation, columns, partial: false, toast: 'reselect', ...options });
  encoder.emittedAt = 5;
  let sequence = first - 1;
  const none = (): void => {};
  const handler: PgoutputHandler = {
    begin: none, commit: none, relation: none, truncate: none,
    insert: (_oid, bytes, at) => encoder.upsert(out, bytes, at, noRow, mark, ++sequence),
    update: (_oid, bytes, old, kind, at) => {
      if (kind && encoder.keyChanged(bytes, old, at)) encoder.delete(out, bytes, old, kind, mark, ++sequence);
      encoder.upsert(out, bytes, at, old, mark, ++sequence);
    },
    delete: (_oid, bytes, old, kind) => encoder.delete(out, bytes, old, kind, mark, ++sequence),
  };
  for (const bytes of messages) readMessage(bytes, 0, bytes.length, handler);
  return out;
}
const lines = (...args: Parameters<typeof encode>): string => encode(...args).take().toString();

describe('lines of changes', () => {
  test('an insert carries the columns that are wanted, what the commit was, and its place in it', () => {
    expect(lines([message('I', 'N', tuple('1', 'a"b', 'x', null))])).toBe(line(`"id":1,"the \\"body\\"":"a\\"b","note":null,${alive()}`));
    expect(lines([message('I', 'N', tuple('1', '', '', ''))], {}, undefined, 0x1_2345_6789)).toContain('"_tapline_order":"00000000016b37480000000123456789"');
  });

  test('without a session there is no order, and without columns no comma', () => {
    const out = new LineBuffer();
    new TupleEncoder({ stream: { name: 'orders' }, relation, columns: [], partial: false, toast: 'fail' }).upsert(out, tuple('1', '', '', ''), 0, -1, new TransactionMark(2n ** 60n, 0n, false), 1);
    expect(out.take().toString()).toMatch(/^\{"type":"RECORD","record":\{"stream":"orders","emitted_at":\d+,"data":\{"_ab_cdc_lsn":"1152921504606846976","_ab_cdc_updated_at":"1970-01-01T00:00:00.000000\+00:00","_ab_cdc_deleted_at":null\}\}\}\n$/);
  });

  test('a delete carries the key alone, and with identity FULL the whole row', () => {
    const gone = change('"2026-11-20T07:00:00.123456+00:00"', '0000000000000001');
    expect(lines([message('D', 'K', tuple('1', null, null, null))])).toBe(line(`"id":1,${gone}`));
    expect(lines([message('D', 'O', tuple('1', 'b', 'x', null))])).toBe(line(`"id":1,"the \\"body\\"":"b","note":null,${gone}`));
  });

  test('an update of the key is a delete of the old one and an insert, with a place each', () => {
    const gone = change('"2026-11-20T07:00:00.123456+00:00"', '0000000000000001');
    expect(lines([message('U', 'K', tuple('1', null, null, null), 'N', tuple('2', 'b', 'x', null))]))
      .toBe(line(`"id":1,${gone}`) + line(`"id":2,"the \\"body\\"":"b","note":null,${alive('0000000000000002')}`));
    expect(lines([message('U', 'O', tuple('1', 'a', 'x', null), 'N', tuple('1', 'b', 'x', null))])).toBe(line(`"id":1,"the \\"body\\"":"b","note":null,${alive()}`));
  });

  test('a value that is unchanged comes from the old row where that is whole', () => {
    expect(lines([message('U', 'O', tuple('1', 'kept', 'x', null), 'N', tuple('1', unchanged, unchanged, 'n'))])).toBe(line(`"id":1,"the \\"body\\"":"kept","note":"n",${alive()}`));
  });

  test('a key that is unchanged comes from the old key', () => {
    expect(lines([message('U', 'K', tuple('1', null, null, null), 'N', tuple(unchanged, 'b', 'x', null))])).toBe(line(`"id":1,"the \\"body\\"":"b","note":null,${alive()}`));
  });

  test('a value that is unchanged is named for a destination that keeps its own', () => {
    expect(lines([message('U', 'N', tuple('1', unchanged, unchanged, unchanged))], { partial: true })).toBe(line(`"id":1,${alive()}`, ',"meta":{"unchanged":["the \\"body\\"","note"]}'));
  });

  test('under a key that is new there, it is fetched all the same', () => {
    const out = encode([message('U', 'K', tuple('1', null, null, null), 'N', tuple('2', unchanged, 'x', 'n')), message('I', 'N', tuple('3', unchanged, 'x', 'n'))], { partial: true });
    expect(out.holes.map(({ missing }) => missing)).toMatchObject([{ kind: 'unchanged', column: 'body', key: ['2'] }, { kind: 'unchanged', column: 'body', key: ['3'] }]);
    expect(out.fill([{ json: Buffer.from('"a"') }, { json: undefined, reason: 'SOURCE_RETRIEVAL_ERROR' }]).toString()).not.toContain('"unchanged"');
  });

  test('or is to be fetched first, by its key', () => {
    const out = encode([message('I', 'N', tuple('1', 'a', 'x', null)), message('U', 'K', tuple('1', null, null, null), 'N', tuple('2', unchanged, unchanged, 'n'))]);
    expect(out.rows).toBe(3);
    expect(() => out.take()).toThrow('1 values are to be fetched first');
    expect(out.holes.map(({ property, missing }) => ({ property, missing }))).toEqual([
      { property: 'the "body"', missing: { kind: 'unchanged', table: { oid: 7, key: [{ name: 'id', type: int }] }, column: 'body', type: text, key: ['2'] } },
    ]);
    expect(out.fill([{ json: Buffer.from('"fetched"') }]).toString()).toContain('"id":2,"the \\"body\\"":"fetched","note":"n"');
  });

  test('holes are filled piece by piece, and what is gone is told, once a line', () => {
    const update = (id: string, note: Value): Buffer => message('U', 'N', tuple(id, unchanged, '', note));
    const out = encode([message('I', 'N', tuple('0', 'a', '', '')), update('1', unchanged), message('I', 'N', tuple('2', 'b', '', '')), update('3', 'n'), message('I', 'N', tuple('4', 'c', '', ''))]);
    const gone = { json: undefined, reason: 'SOURCE_RETRIEVAL_ERROR' };
    const told = (...fields: string[]): string => `,"meta":{"changes":[${fields.map((field) => `{"field":${JSON.stringify(field)},"change":"NULLED","reason":"SOURCE_RETRIEVAL_ERROR"}`).join(',')}]}`;
    const row = (id: number, body: string, note: string, meta?: string): string => line(`"id":${id},"the \\"body\\"":${body},"note":${note},${alive(`000000000000000${id + 1}`)}`, meta);
    expect(out.fill([gone, gone]).toString()).toBe(row(0, '"a"', '""') + row(1, 'null', 'null', told('the "body"', 'note')));
    expect(out.fill([{ json: Buffer.from('null') }]).toString()).toBe(row(2, '"b"', '""') + row(3, 'null', '"n"') + row(4, '"c"', '""'));
    expect([out.length, out.rows, out.holes.length]).toEqual([0, 0, 0]);
  });

  test('or ends the run, which says what to type', () => {
    expect(() => encode([message('U', 'N', tuple('1', unchanged, '', ''))], { toast: 'fail' })).toThrow(/shop\.orders.*'the "body"'.*toast=reselect.*ALTER TABLE shop\.orders REPLICA IDENTITY FULL/);
  });

  test('a line that could not be finished leaves nothing behind', () => {
    const out = new LineBuffer(16);
    encode([message('I', 'N', tuple('1', 'a', '', ''))], {}, out);
    expect(() => encode([message('U', 'N', tuple(unchanged, unchanged, '', ''))], {}, out)).toThrow('does not hold the key');
    expect(() => encode([message('U', 'N', tuple('1', unchanged, '', ''))], { toast: 'fail' }, out)).toThrow();
    expect(out.take().toString()).toBe(line(`"id":1,"the \\"body\\"":"a","note":"",${alive()}`));
  });

  test('a row of 20 MB and the small one behind it are whole, and the memory of the big one is let go', () => {
    const big = '"é\n'.repeat(5_000_000);
    const out = encode([message('I', 'N', tuple('1', big, 'x', null)), message('I', 'N', tuple('2', 'b', 'x', null))]);
    const [first, second] = out.take().toString().split('\n');
    expect((JSON.parse(first!) as { record: { data: Record<string, unknown> } }).record.data['the "body"']).toBe(big);
    expect(second).toContain('"id":2');
    expect(out.bytes.length).toBe(16);
  });

  test('a line is whole wherever the end of the buffer falls, and however long its values are', () => {
    for (const length of [3, 97, 300, 5000]) {
      const body = 'é"\n'.repeat(length / 3).padEnd(length, 'x');
      const expected = line(`"id":1,"the \\"body\\"":${JSON.stringify(body)},"note":"n",${alive()}`);
      for (let size = 1; size < 2 * expected.length; size += length > 1000 ? 7 : 1) expect(lines([message('I', 'N', tuple('1', body, 'x', 'n'))], {}, new LineBuffer(size))).toBe(expected);
    }
  });

  test('what no server of ours sends ends the run', () => {
    expect(() => encode([message('X')])).toThrow('unknown kind: byte 0x58');
    expect(() => encode([message('I', 'Q')])).toThrow('an insert with an unknown part: byte 0x51');
    expect(() => encode([message('U', 'K', tuple('1'), 'Q')])).toThrow('an update with an unknown part');
    expect(() => encode([message('I', 'N', Buffer.from([0, 1, 0x63, 0, 0, 0, 0]))])).toThrow('a value of an unknown kind: byte 0x63');
    const interval = [{ index: 0, property: 'id', type: type({ kind: 'interval' }, 1186), key: true }];
    expect(() => encode([message('I', 'N', Buffer.from([0, 1, 0x62, 0, 0, 0, 0]))], { columns: interval })).toThrow(`shop.orders: the log holds 'id' in a binary form that is not known here`);
  });
});

test('times have six digits, before 1970 too', () => {
  expect(isoMicros(1n)).toBe('1970-01-01T00:00:00.000001+00:00');
  expect(isoMicros(-1n)).toBe('1969-12-31T23:59:59.999999+00:00');
});
