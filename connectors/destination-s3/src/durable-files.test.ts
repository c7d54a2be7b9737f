import { mkdtemp, rm } from 'node:fs/promises';
import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { syncFolder } from './durable-files.js';

vi.mock('node:fs/promises', async (original) => {
  const real = await original<typeof fs>();
  return { ...real, open: vi.fn<typeof real.open>(real.open) };
});

test('of many that ask for a folder to be synced, those who ask while it is share the next sync, and nobody one that began before', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'tapline-sync-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const begun = vi.mocked(fs.open).mock.calls;
  const first = syncFolder(folder);
  while (begun.length === 0) await Promise.resolve();
  const [second, third] = [syncFolder(folder), syncFolder(folder)];
  expect(second).toBe(third);
  expect(second).not.toBe(first);
  await Promise.all([first, second, third]);
  expect(begun).toHaveLength(2);
  await syncFolder(folder);
  expect(begun).toHaveLength(3);
});

test('a sync that fails is told to all who share it, and to nobody after them', async () => {
  const folder = join(tmpdir(), 'tapline-is-not-there');
  const outcomes = await Promise.allSettled([syncFolder(folder), syncFolder(folder)]);
  expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  const made = await mkdtemp(join(tmpdir(), 'tapline-sync-'));
  onTestFinished(() => rm(made, { recursive: true }));
  await syncFolder(made);
});
