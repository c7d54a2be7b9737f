import { mkdir, mkdtemp, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { entryOf } from './executable.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'executable-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const path = (name: string): string => join(folder, ...name.split('/'));
const write = async (name: string, seconds: number, content = ''): Promise<void> => {
  await mkdir(join(path(name), '..'), { recursive: true });
  await writeFile(path(name), content);
  await utimes(path(name), seconds, seconds);
};
const entry = (): string => entryOf(pathToFileURL(path('source/bin/source.js')).href);
const modules = (): string => pathToFileURL(path('source/dist/main.js')).href;
const bundle = (): string => pathToFileURL(path('source/dist/bundle/main.js')).href;

describe('an executable', () => {
  test('runs its modules where it has no bundle', () => {
    expect(entry()).toBe(modules());
  });

  test('runs its bundle while that is newer than all that it was made of, and its modules from the first change of any of it', async () => {
    await write('source/dist/bundle/made-of.json', 100, JSON.stringify(['../build', '../../../sdk/dist/build']));
    await write('source/dist/build', 50);
    await write('sdk/dist/build', 99);
    await write('source/dist/bundle/main.js', 100);
    expect(entry()).toBe(bundle());
    await write('sdk/dist/build', 101);
    expect(entry()).toBe(modules());
  });

  test('does not take a bundle for current that was made while what it is made of changed, or of what is gone', async () => {
    await write('source/dist/bundle/made-of.json', 100, JSON.stringify(['../build']));
    await write('source/dist/bundle/main.js', 100);
    expect(entry()).toBe(modules());
    await write('source/dist/build', 100);
    expect(entry()).toBe(modules());
  });

  test('runs its bundle wherever it was published, without what it was made of', async () => {
    await write('source/dist/bundle/main.js', 100);
    expect(entry()).toBe(bundle());
  });
});
