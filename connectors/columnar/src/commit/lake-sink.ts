/** The head protocol: a {@link Sink} over any {@link ObjectStore}. Its rules and why: connectors/destination-s3/README.md. */
import { randomUUID } from 'node:crypto';
import { ConnectorError, configError, failpoint, systemError, type Checkpoint, type LogLevel, type StreamDescriptor } from '@tapline/protocol';
import type { Commit, ParquetFile, Sink, Staged } from '../sink.js';
import { CommitRecords } from './commit-records.js';
import { fenced } from './fenced.js';
import { removeGarbage, stagedFolder } from './garbage.js';
import { emptyHead, parseGenerationKey, parseHead, type Head, type Move } from './head.js';
import { inParallel } from './in-parallel.js';
import { entriesOf, lengthOf, listOf, loadHead } from './long-list.js';
import { parseFileName, streamFolder, sync8, syncFolder } from './names.js';
import type { ObjectStore } from './object-store.js';
import { OtherSyncs } from './other-syncs.js';
import { planCommit, planGenerations, retiredStates, type Completion } from './plan-commit.js';
import { publishHead } from './publish.js';
import { replaceHead, stillHeld, type HeadPlace, type HeldHead } from './replace-head.js';

export interface LakeSinkOptions {
  /** Closed with the sink. */
  readonly store: ObjectStore;
  readonly sync: string;
  /** Identity of the source; '' = unknown, keeps the one that the head holds. */
  readonly source: string;
  log(level: LogLevel, message: string): void;
}

const openAttempts = 20;

export class LakeSink implements Sink {
  readonly #options: LakeSinkOptions;
  readonly #place: HeadPlace;
  readonly #store: ObjectStore;
  readonly #records: CommitRecords;
  readonly #others: OtherSyncs;
  #held: HeldHead = { head: emptyHead, version: undefined, takenOver: false };
  #isOpen = false;
  #isPublished = true;
  /** Resolves once the record of the last commit is written, or has failed. */
  #recorded: Promise<void> = Promise.resolve();
  /** States that describe what the destination no longer holds; a writer that still carries one along cannot bring it back. */
  #retired = new Set<string>();

  constructor(options: LakeSinkOptions) {
    this.#options = options;
    this.#store = options.store;
    this.#place = { store: options.store, sync: options.sync, folder: syncFolder(options.sync) };
    this.#records = new CommitRecords(this.#place);
    this.#others = new OtherSyncs(this.#place);
  }

  async open(): Promise<{ readonly epoch: number; readonly checkpoint: Checkpoint | null; readonly seq: number }> {
    const lost = await this.#takeOver();
    this.#isOpen = true;
    await Promise.all([removeGarbage(this.#place, this.#held), this.#others.look()]);
    if (lost.length > 0) throw lostFiles(lost, this.#store.location);
    const { head } = this.#held;
    if (this.#isOtherSource(head)) this.#retired = new Set(entriesOf(head.states));
    return { epoch: head.epoch, seq: head.seq, checkpoint: head.seq === 0 ? null : checkpointOf(head) };
  }

  async stage({ path, ...file }: ParquetFile): Promise<Staged> {
    const name = `${stagedFolder(this.#place.folder)}${this.#held.head.epoch}/${randomUUID()}.staged`;
    await this.#store.putFile(name, path, file.bytes);
    return { ...file, name };
  }

  async commit(commit: Commit): Promise<void> {
    const { head, dropped } = this.#ownHead(commit);
    const plan = planGenerations(head, commit);
    for (const state of retiredStates(entriesOf(head.states), plan)) this.#retired.add(state);
    const states = commit.states.filter((state) => !this.#retired.has(state));
    await this.#warnOfOthers(commit.staged.map((file) => file.stream));
    const next = planCommit(head, plan, {
      commit: { ...commit, states },
      sync8: sync8(this.#place.sync),
      source: this.#options.source || head.source,
      leaving: [...(await this.#oldFiles(plan.completions)), ...dropped],
    });
    this.#held = await replaceHead(this.#place, this.#held, next, () => failpoint('dest.before_head'));
    this.#isPublished = false;
    failpoint('dest.after_head');
  }

  async publish(): Promise<void> {
    if (this.#isPublished) return;
    const { head } = this.#held;
    await publishHead(this.#store, head, (move) => this.#explainAbsent(move));
    this.#isPublished = true;
    failpoint('dest.after_publish');
    // The states need not wait for it on their way back; the next record does.
    await this.#recorded;
    this.#recorded = this.#records.write(head).catch((error: unknown) =>
      this.#options.log('WARN', `the record of commit ${head.seq} was not written (the commit itself was): ${error instanceof Error ? error.message : String(error)}`));
  }

  /**
   * Forgets all states and what is not yet visible: a tombstone, for a head must never be deleted (an old writer could
   * begin a new one). Published files stay, and so do generations and seq: no name is used again. The next run starts over.
   */
  async reset(): Promise<void> {
    const { head } = this.#held;
    const dropped = stagedIn(head);
    const next: Head = { ...head, seq: head.seq + 1, source: '', states: [], minimums: {}, publish: [], deferred: {}, delete: listOf(dropped) };
    this.#held = await replaceHead(this.#place, this.#held, next);
    this.#isPublished = false;
    await this.publish();
  }

  /** Leaves a head with nothing to finish: the next `open` then has no old files to look for, which people may have moved on. */
  async [Symbol.asyncDispose](): Promise<void> {
    const { head, takenOver } = this.#held;
    if (this.#isOpen && this.#isPublished && !takenOver && lengthOf(head.publish) + lengthOf(head.delete) > 0) {
      await replaceHead(this.#place, this.#held, { ...head, publish: [], delete: [] }).catch(() => undefined);
    }
    this.#isOpen = false;
    await this.#recorded;
    await this.#store[Symbol.asyncDispose]();
  }

  /** Finishes what the head left unpublished, then makes it ours: from then on older writers are fenced. */
  async #takeOver(): Promise<Move[]> {
    for (let attempt = 1; ; attempt++) {
      const stored = await this.#store.readHead(this.#place.folder);
      if (!stored) await this.#store.probeFencing();
      try {
        const head = stored ? await loadHead(this.#store, parseHead(stored.text, this.#store.location)) : emptyHead;
        const lost: Move[] = [];
        await publishHead(this.#store, head, async (move) => {
          if (!(await this.#store.exists(move.to))) lost.push(move);
        });
        const held = { head, version: stored?.version, takenOver: false };
        this.#held = await replaceHead(this.#place, held, { ...head, epoch: head.epoch + 1, publish: [], delete: [] });
        if (this.#held.takenOver) throw fenced(this.#place.sync, this.#store.location);
        return lost;
      } catch (error) {
        // Another writer was faster, and may even have removed a list that we were about to read: begin again with its head.
        if (!(error instanceof ConnectorError) || attempt === openAttempts || !(error.code === 'fenced' || error.code === 'head_list_gone')) throw error;
        if (error.code === 'head_list_gone' && (await this.#store.readHead(this.#place.folder))?.version === stored?.version) throw error;
      }
    }
  }

  /** The head that this commit goes on from. Of another source's unfinished generations nothing is inherited. */
  #ownHead({ seq }: Commit): { head: Head; dropped: string[] } {
    const { head, takenOver } = this.#held;
    if (!this.#isOpen) throw systemError('commit before open');
    if (takenOver) throw fenced(this.#place.sync, this.#store.location);
    if (!this.#isPublished) throw systemError(`commit ${seq} before commit ${head.seq} is published`);
    if (seq !== head.seq + 1) throw systemError(`commit ${seq} follows commit ${head.seq}`);
    if (!this.#isOtherSource(head)) return { head, dropped: [] };
    const dropped = stagedIn(head);
    return { head: { ...head, deferred: {}, minimums: {} }, dropped };
  }

  #isOtherSource = ({ source }: Head): boolean => source !== '' && this.#options.source !== '' && source !== this.#options.source;

  /** Published files of this sync, of generations below the minimum. All earlier commits are published: the listing is whole. */
  async #oldFiles(completions: readonly Completion[]): Promise<string[]> {
    const own = sync8(this.#place.sync);
    const found: string[] = [];
    await inParallel(completions.filter(({ minimum }) => minimum > 0), 8, async ({ stream, minimum }) => {
      const folder = streamFolder(stream);
      for await (const name of this.#store.list(folder)) {
        const file = parseFileName(name, folder);
        if (file?.sync8 === own && file.generation < minimum) found.push(name);
      }
    });
    return found.sort();
  }

  async #warnOfOthers(streams: readonly StreamDescriptor[]): Promise<void> {
    for (const stream of streams) {
      const warning = await this.#others.warningFor(stream);
      if (warning) this.#options.log('WARN', warning);
    }
  }

  /** Our own staged object is gone: a newer writer published it, or we did before, or somebody deleted it. */
  async #explainAbsent(move: Move): Promise<void> {
    if (!(await stillHeld(this.#place, this.#held))) {
      this.#held = { ...this.#held, takenOver: true };
      throw fenced(this.#place.sync, this.#store.location);
    }
    if (!(await this.#store.exists(move.to))) throw lostFiles([move], this.#store.location);
  }
}

const stagedIn = (head: Head): string[] => Object.values(head.deferred).flatMap((list) => entriesOf(list).map((move) => move.from));

function checkpointOf(head: Head): Checkpoint {
  return {
    state_id: head.state_id,
    source: head.source,
    states: entriesOf(head.states),
    generations: { ...head.generations },
    open_generations: Object.fromEntries(Object.keys(head.deferred).map((key) => {
      const { stream, generation } = parseGenerationKey(key);
      return [stream, generation];
    })),
  };
}

/** Told once: by then the head no longer names them, and the next run goes on. */
function lostFiles(lost: readonly Move[], location: string): ConnectorError {
  const rows = lost.reduce((sum, move) => sum + move.rows, 0);
  return configError(
    `${lost.length} committed file(s) with ${rows} row(s) are gone from ${location}, such as ${lost[0]!.to}: neither staged nor published. ` +
      'If a reader took them away on purpose, run again; else something deletes objects below _tapline/ (a lifecycle rule?): stop it, and run with --full-refresh',
    { code: 'committed_files_gone' },
  );
}
