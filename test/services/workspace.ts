import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The root of the repository, from the source as from the build (they differ in depth). */
export const workspaceRoot: string = findRoot(dirname(fileURLToPath(import.meta.url)));

/** What the scripts install and may be thrown away at any time. */
export const cacheDir: string = join(workspaceRoot, '.cache');

function findRoot(from: string): string {
  if (existsSync(join(from, 'pnpm-workspace.yaml'))) return from;
  const parent = dirname(from);
  if (parent === from) throw new Error('the test services run from a clone of the repository only');
  return findRoot(parent);
}
