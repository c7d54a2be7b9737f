/** The positions that are durable at the destination, on their way to the server: the one thing that moves the slot. */
import type { StateBody } from '@tapline/protocol';
import type { ReplicationStream } from './connection/replication-stream.js';
import { laterLsn, parseLsn, type Lsn } from './lsn.js';
import { sharedStateOf } from './state.js';

/** How long the last one may take to be heard. The next run confirms it too. */
const lastMs = 5000;

export class Confirmations {
  #lsn: Lsn = 0n;
  #stream: ReplicationStream | undefined;
  /** No more changes are read: what is confirmed now may be the last. */
  #last = false;

  /** Of this run: the verb calls both, and knows nothing of what is between them. */
  static of(context: object): Confirmations {
    let found = all.get(context);
    if (!found) all.set(context, (found = new Confirmations()));
    return found;
  }

  /** From now on they go there; so does what was confirmed before it was opened. */
  attach(stream: ReplicationStream): void {
    this.#stream = stream;
    if (this.#lsn > 0n) stream.confirm(this.#lsn);
  }

  /** The changes have ended; confirmations still come. */
  end(): void {
    this.#last = true;
  }

  /** Nothing is confirmed any more. */
  async stop(): Promise<void> {
    const stream = this.#stream;
    this.#stream = undefined;
    await stream?.stop();
  }

  /** A STATE came back. Its position is exact: the end of a transaction, or one before which there was nothing more. */
  async confirm(state: StateBody): Promise<void> {
    const shared = sharedStateOf(state.global?.shared_state);
    if (!shared) return;
    this.#lsn = laterLsn(this.#lsn, parseLsn(shared.lsn));
    this.#stream?.confirm(this.#lsn);
    if (this.#last) await this.#stream?.flushConfirm(lastMs);
  }
}

const all = new WeakMap<object, Confirmations>();
