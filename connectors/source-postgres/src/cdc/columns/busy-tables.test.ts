import { describe, expect, test } from 'vitest';
import { BusyTable, BusyTables } from './busy-tables.js';
import type { ChangeColumns } from './change-columns.js';

const table = (): BusyTable => new BusyTable({ rows: 0, size: 0, settle() {}, rest() {} } as unknown as ChangeColumns);
const takes = (tables: BusyTables, one: BusyTable, rows: number): boolean[] => Array.from({ length: rows }, () => tables.takes(one));

describe('a table is busy', () => {
  test('from ten times the few on at once, whatever others have', () => {
    const tables = new BusyTables(3);
    const [one, other] = [table(), table()];
    expect(takes(tables, other, 30)).not.toContain(true);
    expect(takes(tables, one, 32)).toEqual([...Array.from({ length: 30 }, () => false), true, true]);
    expect(takes(new BusyTables(0), table(), 2)).toEqual([true, true]);
  });

  test('where it has more than the few before two states, one after the other', () => {
    const tables = new BusyTables(3);
    const one = table();
    expect(takes(tables, one, 4)).not.toContain(true);
    tables.endGroup();
    expect(takes(tables, one, 5)).toEqual([false, false, false, true, true]);
    const other = table();
    takes(tables, other, 4);
    tables.endGroup();
    tables.endGroup();
    expect(takes(tables, other, 5)).not.toContain(true);
  });

  test('through the next state, and until one before which it had few rows', () => {
    const tables = new BusyTables(3);
    const one = table();
    takes(tables, one, 31);
    tables.endGroup();
    expect(takes(tables, one, 4)).toEqual([true, true, true, true]);
    tables.endGroup();
    expect(takes(tables, one, 3)).toEqual([true, true, true]);
    tables.endGroup();
    expect(takes(tables, one, 3)).not.toContain(true);
    tables.endGroup();
    expect(takes(tables, one, 5)).not.toContain(true);
  });

  test('never if thousands are quiet: rows are counted anew after each state', () => {
    const tables = new BusyTables(3);
    const many = Array.from({ length: 1000 }, table);
    for (let state = 0; state < 10; state++) {
      expect(many.some((one) => tables.takes(one))).toBe(false);
      tables.endGroup();
    }
  });

  test('with no more than thirty-one others, whose buffers are kept', () => {
    const tables = new BusyTables(0);
    const many = Array.from({ length: 33 }, table);
    expect(many.filter((one) => tables.takes(one)).length).toBe(32);
    tables.calm(many[0]!);
    expect(tables.takes(many[32]!)).toBe(true);
  });
});
