import { mkdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { streamFolder } from '@tapline/columnar';
import { configError, streamKey, type ConfiguredCatalog } from '@tapline/protocol';
import { localError } from './local-errors.js';

/** On a disk that ignores case, two streams whose names differ in nothing else would be one folder: refused. */
export async function refuseTwinFolders(location: string, { streams }: ConfiguredCatalog): Promise<void> {
  const seen = new Map<string, string>();
  for (const { stream } of streams) {
    const folder = streamFolder(stream).toLowerCase();
    const twin = seen.get(folder);
    if (twin !== undefined && (await ignoresCase(location))) {
      throw configError(`the disk of ${location} ignores case, so the streams ${twin} and ${streamKey(stream)} would share a folder. Leave one of them out, or choose another disk`, { code: 'twin_folders' });
    }
    seen.set(folder, streamKey(stream));
  }
}

async function ignoresCase(location: string): Promise<boolean> {
  try {
    await mkdir(join(location, '_tapline'), { recursive: true });
  } catch (error) {
    throw localError(error, 'write to', location);
  }
  return stat(join(location, '_TAPLINE')).then(() => true, () => false);
}
