import { configError } from '@tapline/protocol';
import type { ColumnPlan } from '../convert/column-plan.js';
import type { Partition } from '../convert/row-sql.js';

/** Hive folders by a column: `date=2026-11-20`, and for timestamps `/hour=07` if asked. In UTC. */
export interface PartitionOption {
  /** A date or timestamp column, or `_airbyte_extracted_at`. Streams without it are not partitioned. */
  readonly column: string;
  readonly hour: boolean;
}

export function partitionOf(stream: string, plan: ColumnPlan, option: PartitionOption | undefined): Partition | undefined {
  if (!option) return undefined;
  if (option.column === '_airbyte_extracted_at') return option;
  const column = plan.columns.find((candidate) => candidate.field === option.column);
  if (!column) return undefined;
  const { kind } = column.type;
  if (kind !== 'date' && kind !== 'timestamp' && kind !== 'timestamptz') {
    throw configError(`stream ${stream}: cannot partition by the column "${option.column}" of type ${kind}; choose a date or timestamp column, or _airbyte_extracted_at`);
  }
  // A date has no hour.
  return { column: column.name, hour: option.hour && kind !== 'date' };
}
