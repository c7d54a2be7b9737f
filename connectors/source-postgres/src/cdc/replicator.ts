/**
 * The stream itself: reads what the server sends, has it written, and says where it can be resumed. STATEs are sent here alone, and
 * only between two transactions.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { mayComeBack } from '@tapline/postgres-client';
import { failpoint, toConnectorError } from '@tapline/protocol';
import { batch, lag, lines, type SourceItem } from '@tapline/sdk';
import type { Batches } from '../batch/batches.js';
import type { Changes, Outgoing } from './changes.js';
import type { Checkpoint } from './checkpoint.js';
import { walkFrames } from './connection/frames.js';
import type { ReplicationStream } from './connection/replication-stream.js';
import type { Control } from './control.js';
import { readMessage } from './decode/messages.js';
import { fillHoles } from './decode/reselect.js';
import { TextWanted } from './log-form.js';
import { formatLsn, type Lsn } from './lsn.js';
import type { Mailbox } from '../mailbox.js';

export interface ReplicatorOptions {
  readonly stream: ReplicationStream;
  readonly control: Control;
  readonly changes: Changes;
  readonly checkpoint: Checkpoint;
  readonly mailbox: Mailbox<SourceItem>;
  /** Where the run has them. */
  readonly batches: Batches | undefined;
  readonly blockBytes: number;
  readonly stateIntervalMs: number;
  /** undefined: there is no end. */
  readonly end: { /** Up to here. */ target: Lsn; /** Whether everything else is done. */ readonly ready: () => boolean } | undefined;
  readonly signal: AbortSignal;
  /** Another connection, at the position of the checkpoint. */
  reconnect(): Promise<ReplicationStream>;
  /** A lost connection does not end the run. */
  readonly patient: boolean;
  log(level: 'INFO' | 'WARN', message: string): void;
}

/** With nothing to read, this often we look whether something is to be said. */
const tickMs = 200;
const lagMs = 1000;
/** After so long somebody should know why nothing comes. */
const slowMs = 10_000;
/** An idle position is worth a STATE so often. */
const idleStateMs = 10_000;
/** While a table has many changes at a time a STATE waits so long for more of them: batches are to be no smaller than they must. Where states are wanted often it waits a quarter of their interval. */
const lingerMs = 100;
/** And what it reads comes in larger pieces: each costs some microseconds, and would have ten rows. Where they are large there is nothing to wait for. */
const gatherMs = 2;
const gatheredBytes = 32_768;
/** Transactions that no copy has seen yet are remembered; beyond so many those that every snapshot sees are forgotten. */
const rememberedTransactions = 10_000;

export class Replicator {
  readonly #options: ReplicatorOptions;
  #stream: ReplicationStream;
  #wake: (() => void) | undefined;
  #lastLag = 0;
  #asking = false;
  #lastState = performance.now();
  /** Rows or the like went out since the last STATE; else the log moved, and nothing in it was for us. */
  #urgent = true;
  #flushing: Promise<void> = Promise.resolve();
  /** What was taken, and is not out yet. */
  #leaving: Outgoing | undefined;

  constructor(options: ReplicatorOptions) {
    this.#options = options;
    this.#stream = options.stream;
  }

  /** Somebody else has put something that the next STATE covers. */
  progress(): void {
    this.#urgent = true;
    this.#options.changes.reconsider();
    this.#wake?.();
  }

  /** Resolves at the end that was asked for, or when stopped. Rejects with what cannot be mended here. */
  async run(): Promise<void> {
    const { signal, changes, end } = this.#options;
    let reading: Promise<Buffer | undefined> | undefined;
    let lastBytes = 0;
    while (!signal.aborted) {
      if (!changes.open) {
        await this.#tell();
        if (end?.ready() && this.#options.checkpoint.position >= end.target) break;
      }
      try {
        if (!reading && changes.columnsAge !== undefined && lastBytes < gatheredBytes && !this.#stream.buffered) await sleep(gatherMs);
        reading ??= this.#stream.read();
        const got = await this.#first(reading);
        if (got === 'tick') continue;
        reading = undefined;
        if (!got) break;
        lastBytes = got.length;
        await this.#take(got);
      } catch (error) {
        reading = undefined;
        await this.#reconnect(error);
      }
    }
    await this.flush();
    if (!changes.open) await this.#state();
  }

  /** What was read, or that it is time to look around. */
  async #first(reading: Promise<Buffer | undefined>): Promise<Buffer | undefined | 'tick'> {
    if (this.#stream.buffered) return reading;
    const { end } = this.#options;
    const timer = setTimeout(() => this.#wake?.(), this.#options.checkpoint.changed ? 20 : tickMs);
    const tick = new Promise<'tick'>((resolve) => (this.#wake = () => resolve('tick')));
    try {
      const got = await Promise.race([reading, tick]);
      // An idle server says where it is when it is asked.
      if (got === 'tick' && end?.ready() && !this.#options.changes.open) this.#stream.ping();
      return got;
    } finally {
      clearTimeout(timer);
      this.#wake = undefined;
    }
  }

  async #take(bytes: Buffer): Promise<void> {
    const { changes, checkpoint, blockBytes } = this.#options;
    for (let at = 0; at < bytes.length; ) {
      at = this.#walk(bytes, at);
      const task = changes.takeTask();
      if (task) {
        await this.flush();
        await task();
      }
      if (changes.columnsFull) await this.flush();
      else if (changes.out.length >= blockBytes) await this.#flushLines();
      if (changes.open) failpoint('cdc.in_transaction');
      else if (at < bytes.length && checkpoint.due(this.#options.stateIntervalMs)) await this.#state();
    }
    if (!this.#stream.buffered) await this.#flushLines();
  }

  #walk(bytes: Buffer, from: number): number {
    const { changes, checkpoint, blockBytes } = this.#options;
    try {
      return walkFrames(bytes, {
        data: (start, stop) => {
          readMessage(bytes, start, stop, changes);
          // A commit is a place to stop at.
          return changes.hasTask || changes.out.length >= blockBytes || (!changes.open && checkpoint.due(this.#options.stateIntervalMs));
        },
        keepalive: (walEnd, replyRequested) => {
          if (changes.open) return;
          checkpoint.reach(walEnd);
          // A server that shuts down waits until all that it wrote is confirmed.
          this.#urgent ||= replyRequested;
        },
      }, from);
    } finally {
      changes.settle();
    }
  }

  /** Between two transactions: whether a STATE is to be sent, and how far behind we are. */
  async #tell(): Promise<void> {
    const { checkpoint, changes } = this.#options;
    this.#ask();
    if (!checkpoint.changed || this.#stream.buffered) return;
    const { columnsAge } = changes;
    if (columnsAge !== undefined && columnsAge < Math.min(lingerMs, this.#options.stateIntervalMs / 4)) return;
    if (this.#urgent || columnsAge !== undefined || changes.out.length > 0 ? checkpoint.due(0) : performance.now() - this.#lastState >= idleStateMs) await this.#state();
  }

  async #state(): Promise<void> {
    const { checkpoint, mailbox, changes } = this.#options;
    await this.flush();
    if (!checkpoint.changed || changes.open) return;
    this.#urgent = false;
    this.#lastState = performance.now();
    changes.renewTime();
    changes.endGroup();
    await mailbox.put(checkpoint.take());
  }

  /** Puts what was written so far into the mailbox. */
  flush(): Promise<void> {
    return this.#flush(false);
  }

  /** The same without the columns: what has come of them is too little for a batch. */
  #flushLines(): Promise<void> {
    return this.#flush(true);
  }

  #flush(linesAlone: boolean): Promise<void> {
    // One after another: values that are fetched must not be overtaken by lines that need none. A failure is that of its caller.
    const flushed = this.#flushing.then(async () => {
      // What a failure has left is what the next flush begins with.
      if (this.#leaving) await this.#send(this.#leaving);
      await this.#send(this.#options.changes.takeOut(linesAlone));
    });
    this.#flushing = flushed.catch(() => {});
    return flushed;
  }

  async #send(leaving: Outgoing): Promise<void> {
    const { mailbox, control, batches } = this.#options;
    this.#leaving = leaving;
    if (leaving.lines || leaving.waiting || leaving.batches.length > 0) this.#urgent = true;
    if (leaving.waiting) {
      // Changes are written on while its values are fetched.
      await this.#untilVisible(leaving.waiting.transactions);
      for await (const bytes of fillHoles(leaving.waiting.lines, await control.connection())) await mailbox.put(lines(bytes), bytes.length);
      leaving.waiting = undefined;
    }
    const bytes = leaving.lines;
    leaving.lines = undefined;
    if (bytes) await mailbox.put(lines(bytes), bytes.length);
    for (let next = leaving.batches[0]; next; next = leaving.batches[0]) {
      const file = await batches!.write(next);
      next.release();
      leaving.batches.shift();
      await mailbox.put(batch(next.stream, { ...file, emittedAt: Date.now() }));
    }
    this.#leaving = undefined;
  }

  /**
   * A transaction is in the log before it is visible; with a standby that must confirm it, long before. What is selected again until then
   * is older than the change, and no later change would mend it.
   */
  async #untilVisible(transactions: ReadonlySet<number>): Promise<void> {
    const { control, signal, log } = this.#options;
    const since = performance.now();
    let warned = false;
    for (let pause = 2; ; pause = Math.min(pause * 2, 500)) {
      const snapshot = await control.snapshot();
      if ([...transactions].every((xid) => snapshot.sees(xid))) return;
      if (!warned && performance.now() - since > slowMs) {
        warned = true;
        log('WARN', 'a transaction in the log is not visible yet, and a value that it left out is waited for: does the server wait for a standby (synchronous_standby_names)?');
      }
      await sleep(pause, undefined, { signal });
    }
  }

  /** What stands among the changes, in its place. */
  async put(item: SourceItem): Promise<void> {
    await this.flush();
    this.#urgent = true;
    await this.#options.mailbox.put(item);
  }

  /** In the background: what people want to know, and what need not be remembered. */
  #ask(): void {
    if (this.#asking || performance.now() - this.#lastLag < lagMs) return;
    this.#lastLag = performance.now();
    this.#asking = true;
    void this.#look().catch(() => undefined).finally(() => (this.#asking = false));
  }

  async #look(): Promise<void> {
    const { control, checkpoint, changes, mailbox } = this.#options;
    const flushed = await control.flushed();
    const behind = flushed > checkpoint.position ? flushed - checkpoint.position : 0n;
    const seconds = behind > 0n && changes.commitTime > 0 ? Math.max(Date.now() - changes.commitTime, 0) / 1000 : 0;
    await mailbox.put(lag({ bytes: Number(behind), seconds }));
    const waiting = [...checkpoint.tables.values()].filter(({ passedOver }) => passedOver.size > rememberedTransactions);
    if (waiting.length === 0) return;
    const snapshot = await control.snapshot();
    for (const { passedOver } of waiting) for (const xid of passedOver) if (snapshot.sees(xid)) passedOver.delete(xid);
  }

  async #reconnect(error: unknown): Promise<void> {
    const { patient, changes, signal, log, checkpoint } = this.#options;
    const isLost = !(error instanceof TextWanted);
    const failure = toConnectorError(error);
    if (signal.aborted || (isLost && !(patient && mayComeBack(failure)))) throw error;
    changes.interrupted();
    await this.#stream.stop();
    if (!isLost) failpoint('cdc.other_form');
    log(isLost ? 'WARN' : 'INFO', `${failure.message}; connecting again, to go on at ${formatLsn(checkpoint.position)}`);
    for (let wait = isLost ? 1000 : 0; ; ) {
      await sleep(wait, undefined, { signal });
      try {
        this.#stream = await this.#options.reconnect();
        log('INFO', 'connected again');
        return;
      } catch (again) {
        const classified = toConnectorError(again);
        if (!patient || !mayComeBack(classified)) throw again;
        wait = Math.min(Math.max(wait * 2, 1000), 30_000);
        log('WARN', `${classified.message}; trying again in ${wait / 1000} s`);
      }
    }
  }
}
