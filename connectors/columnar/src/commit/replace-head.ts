import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { configError, transientError } from '@tapline/protocol';
import { fenced } from './fenced.js';
import { parseHead, type Head } from './head.js';
import { writeHead } from './long-list.js';
import type { ObjectStore } from './object-store.js';

export interface HeadPlace {
  readonly store: ObjectStore;
  readonly sync: string;
  readonly folder: string;
}

/** A head as it lies in the store. `version` undefined = there is none yet, or a newer one follows it already. */
export interface HeldHead {
  readonly head: Head;
  readonly version: string | undefined;
  /** It did count, but a newer writer has taken over since. */
  readonly takenOver: boolean;
}

const attempts = 6;

/**
 * The one step that decides: the head `held` becomes `next`, or nothing happens. Rejects with `fenced` if another
 * writer replaced it, with a `transient_error` if that stays unknown (then the next `open` learns it).
 *
 * A refusal (412, 409) or a time-out tells nothing: a lost answer and then the client's own repetition turn our success
 * into a refusal. So the head is read: our nonce = it counted; the version we replace = try again; anything else = fenced.
 */
export async function replaceHead(place: HeadPlace, held: HeldHead, changed: Head, beforePut?: () => void): Promise<HeldHead> {
  const { store, sync, folder } = place;
  const nonce = randomUUID();
  const { head, text } = await writeHead(store, folder, { ...changed, nonce, previous: held.head.nonce });
  beforePut?.();
  let cause: unknown;
  for (let attempt = 0; attempt < attempts; attempt++) {
    if (attempt > 0) await sleep(Math.min(100 * 2 ** attempt, 2000) * (0.8 + Math.random() * 0.4));
    const outcome = await store.replaceHead(folder, { text, nonce }, held.version);
    if (outcome.replaced) return { head, version: outcome.version, takenOver: false };
    cause = outcome.cause;
    const seen = await store.readHead(folder);
    if (seen?.version === held.version) continue;
    if (seen === undefined) {
      throw configError(`the head of the sync '${sync}' at ${store.location} was deleted while this run wrote. Restore it from a version or a backup; else the next run starts over`, { code: 'head_deleted' });
    }
    const document = parseHead(seen.text, store.location);
    if (document.nonce === nonce) return { head, version: seen.version, takenOver: false };
    if (document.previous === nonce) return { head, version: undefined, takenOver: true };
    throw fenced(sync, store.location);
  }
  throw transientError(`the head of the sync '${sync}' at ${store.location} could not be replaced in ${attempts} attempts`, { code: 'head_not_replaced', cause });
}

/** True while the head in the store is the one we wrote. */
export async function stillHeld({ store, folder }: HeadPlace, held: HeldHead): Promise<boolean> {
  const seen = await store.readHead(folder);
  return seen !== undefined && parseHead(seen.text, store.location).nonce === held.head.nonce;
}
