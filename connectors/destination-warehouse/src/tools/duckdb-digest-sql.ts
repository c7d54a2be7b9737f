import { duckdbType } from '@tapline/catalog';
import { columnHashes, holds, keyHash, keyValues, rowHash, sqlName, type DigestColumn } from '@tapline/columnar';
import { orderColumn } from '../tables/own-columns.js';
import type { DigestedColumn, DigestSql } from './digest-sql.js';

export const duckdbDigestSql: DigestSql = {
  holds,
  rowOf(columns, key) {
    const [all, keys] = [columns.map(valueOf), key.map(valueOf)];
    return {
      key: `(${keyHash(keys)})[1:32]`,
      row: rowHash(all),
      columns: columnHashes(all),
      values: `to_json(${keyValues(keys)})::VARCHAR`,
      nulled: `coalesce(contains(_airbyte_meta, '"change":"NULLED"'), false)`,
      order: orderColumn,
    };
  },
  range: (key, bits) => `(('0x' || ${key}[1:6])::INTEGER >> ${24 - bits})`,
  checksum: (hash, copies) => `sum(${hash}::HUGEINT * ${copies})::VARCHAR`,
};

function valueOf({ planned, held }: DigestedColumn): DigestColumn {
  const type = duckdbType(planned.type);
  const values = held.map((column) => (duckdbType(column.type) === type ? sqlName(column.name) : `try_cast(${sqlName(column.name)} AS ${type})`));
  return { planned, value: values.length === 0 ? `NULL::${type}` : values.length === 1 ? values[0]! : `coalesce(${values.join(', ')})` };
}
