import { describe, expect, test } from 'vitest';
import { Arrival } from './arrival.js';
import { statusFrame, walkFrames, walStart } from './frames.js';
import { MessageSplitter } from './message-splitter.js';
import { isWarning, sqlStateOf } from './server-message.js';

function message(type: string, body: Buffer): Buffer {
  const head = Buffer.alloc(5, type);
  head.writeUInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}

function data(lsn: bigint, content: string): Buffer {
  const head = Buffer.alloc(25, 'w');
  head.writeBigUInt64BE(lsn, 1);
  head.writeBigUInt64BE(lsn + 8n, 9);
  return message('d', Buffer.concat([head, Buffer.from(content)]));
}

function keepalive(walEnd: bigint, asked: boolean): Buffer {
  const body = Buffer.alloc(18, 'k');
  body.writeBigUInt64BE(walEnd, 1);
  body.writeUInt8(asked ? 1 : 0, 17);
  return message('d', body);
}

function walk(bytes: Buffer): string[] {
  const seen: string[] = [];
  walkFrames(bytes, {
    data: (start, end) => {
      seen.push(`${walStart(bytes, start)}:${bytes.toString('utf8', start, end)}`);
    },
    keepalive: (walEnd, asked) => seen.push(`keepalive ${walEnd} ${asked}`),
  });
  return seen;
}

describe('frames', () => {
  test('data and keepalives are told in their order', () => {
    expect(walk(Buffer.concat([data(7n, 'abc'), keepalive(0xffff_ffff_ffff_fff0n, true), data(5n, '')]))).toEqual(['7:abc', `keepalive ${0xffff_ffff_ffff_fff0n} true`, '5:']);
  });

  test('a status holds the confirmed position as flushed and applied, and never less as written', () => {
    const frame = statusFrame({ received: 100n, confirmed: 70n, replyRequested: true });
    expect([frame.toString('latin1', 0, 1), frame.readUInt32BE(1), frame.toString('latin1', 5, 6)]).toEqual(['d', 38, 'r']);
    expect([6, 14, 22].map((at) => frame.readBigUInt64BE(at))).toEqual([100n, 70n, 70n]);
    expect([frame[38], frame.length]).toEqual([1, 39]);
    const year = 2000 + Number(frame.readBigInt64BE(30)) / 31_557_600e6;
    expect(Math.floor(year)).toBeGreaterThan(2024);
    expect(statusFrame({ received: 0n, confirmed: 70n, replyRequested: false }).readBigUInt64BE(6)).toBe(70n);
  });

  test('what has come is the highest end, though changes of concurrent transactions go back', () => {
    const arrival = new Arrival();
    expect(arrival.received).toBe(0n);
    expect(arrival.see(Buffer.concat([data(0x1_0000_0000n, 'x'), data(0xffff_0000n, 'y')]))).toEqual({ keepalive: false, asked: false });
    expect(arrival.received).toBe(0x1_0000_0008n);
    expect(arrival.see(Buffer.concat([keepalive(0x2_ffff_fffen, true), keepalive(3n, false)]))).toEqual({ keepalive: true, asked: true });
    expect(arrival.received).toBe(0x2_ffff_fffen);
  });
});

describe('messages are the same however the bytes are cut', () => {
  const wire = Buffer.concat([message('W', Buffer.from([0, 0, 0])), data(1n, 'first'), data(2n, 'second'.repeat(50)), message('N', Buffer.from('note')), keepalive(9n, false), message('c', Buffer.alloc(0)), message('Z', Buffer.from('I'))]);
  const expected = ['W3', '1:first', `2:${'second'.repeat(50)}`, 'N4', 'keepalive 9 false', 'c0', 'Z1'];

  test.each([1, 2, 3, 4, 5, 6, 7, 29, 30, 31, 64, 100, wire.length])('in pieces of %i', (size) => {
    const seen: string[] = [];
    const splitter = new MessageSplitter({ copyData: (frames) => seen.push(...walk(frames)), message: (type, body) => seen.push(`${String.fromCharCode(type)}${body.length}`) });
    for (let at = 0; at < wire.length; at += size) splitter.push(Buffer.from(wire.subarray(at, at + size)));
    expect(seen).toEqual(expected);
  });

  test('a message that comes whole is not copied, one in pieces is put together once', () => {
    const large = data(1n, 'x'.repeat(1_000_000));
    const runs: Buffer[] = [];
    const splitter = new MessageSplitter({ copyData: (frames) => runs.push(frames), message: () => {} });
    splitter.push(large);
    expect(runs.pop()!.buffer).toBe(large.buffer);
    for (let at = 0; at < large.length; at += 65_536) splitter.push(large.subarray(at, at + 65_536));
    expect(runs.map(({ length }) => length)).toEqual([large.length]);
    expect(runs[0]!.buffer.byteLength).toBe(large.length);
  });
});

test('an error of the server is known by its code alone', () => {
  expect(sqlStateOf(Buffer.from('SFATAL\0VFATAL\0C57P01\0Mterminating\0\0'))).toBe('57P01');
  expect(sqlStateOf(Buffer.from('\0'))).toBeUndefined();
  expect(sqlStateOf(Buffer.from('Sbroken'))).toBeUndefined();
  expect(isWarning(Buffer.from('SATTENTION\0VWARNING\0C55000\0\0'), '55000')).toBe(true);
  expect(isWarning(Buffer.from('SWARNING\0VNOTICE\0C55000\0\0'), '55000')).toBe(false);
});
