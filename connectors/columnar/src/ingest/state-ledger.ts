/** The states received: which wait to be echoed, with how many records each, and what a commit leaves behind. */
import { mergeStates, summarizeState, type StateKind, type StateSummary } from '@tapline/protocol';

export interface PendingState {
  readonly body: string;
  /** Records since the previous STATE of its kind and stream: what the destination reports as committed. */
  readonly records: number;
}

export class StateLedger {
  /** By stream for STREAM states, else under ''. */
  #states = new Map<string, string>();
  #kind: StateKind | undefined;
  #pending: PendingState[] = [];
  #pendingLength = 0;
  stateId: number;

  constructor(checkpoint: { readonly states: readonly string[]; readonly state_id: number } | null) {
    for (const body of checkpoint?.states ?? []) this.#states.set(summarizeState(body).key, body);
    this.stateId = checkpoint?.state_id ?? 0;
  }

  /** Counts are asked by key ('' = all streams) and start anew. */
  receive(body: string, { kind, key, id }: StateSummary, countOf: (key: string) => number): void {
    // States of an earlier run that are of the other kind are no use to this source any more; within a run it is an error.
    if (this.#kind === undefined) {
      const [first] = this.#states.values();
      if (first !== undefined && summarizeState(first).kind !== kind) this.#states.clear();
    } else if (this.#kind !== kind) {
      mergeStates([...this.#states.values()], body);
    }
    if (kind !== 'STREAM') this.#states.clear();
    this.#kind = kind;
    this.#states.set(key, body);
    this.#pending.push({ body, records: countOf(key) });
    this.#pendingLength += body.length;
    if (id !== undefined) this.stateId = id;
  }

  /** A new generation of the stream begins: where its old state stood is nowhere in the new rows. */
  forget(key: string): void {
    this.#states.delete(key);
  }

  get waiting(): boolean {
    return this.#pending.length > 0;
  }

  /** Characters of those that wait: each is kept until it is echoed, and that of a thousand tables is long. */
  get waitingLength(): number {
    return this.#pendingLength;
  }

  /** All states after what was received so far. */
  snapshot(): string[] {
    return [...this.#states.values()];
  }

  takePending(): PendingState[] {
    const taken = this.#pending;
    this.#pending = [];
    this.#pendingLength = 0;
    return taken;
  }
}
