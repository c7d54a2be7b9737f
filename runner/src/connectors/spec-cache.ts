/**
 * Specs of other people's connectors, remembered by path, size and time of change: asking costs the start of a process,
 * for some a second. They lie in the user's cache folder (`~/.cache/tapline/specs`); a lost or unwritable cache costs time only.
 */
import { SpecBody } from '@tapline/protocol';
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** undefined = the environment names no place for caches. */
export function cacheFolder(environment: NodeJS.ProcessEnv): string | undefined {
  const { XDG_CACHE_HOME, HOME, LOCALAPPDATA } = environment;
  if (XDG_CACHE_HOME) return join(XDG_CACHE_HOME, 'tapline', 'specs');
  if (LOCALAPPDATA) return join(LOCALAPPDATA, 'tapline', 'specs');
  return HOME ? join(HOME, '.cache', 'tapline', 'specs') : undefined;
}

/** The spec of the program at `path`, from the cache or by asking. */
export async function cachedSpec(path: string, folder: string | undefined, ask: () => Promise<SpecBody>): Promise<SpecBody> {
  const stats = await stat(path).catch(() => undefined);
  if (!folder || !stats) return ask();
  const key = createHash('sha256').update(JSON.stringify([path, stats.size, stats.mtimeMs])).digest('hex');
  const file = join(folder, `${key}.json`);
  const known = await readFile(file, 'utf8').then((text) => SpecBody.safeParse(JSON.parse(text)), () => undefined).catch(() => undefined);
  if (known?.success) return known.data;
  const spec = await ask();
  const temporary = `${file}.${process.pid}.${randomBytes(4).toString('hex')}`;
  await mkdir(folder, { recursive: true, mode: 0o700 })
    .then(() => writeFile(temporary, JSON.stringify(spec), { mode: 0o600 }))
    .then(() => rename(temporary, file))
    .catch(() => undefined);
  return spec;
}
