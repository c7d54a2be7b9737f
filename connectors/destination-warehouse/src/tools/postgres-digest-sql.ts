import { duckdbType, type LogicalType } from '@tapline/catalog';
import { holds } from '@tapline/columnar';
import { absentValue, asNumber, canonicalValue, columnHashes, identifier, keyHash, keyValues, literal, rowHash, type CanonicalValue } from '@tapline/postgres-client';
import { orderColumn } from '../tables/own-columns.js';
import type { TableColumn } from '../tables/shape.js';
import type { DigestedColumn, DigestSql } from './digest-sql.js';

export const postgresDigestSql: DigestSql = {
  // Values are typed by the embedded engine before they come here, and JSON lands as jsonb.
  holds: { ...holds, jsonb: true },
  rowOf(columns, key) {
    const [all, keys] = [columns.map(valueOf), key.map(valueOf)];
    return {
      key: keyHash(keys),
      row: asNumber(rowHash(all)),
      columns: columnHashes(all),
      values: `${keyValues(keys)}::text`,
      nulled: `coalesce(_airbyte_meta @> '{"changes":[{"change":"NULLED"}]}', false)`,
      order: `${orderColumn} COLLATE "C"`,
    };
  },
  range: (key, bits) => `(('x' || left(${key}, 6))::bit(24)::int4 >> ${24 - bits})`,
  checksum: (hash, copies) => `sum(${hash}::numeric * ${copies})::text`,
};

function valueOf({ planned, held }: DigestedColumn): CanonicalValue {
  const [first, ...earlier] = held.map((column) => heldValue(column, planned.type));
  if (!first) return absentValue;
  const delimited = duckdbType(planned.type) === 'VARCHAR';
  const either = (of: (value: CanonicalValue) => string): string =>
    earlier.length === 0 ? of(first) : `CASE ${earlier.map((value, i) => `WHEN ${[first, ...earlier.slice(0, i)].map(({ isNull }) => isNull).join(' AND ')} THEN ${of(value)}`).reverse().join(' ')} ELSE ${of(first)} END`;
  const isNull = [first, ...earlier].map((value) => value.isNull).join(' AND ');
  const entry = literal(JSON.stringify({ changes: [{ field: planned.field, change: 'NULLED' }] }));
  return {
    text: either(({ text }) => text), shown: either(({ shown }) => shown), delimited,
    isNull: `(${isNull} AND (_airbyte_meta @> ${entry}::jsonb) IS NOT TRUE)`, nulled: `(${isNull})`,
  };
}

/** Text of the type that the column has: a value that came before its type changed reads as it did then, unless it became text. */
function heldValue({ name, type }: TableColumn, wanted: LogicalType): CanonicalValue {
  const column = identifier(name);
  if (wanted.kind === 'text' && type.kind !== 'text') return canonicalValue({ value: `${column}::text`, type: wanted, isText: true }, undefined);
  const json: LogicalType = { kind: 'json', embedded: false };
  return canonicalValue({ value: column, type: type.kind === 'array' ? json : type, isText: type.kind === 'text' }, undefined);
}
