import { describe, expect, test } from 'vitest';
import { duckdbDialect as dialect } from './duckdb.js';

const orders = { schema: 'a"b', table: 'or.ders' };

describe('names', () => {
  test('are quoted as a whole, with the catalog in front, so that no schema is taken for a catalog', () => {
    expect(dialect.table(orders)).toBe('_tapline_file."a""b"."or.ders"');
  });
  test('of temporary tables point to their own catalog', () => {
    expect(dialect.table(dialect.createTemporary('staged', []).table)).toBe('temp.main."staged"');
  });
  test('that the engine keeps for itself', () => {
    expect(['Information_Schema', 'pg_catalog', 'main', 'temp', 'public'].map(dialect.isReservedSchema)).toEqual([true, true, false, false, false]);
    expect(['RowId', 'ctid', 'select'].map(dialect.isReservedColumn)).toEqual([true, false, false]);
  });
});

describe('tables', () => {
  const id = { name: 'id', type: { kind: 'int', bits: 64 }, nullable: false } as const;
  const amount = { name: 'amount', type: { kind: 'decimal', precision: 12, scale: 2 }, nullable: true } as const;
  test('declare types and NOT NULL, and no primary key', () => {
    expect(dialect.createTable(orders, [id, amount], ['id'])).toEqual(['CREATE TABLE _tapline_file."a""b"."or.ders" ("id" BIGINT NOT NULL, "amount" DECIMAL(12,2))']);
  });
  test('say how our own columns are packed, so that the engine need not find out', () => {
    const order = { name: '_tapline_order', type: { kind: 'text' }, nullable: false } as const;
    expect(dialect.createTable(orders, [order], [])).toEqual(['CREATE TABLE _tapline_file."a""b"."or.ders" ("_tapline_order" VARCHAR NOT NULL USING COMPRESSION fsst)']);
    expect(dialect.createTemporary('s', [order]).statements).toEqual(['CREATE OR REPLACE TEMPORARY TABLE temp.main."s" ("_tapline_order" VARCHAR NOT NULL)']);
  });
  test('take a new column as one that may be null: the rows that are there have no value', () => {
    expect(dialect.addColumn(orders, id)).toEqual(['ALTER TABLE _tapline_file."a""b"."or.ders" ADD COLUMN "id" BIGINT']);
  });
});
