/**
 * Batch files that lie in the session's folder and wait: for more of their chunk, for a STATE. The source has no credit for them, so that
 * too many at once would wait for each other for ever. What is too much moves to our own folder, the largest spools first.
 */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { protocolError, streamKey, type BatchMessage, type Session } from '@tapline/protocol';
import type { BatchFile } from '../convert/batch-forms.js';
import type { BatchSpool } from './batch-spool.js';

export interface HeldBatchesOptions {
  readonly session: NonNullable<Session['batch']>;
  /** A path of our own. */
  readonly newPath: () => string;
}

export class HeldBatches {
  readonly #options: HeldBatchesOptions;
  readonly #spools = new Set<BatchSpool>();

  constructor(options: HeldBatchesOptions) {
    this.#options = options;
  }

  /** Rejects with a protocol error that names stream and file if it is not there, or not as long as it was announced. */
  async find({ path: name, rows, bytes, emitted_at: emittedAt, stream_descriptor: stream }: BatchMessage): Promise<BatchFile> {
    const path = join(this.#options.session.dir, name);
    const wrong = (what: string, cause?: unknown): Error => protocolError(`stream ${streamKey(stream)}: the batch file ${name} ${what}`, { stream, cause });
    const { size } = await stat(path).catch((error: unknown) => {
      throw (error as NodeJS.ErrnoException).code === 'ENOENT' ? wrong('is not there', error) : error;
    });
    if (size !== bytes) throw wrong(`has ${size} bytes, but ${bytes} were announced`);
    return { path, name, rows, bytes, emittedAt };
  }

  add(spool: BatchSpool): void {
    this.#spools.add(spool);
  }

  /** Leaves half of the credit to the source, at least: that much it may always have. */
  async relieve(): Promise<void> {
    for (const spool of this.#spools) if (spool.heldBytes === 0) this.#spools.delete(spool);
    let held = [...this.#spools].reduce((sum, { heldBytes }) => sum + heldBytes, 0);
    const most = this.#options.session.max_bytes / 2;
    if (held <= most) return;
    const largest = [...this.#spools].sort((a, b) => b.heldBytes - a.heldBytes);
    for (const spool of largest) {
      if (held <= most / 2) break;
      held -= spool.heldBytes;
      await spool.moveAway(this.#options.newPath);
    }
  }
}
