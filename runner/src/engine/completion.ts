/** Which streams a source has completed. The end of its output alone is not success: only COMPLETE is. Pure. */
import { systemError, type ConnectorError } from '@tapline/protocol';
import type { ChildExit } from './child.js';
import type { StreamTally } from './stream-table.js';

export interface SourceEnding {
  /** It said END. */
  readonly ended: boolean;
  /** Undefined while it stays for acks. */
  readonly exit: ChildExit | undefined;
  /** Its TRACE ERRORs. */
  readonly errors: readonly ConnectorError[];
}

export function completedStreams(streams: readonly StreamTally[], { ended, exit, errors }: SourceEnding): StreamTally[] {
  const wellEnded = ended || exit?.code === 0;
  // It died without a word: what it said of single streams before is not to be trusted either. With a TRACE ERROR it
  // knew what it was doing, and the streams that it had completed are complete.
  if (!wellEnded && errors.length === 0) return [];
  const speaksStatus = streams.some(({ status }) => status !== undefined);
  return streams.filter(({ status, error }) => {
    if (error) return false;
    // A source that speaks of statuses, but not of this stream, did not read it (a stream it does not know, for one).
    return speaksStatus ? status === 'COMPLETE' : wellEnded && errors.length === 0;
  });
}

/** What is wrong with streams that a source left without an error and without COMPLETE. */
export function incompleteError(label: string, streams: readonly StreamTally[]): ConnectorError {
  const names = streams.map(({ key }) => key);
  const some = names.slice(0, 5).join(', ') + (names.length > 5 ? ` and ${names.length - 5} more` : '');
  const said = streams.some(({ status }) => status === 'INCOMPLETE') ? 'said INCOMPLETE of' : 'did not complete';
  const only = streams.length === 1 ? streams[0]!.descriptor : undefined;
  return systemError(
    `the source ${label} ended and ${said} ${some}, without saying why; what it read up to its last state is kept. Its log may tell more (--verbose)`,
    { code: 'incomplete', ...(only ? { stream: only } : {}) },
  );
}
