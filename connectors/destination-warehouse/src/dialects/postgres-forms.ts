/** PostgreSQL's way of comparing values, in the order of the embedded engine. */
import { literal } from '@tapline/postgres-client';
import type { ColumnType, Forms } from './dialect.js';

export const postgresForms: Forms = {
  identity: (_type, value) => value,
  order: (type, value) => postgresForms.bytewise(type, value),
  bytewise: (type, value) => (type.kind === 'text' ? `${value} COLLATE "C"` : value),
  same: (a, b) => `coalesce(${a} = ${b}, ${a} IS NULL AND ${b} IS NULL)`,
  // It joins by hash and by index where there is an equality, and nowhere else.
  joined: (type, a, b) => `(${a} IS NULL) = (${b} IS NULL) AND coalesce(${a}, ${zero(type)}) = coalesce(${b}, ${zero(type)})`,
  grouped: (column) => column,
  withChanges: (meta, list) =>
    `CASE WHEN ${list} IS NULL THEN ${meta} ELSE jsonb_set(${meta}, '{changes}', coalesce(${meta} -> 'changes', '[]'::jsonb) || ('[' || ${list} || ']')::jsonb) END`,
  hasChange: (meta, entry) => `${meta} -> 'changes' @> ${literal(`[${entry}]`)}::jsonb`,
};

/** Any value of a type. */
function zero(type: ColumnType): string {
  switch (type.kind) {
    case 'boolean': return 'false';
    case 'int': return `0::${{ 16: 'smallint', 32: 'integer', 64: 'bigint' }[type.bits]}`;
    case 'float': return `0::${{ 32: 'real', 64: 'double precision' }[type.bits]}`;
    case 'decimal':
    case 'bigdecimal': return '0::numeric';
    case 'bytes': return `''::bytea`;
    case 'date': return `DATE '2000-01-01'`;
    case 'time': return `TIME '00:00'`;
    case 'timestamp': return `TIMESTAMP '2000-01-01 00:00'`;
    case 'timestamptz': return `TIMESTAMPTZ '2000-01-01 00:00+00'`;
    case 'interval': return `INTERVAL '0'`;
    case 'uuid': return `'00000000-0000-0000-0000-000000000000'::uuid`;
    case 'json':
    case 'array': return `'null'::jsonb`;
    default: return `''`;
  }
}
