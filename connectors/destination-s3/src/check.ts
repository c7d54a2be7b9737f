import { rmdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Config } from './config.js';
import type { LocalStore } from './local-store.js';
import { checkS3 } from './s3-check.js';
import { storeOf } from './stores.js';

/** Rejects with what is wrong and what to do. Leaves nothing behind, not even an empty folder that was not there. */
export async function check({ config }: { readonly config: Config }): Promise<void> {
  // Somebody waits for the answer: no long repetitions.
  const store = await storeOf(config, { attempts: 2, connectMs: 5_000 });
  if ('local' in store) return checkLocal(store.local);
  await using s3 = store.s3;
  await checkS3(store.connection, s3, store.prefix);
}

async function checkLocal(store: LocalStore): Promise<void> {
  const existed = await stat(store.location).then(() => true, () => false);
  try {
    await store.probeFencing();
  } finally {
    await rmdir(join(store.location, '_tapline')).then(() => (existed ? undefined : rmdir(store.location))).catch(() => {});
  }
}
