/** One cut after the other: stage, commit, publish, echo. The order of these four is what delivery rests on. */
import { failpoint, stateLine, withDestinationStats } from '@tapline/protocol';
import type { Output } from '@tapline/sdk';
import type { Commit, Sink, Staged } from '../sink.js';
import type { PendingState } from './state-ledger.js';

/** All that was received up to one STATE. */
export interface Cut extends Omit<Commit, 'staged'> {
  readonly staged: readonly Promise<readonly Staged[]>[];
  readonly echoes: readonly PendingState[];
}

export class Committer {
  readonly #sink: Sink;
  readonly #output: Output;
  #nulledValues = 0;

  constructor(sink: Sink, output: Output) {
    this.#sink = sink;
    this.#output = output;
  }

  /** Values that became null in commits with which no STATE went back: the next one tells of them. */
  get untoldNulls(): number {
    return this.#nulledValues;
  }

  async commit(cut: Cut): Promise<void> {
    const { staged: staging, echoes, ...commit } = cut;
    const staged = (await Promise.all(staging)).flat();
    failpoint('dest.after_stage');
    const report = await this.#sink.commit({ ...commit, staged });
    this.#nulledValues += report?.nulledValues ?? 0;
    await this.#sink.publish();
    if (echoes.length > 0) await this.#echo(echoes);
    failpoint('dest.after_echo');
  }

  async #echo(echoes: readonly PendingState[]): Promise<void> {
    const nulled = this.#nulledValues;
    this.#nulledValues = 0;
    const newest = echoes.at(-1);
    await this.#output.lines(echoes.map((echo) => stateLine(withDestinationStats(echo.body, echo.records, echo === newest ? nulled : 0))).join(''));
  }
}
