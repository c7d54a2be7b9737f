/** Streams of a replicated database that are read in another way: in full, or by a cursor. Their states travel with the position. */
import type { ConfiguredStream } from '@tapline/protocol';
import { generation, type ReadContext, type SourceItem } from '@tapline/sdk';
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
  put(item: SourceItem, bytes?: number): Promise<void>;
  onProgress(): void;
}

/** One after another, on a session of their own. */
export async function readOthers(context: ReadContext<Config>, streams: readonly OtherStream[], target: OtherStreamsTarget): Promise<void> {
  if (streams.length === 0) return;
  await using connection = await openPatiently(context);
  for (const { configured, relation } of streams) {
    if (target.signal.aborted) return;
    for await (const item of readRelation(context, { connection, configured, relation })) {
      if (item.kind === 'stream_state') {
        target.checkpoint.setOther(item.stream, item.state);
        target.onProgress();
      } else {
        await target.put(item, item.kind === 'lines' ? item.bytes.length : 0);
      }
    }
    if (context.session?.continuous && configured.sync_mode === 'full_refresh') {
      // Nothing else tells a destination of a run without an end that it is whole.
      const { generation_id: id, minimum_generation_id: minimum } = configured;
      await target.put(generation(configured.stream, { generation: id ?? 0, minimum: minimum ?? 0, phase: 'complete' }));
      target.checkpoint.touch();
      target.onProgress();
    }
  }
}
