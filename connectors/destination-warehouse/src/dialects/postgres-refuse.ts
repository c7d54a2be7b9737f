import type { LogicalType } from '@tapline/catalog';

/** See `ColumnarOptions.refuse`: what PostgreSQL does not hold. */
export function refusePostgres(type: LogicalType, value: string): string | undefined {
  return type.kind === 'text' ? `contains(${value}, chr(0))` : undefined;
}
