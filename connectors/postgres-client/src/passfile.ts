/** ~/.pgpass: https://www.postgresql.org/docs/current/libpq-pgpass.html */
import { readFile, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { Target } from './target.js';

/** The password of the first line that fits, or undefined. A file that others may read is ignored, as by libpq. */
export async function passwordFromFile(target: Target, env: NodeJS.ProcessEnv = process.env): Promise<string | undefined> {
  const path = env['PGPASSFILE'] || join(homedir(), '.pgpass');
  try {
    if (process.platform !== 'win32' && ((await stat(path)).mode & 0o077) !== 0) return undefined;
    return findPassword(await readFile(path, 'utf8'), target);
  } catch {
    return undefined;
  }
}

export function findPassword(text: string, { host, port, database, user }: Target): string | undefined {
  const wanted = [host.startsWith('/') ? 'localhost' : host, String(port), database, user];
  for (const line of text.split(/\r?\n/)) {
    if (line.startsWith('#')) continue;
    const fields = [...line.matchAll(/(?:^|:)((?:\\.|[^:\\])*)/g)].map(([, field]) => field!.replace(/\\(.)/g, '$1'));
    if (fields.length >= 5 && wanted.every((value, i) => fields[i] === '*' || fields[i] === value)) return fields[4];
  }
  return undefined;
}
