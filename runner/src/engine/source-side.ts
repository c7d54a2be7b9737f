/** The source's process: its lines go to the destination, its messages to the run. */
import { ConnectorError, protocolError, toConnectorError } from '@tapline/protocol';
import { Acks } from './acks.js';
import type { Child, ChildExit } from './child.js';
import { deferred } from './deferred.js';
import type { Router } from './route.js';

export interface SourceOptions {
  readonly router: Router;
  /** Resolves once the bytes may be overwritten, and the destination takes more; rejects once it is gone. */
  readonly lend: (bytes: Buffer) => Promise<void>;
  /** The destination takes nothing any more. */
  readonly onWriteFailure: () => void;
  /** It broke the protocol, or went silent. It is being ended. */
  readonly onFailure: (error: ConnectorError) => void;
  readonly silenceMs: number | undefined;
}

export class SourceSide {
  readonly child: Child;
  readonly acks: Acks | undefined;
  /** It said END, or its output has ended: no more records. All that it sent before has been given to the destination. */
  readonly ended: Promise<void>;
  /** Its output has been read to the end, and the process is gone. */
  readonly done: Promise<ChildExit>;
  readonly #options: SourceOptions;
  readonly #ended = deferred<void>();
  #saidEnd = false;
  #stopped = false;
  #discard = false;

  /** A child with a stdin gets acks on it, and learns by its end that it may go. */
  constructor(child: Child, options: SourceOptions) {
    this.child = child;
    this.#options = options;
    this.acks = child.stdin ? new Acks(child.stdin) : undefined;
    this.ended = this.#ended.promise;
    this.done = this.#read();
  }

  get saidEnd(): boolean {
    return this.#saidEnd;
  }

  /** It said that the data has ended, and not only that it was stopped. */
  get finished(): boolean {
    return this.#saidEnd && !this.#stopped;
  }

  /** Called by the router's listener: the END is behind what it follows. */
  end(stopped: boolean): void {
    this.#saidEnd = true;
    this.#stopped = stopped;
    // It stays for acks as long as it takes: a grace period that runs is over. One that was stopped has the rest of its own.
    if (!stopped) this.child.spare();
  }

  async #read(): Promise<ChildExit> {
    const { router, silenceMs } = this.#options;
    try {
      for await (const block of this.child.blocks({ idleTimeoutMs: silenceMs })) {
        if (this.#discard) continue;
        for (const piece of router.route(block)) await this.#give(piece);
        if (router.failure) this.#fail(router.failure);
        if (this.#saidEnd) this.#ended.resolve();
      }
    } catch (error) {
      // Silence after END is what END is for.
      if (!this.#saidEnd) this.#fail(toConnectorError(error));
    }
    this.#ended.resolve();
    return this.child.exited;
  }

  async #give(piece: Buffer): Promise<void> {
    if (this.#discard) return;
    try {
      await this.#options.lend(piece);
    } catch {
      this.#throwAway();
      this.#options.onWriteFailure();
    }
  }

  /** From now on its output is read and thrown away: no ack will come, and it need not stay for any. */
  #throwAway(): void {
    this.#discard = true;
    this.acks?.end();
  }

  #fail(error: ConnectorError): void {
    if (this.#discard) return;
    this.#throwAway();
    const { label } = this.child.ref;
    const named = error.code === 'protocol'
      ? protocolError(`the source ${label} broke the protocol: ${error.message}`, { cause: error })
      : error.code === 'silent' ? new ConnectorError(error.kind, `the source ${label}: ${error.message}`, { code: error.code }) : error;
    this.#options.onFailure(named);
    this.child.terminate();
  }
}
