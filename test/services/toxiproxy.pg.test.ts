import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import { testDatabase } from './shared.js';
import { startToxiproxy } from './toxiproxy.js';

test('toxiproxy makes the way to a server slow, cut and silent, and heals it on the same port', async ({ skip }) => {
  const database = await testDatabase();
  onTestFinished(() => database.drop());
  const proxy = await startToxiproxy(database);
  if (!proxy) return skip('there is no toxiproxy on this machine, and no Go to build it with');
  onTestFinished(() => proxy.stop());
  const { host, port } = proxy;
  const connected = async () => {
    const client = new pg.Client({ host, port, user: database.user, password: database.password, database: database.name });
    client.on('error', () => {});
    await client.connect();
    onTestFinished(() => client.end().catch(() => {}));
    return client;
  };

  const first = await connected();
  await proxy.latency(150);
  const began = performance.now();
  await first.query('SELECT 1');
  expect(performance.now() - began, 'once there and once back').toBeGreaterThan(200);
  await proxy.restore();

  await proxy.cut();
  await expect(first.query('SELECT 1')).rejects.toThrow();
  await expect(connected()).rejects.toThrow();
  await proxy.restore();

  const second = await connected();
  await proxy.stall();
  const answer = second.query('SELECT 1').then(() => 'answered', () => 'ended');
  expect(await Promise.race([answer, sleep(300, 'silent')])).toBe('silent');
  await proxy.restore();
  expect(await answer).toBe('ended');

  expect((await (await connected()).query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
  await proxy.stop();
  expect(existsSync(`/proc/${proxy.pid}`)).toBe(false);
});
