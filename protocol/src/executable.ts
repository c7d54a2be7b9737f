/**
 * What an executable of ours runs: its bundle, a few files instead of hundreds, which takes half the time to start; or the modules
 * that the bundle was made of, where any of these is newer (`tsc` makes no bundle). It imports nothing of ours, or nothing were gained.
 */
import { readFileSync, statSync } from 'node:fs';

/** From the URL of an executable, in `bin/`, to that of the module to import. */
export function entryOf(executable: string): string {
  const bundle = new URL('../dist/bundle/main.js', executable);
  return (isCurrent(bundle) ? bundle : new URL('../dist/main.js', executable)).href;
}

/** A bundle has the time at which its making began. Beside it, made-of.json says what it depends on; one that was published has none. */
export function isCurrent(bundle: URL): boolean {
  const made = timeOf(bundle);
  return made !== undefined && sourcesOf(bundle).every((source) => (timeOf(new URL(source, bundle)) ?? Infinity) < made);
}

function sourcesOf(bundle: URL): string[] {
  try {
    return JSON.parse(readFileSync(new URL('made-of.json', bundle), 'utf8')) as string[];
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

function timeOf(file: URL): number | undefined {
  return statSync(file, { throwIfNoEntry: false })?.mtimeMs;
}
