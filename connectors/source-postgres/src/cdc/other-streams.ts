/** Streams of a replicated database that are read in another way: in full, or by a cursor. Their states travel with the position. */
import type { ConfiguredStream } from '@tapline/protocol';
import type { ReadContext, SourceItem } from '@tapline/sdk';
import type { Batches } from '../batch/batches.js';
import type { Config } from '../config.js';
import { openPatiently } from '../patience.js';
import { readRelation } from '../read.js';
import type { Relation } from '../relations.js';
import type { Checkpoint } from './checkpoint.js';

export interface OtherStream {
  readonly configured: ConfiguredStream;
  readonly relation: Relation;
}

export interface OtherStreamsTarget {
  readonly signal: AbortSignal;
  readonly checkpoint: Checkpoint;
  readonly batches: Batches | undefined;
  put(item: SourceItem, bytes?: number): Promise<void>;
  onProgress(): void;
}

/** One after another, on a session of their own. */
export async function readOthers(context: ReadContext<Config>, streams: readonly OtherStream[], target: OtherStreamsTarget): Promise<void> {
  if (streams.length === 0) return;
  // What ends the others ends these, too: not the user's signal alone.
  const reading = { ...context, signal: target.signal };
  await using connection = await openPatiently(reading);
  for (const { configured, relation } of streams) {
    if (target.signal.aborted) return;
    for await (const item of readRelation(reading, connection, { batches: target.batches, configured, relation })) {
      if (item.kind === 'stream_state') {
        target.checkpoint.setOther(item.stream, item.state);
        target.onProgress();
      } else {
        await target.put(item, item.kind === 'lines' ? item.bytes.length : 0);
      }
    }
  }
}
