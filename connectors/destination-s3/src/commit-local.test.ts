import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe } from 'vitest';
import { commitSuite } from './fixtures/commit-suite.js';

const folders: string[] = [];
afterAll(async () => {
  for (const folder of folders) await rm(folder, { recursive: true, force: true });
});

describe('the head protocol in a local folder', () => {
  commitSuite(async () => {
    const folder = await mkdtemp(join(tmpdir(), 'tapline-lake-'));
    folders.push(folder);
    return { path: join(folder, 'lake') };
  });
});
