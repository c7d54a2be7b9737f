import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheDir } from '../../services/index.js';
import { measure } from '../measure.js';

/** A folder in the cache with these pinned packages of pip, made once. Rejects, with pip's own words, where they cannot be had. */
export async function virtualenv(name: string, packages: readonly string[]): Promise<string> {
  const dir = join(cacheDir, 'peers', `${name}-${createHash('sha256').update(packages.join(' ')).digest('hex').slice(0, 8)}`);
  const installed = join(dir, 'installed');
  if (existsSync(installed)) return dir;
  console.log(`Installing ${packages.join(', ')}, once`);
  await mkdir(join(cacheDir, 'peers'), { recursive: true });
  await rm(dir, { recursive: true, force: true });
  await measure('python3', ['-m', 'venv', dir], { memory: false });
  await measure(join(dir, 'bin', 'python'), ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', ...packages], { memory: false });
  // The last thing: what was broken off is made anew.
  await writeFile(installed, packages.join('\n'));
  return dir;
}
