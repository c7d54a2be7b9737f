/** Small versions of what `npm run scale` does. */
import { expect, test } from 'vitest';
import { idleDatabase } from '../scale/idle-database.js';
import { manyTables } from '../scale/many-tables.js';

test('an idle database beside a busy one, and beside a busy table that is not selected: the slot moves, in a run that stays and in one that ends', async () => {
  await expect(idleDatabase({ size: 20, limitSeconds: 60 })).resolves.toBeDefined();
});

test('a hundred tables by one slot: each is copied and followed whole', async () => {
  await expect(manyTables({ tables: 100 })).resolves.toMatchObject({ tables: '100' });
});
