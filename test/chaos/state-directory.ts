/** What crashes may do to the state directory, and what the next run must have cleaned up. */
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';

/** Every `.json` is whole at any instant. */
export async function halfWritten(directory: string): Promise<string[]> {
  const found: string[] = [];
  for (const [path, text] of await filesOf(directory)) {
    if (!path.endsWith('.json')) continue;
    try {
      JSON.parse(text);
    } catch {
      found.push(`${path} is no whole JSON (${text.length} characters)`);
    }
  }
  return found;
}

/** After a run that ended by itself: no secret, no lock, nothing temporary of whoever was killed before. */
export async function leftovers(directory: string, secret: string): Promise<string[]> {
  const found: string[] = [];
  for (const [path, text] of await filesOf(directory)) {
    if (text.includes(secret)) found.push(`${path} holds the password`);
    if (path.endsWith('/lock')) found.push(`${path} is still there`);
    if (/scratch|\.tmp$/.test(path)) found.push(`${path} was left behind`);
  }
  return found;
}

async function filesOf(directory: string): Promise<[path: string, text: string][]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true }).catch(() => []);
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return Promise.all(files.map(async (path) => [path, await readFile(path, 'utf8').catch(() => '{}')] as [string, string]));
}
