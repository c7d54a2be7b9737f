import { describe, expect, test } from 'vitest';
import { batch, type SourceItem } from '@tapline/sdk';
import { checkpoints } from './reading.js';

const stream = { name: 's' };
const hour = 3_600_000;
const batchOf = (bytes: number): SourceItem => batch(stream, { path: '1.parquet', bytes, rows: 1, columns: ['id'], emittedAt: 0 });

describe('a STATE is due', () => {
  test('behind every 16 MB of batches, however little time has passed', () => {
    const due = checkpoints(hour);
    const MB = 1 << 20;
    expect([8, 7, 1, 15, 1, 100, 1].map((size) => due(batchOf(size * MB)))).toEqual([false, false, true, false, true, true, false]);
  });

  test('behind each item where states are wanted at once', () => {
    const due = checkpoints(0);
    expect([due(batchOf(1)), due(batchOf(1))]).toEqual([true, true]);
  });
});
