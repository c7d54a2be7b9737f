import { expect, test } from 'vitest';
import { pgCdc } from './pg-cdc.js';

test('the bench of change data capture runs, small: each change lies once in the lake, and folded they are the table', { timeout: 180_000 }, async () => {
  await expect(pgCdc({ changes: 20_000, repetitions: 1, latencySeconds: 2, transport: 'batch', save: false })).resolves.toBeUndefined();
});
