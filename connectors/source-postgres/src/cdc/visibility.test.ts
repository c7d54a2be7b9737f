import { describe, expect, it } from 'vitest';
import { Snapshot } from './visibility.js';

describe('a snapshot', () => {
  it('sees what had ended before it, and nothing that ran or came later', () => {
    const snapshot = Snapshot.parse('100:110:100,105');
    expect([99, 100, 101, 105, 106, 109, 110, 111].map((xid) => snapshot.sees(xid))).toEqual([true, false, true, false, true, true, false, false]);
  });

  it('knows transactions by their lower 32 bits, on both sides of a wrap', () => {
    const wrap = 2 ** 32;
    const after = Snapshot.parse(`${wrap + 5}:${wrap + 10}:${wrap + 5}`);
    // xid 4294967295 is of the epoch before; 5 is running; 6 ended.
    expect([wrap - 1, 3, 5, 6, 10].map((xid) => after.sees(xid))).toEqual([true, true, false, true, false]);
    const before = Snapshot.parse(`${3 * wrap - 4}:${3 * wrap - 2}:${3 * wrap - 4}`);
    // 7 is of the epoch to come.
    expect([wrap - 5, wrap - 4, wrap - 3, wrap - 2, 7].map((xid) => before.sees(xid))).toEqual([true, false, true, false, false]);
  });

  it('takes only the form of pg_current_snapshot()', () => {
    expect(Snapshot.parse('3:3:').sees(2)).toBe(true);
    for (const text of ['', '3:3', '3:3:a', '-1:2:']) expect(() => Snapshot.parse(text)).toThrow(RangeError);
  });
});
