import { streamKey, type StreamDescriptor } from '@tapline/protocol';
import { ownFolders, parseFileName, segment, streamFolder, sync8 } from './names.js';
import type { HeadPlace } from './replace-head.js';

/**
 * Two syncs may write one folder: each replaces only its own files. Readers then see the rows of both, which is
 * seldom meant, so it is told once a stream.
 */
export class OtherSyncs {
  readonly #place: HeadPlace;
  readonly #names = new Map<string, string>();
  readonly #seen = new Set<string>();

  constructor(place: HeadPlace) {
    this.#place = place;
  }

  async look(): Promise<void> {
    const own = segment(this.#place.sync);
    for (const folder of await this.#place.store.listFolders(ownFolders)) {
      if (folder === own) continue;
      const name = decodeName(folder);
      this.#names.set(sync8(name), name);
    }
  }

  /** A warning, if the stream's folder holds files of another sync and nobody was told yet. One page of a listing at most. */
  async warningFor(stream: StreamDescriptor): Promise<string | undefined> {
    const folder = streamFolder(stream);
    if (this.#names.size === 0 || this.#seen.has(folder)) return undefined;
    this.#seen.add(folder);
    let looked = 0;
    for await (const name of this.#place.store.list(folder)) {
      const file = parseFileName(name, folder);
      const other = file && this.#names.get(file.sync8);
      if (other !== undefined) {
        return `the folder of stream ${streamKey(stream)} at ${this.#place.store.location} also holds files of the sync '${other}': readers see the rows of both`;
      }
      if (++looked === 1000) return undefined;
    }
    return undefined;
  }
}

function decodeName(folder: string): string {
  try {
    return decodeURIComponent(folder);
  } catch {
    return folder;
  }
}
