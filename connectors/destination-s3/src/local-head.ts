/**
 * The head in a local folder. rename(2) has no If-Match, and a stopped process keeps its locks; but link(2) fails on a
 * name that exists. So a head is `head/<20 digits>.json`, made by linking a finished file to the next number, and the
 * highest number is the head.
 */
import { link, readdir, readFile, rename, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { parseHead, type HeadOutcome, type NewHead, type StoredHead } from '@tapline/columnar';
import { makeFolder, syncPath, writeTemporary } from './durable-files.js';
import { codeOf } from './local-errors.js';

/** Older ones are kept for people, and so that a writer a few heads behind meets a name that exists. The highest always stays. */
const kept = 20;
const form = /^(\d{20})\.json$/;
const nameOf = (number: number): string => `${String(number).padStart(20, '0')}.json`;

export async function readLocalHead(folder: string): Promise<StoredHead | undefined> {
  for (;;) {
    const newest = (await numbersIn(folder)).at(-1);
    if (newest === undefined) return undefined;
    const text = await readIfThere(join(folder, nameOf(newest)));
    // Gone since: others have written more than we keep.
    if (text !== undefined) return { text, version: String(newest) };
  }
}

/** `linkable` false: a disk without hard links, where nothing keeps two writers apart (`fencing: none`). */
export async function replaceLocalHead(folder: string, { text, nonce }: NewHead, version: string | undefined, linkable: boolean): Promise<HeadOutcome> {
  const number = Number(version ?? 0) + 1;
  const path = join(folder, nameOf(number));
  await makeFolder(folder);
  const temporary = await writeTemporary(folder, text);
  try {
    if (linkable) await link(temporary, path);
    else if ((await numbersIn(folder)).includes(number)) return { replaced: false };
    else await rename(temporary, path);
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return { replaced: false, cause: error };
    throw error;
  } finally {
    await unlink(temporary).catch(() => {});
  }
  await syncPath(folder);
  const numbers = await numbersIn(folder);
  // The number we took may have been free only because it was pruned long ago. Then the heads above do not go back to ours.
  if (numbers.at(-1)! > number && !(await follows(join(folder, nameOf(number + 1)), nonce))) return { replaced: false };
  await prune(folder, numbers.filter((old) => old <= number - kept));
  return { replaced: true, version: String(number) };
}

async function follows(path: string, nonce: string): Promise<boolean> {
  const text = await readIfThere(path);
  return text !== undefined && parseHead(text, path).previous === nonce;
}

/** Never fails: what stays is tried again with the next head. */
async function prune(folder: string, numbers: readonly number[]): Promise<void> {
  for (const number of numbers) await unlink(join(folder, nameOf(number))).catch(() => {});
  const hourAgo = Date.now() - 3_600_000;
  for (const name of await readdir(folder)) {
    if (!name.endsWith('.tmp')) continue;
    const path = join(folder, name);
    const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: Number.POSITIVE_INFINITY }));
    if (mtimeMs < hourAgo) await unlink(path).catch(() => {});
  }
}

/** Ascending. */
async function numbersIn(folder: string): Promise<number[]> {
  try {
    return (await readdir(folder)).flatMap((name) => form.exec(name)?.[1] ?? []).map(Number).sort((a, b) => a - b);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return [];
    throw error;
  }
}

export async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}
