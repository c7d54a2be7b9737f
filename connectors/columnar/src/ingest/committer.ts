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

export async function commitCut(cut: Cut, sink: Sink, output: Output): Promise<void> {
  const { staged: staging, echoes, ...commit } = cut;
  const staged = (await Promise.all(staging)).flat();
  failpoint('dest.after_stage');
  await sink.commit({ ...commit, staged });
  await sink.publish();
  if (echoes.length > 0) await output.lines(echoes.map(({ body, records }) => stateLine(withDestinationStats(body, records))).join(''));
  failpoint('dest.after_echo');
}
