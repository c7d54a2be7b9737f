import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import { startNetwork } from './network.js';
import { testDatabase } from './shared.js';

test('the way to a server can be made slow, cut and silent, and is healed on the same port', async () => {
  const database = await testDatabase();
  onTestFinished(() => database.drop());
  const network = await startNetwork(database);
  onTestFinished(() => network.stop());
  const { host, port } = network;
  const connected = async () => {
    const client = new pg.Client({ host, port, user: database.user, password: database.password, database: database.name });
    client.on('error', () => {});
    await client.connect();
    onTestFinished(() => client.end().catch(() => {}));
    return client;
  };

  const first = await connected();
  network.latency(150);
  const began = performance.now();
  await first.query('SELECT 1');
  expect(performance.now() - began, 'once there and once back').toBeGreaterThan(250);
  network.restore();

  network.cut();
  await expect(first.query('SELECT 1')).rejects.toThrow();
  await expect(connected()).rejects.toThrow();
  network.restore();

  const second = await connected();
  network.stall();
  const answer = second.query('SELECT 1').then(() => 'answered');
  expect(await Promise.race([answer, sleep(300, 'silent')])).toBe('silent');
  network.restore();
  expect(await answer).toBe('answered');

  // More than all buffers on the way hold, through a side that does not read for a while.
  const rows = await second.query(`SELECT repeat('x', 1000) FROM generate_series(1, 20000)`);
  expect(rows.rowCount).toBe(20_000);
});
