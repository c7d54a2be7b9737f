import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { cores } from './cores.js';

describe('the cores that a process may use', () => {
  test.each([
    [{ 'cpu.max': 'max 100000\n' }, availableParallelism()], [{ 'cpu.max': '50000 100000\n' }, 1], [{ 'cpu.max': '100000 100000\n' }, 1], [{}, availableParallelism()],
    [{ 'cpu/cpu.cfs_quota_us': '-1\n', 'cpu/cpu.cfs_period_us': '100000\n' }, availableParallelism()], [{ 'cpu/cpu.cfs_quota_us': '100000\n', 'cpu/cpu.cfs_period_us': '100000\n' }, 1],
  ])('are no more than the cgroup gives: %j', async (files, expected) => {
    const cgroup = await mkdtemp(join(tmpdir(), 'tapline-cgroup-'));
    await mkdir(join(cgroup, 'cpu'));
    for (const [name, text] of Object.entries(files)) await writeFile(join(cgroup, name), text);
    expect(cores(cgroup)).toBe(expected);
    await rm(cgroup, { recursive: true });
  });
});
