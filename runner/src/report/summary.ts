/** The end of a run, for people. */
import { streamKey } from '@tapline/protocol';
import type { StreamSummary, SyncSummary } from '../types.js';
import { bytes, count, table, time } from './numbers.js';

const mostRows = 40;

export function summaryText(summary: SyncSummary, directory: string): string {
  const { sync, status, seconds, records, streams, states_saved: saved } = summary;
  const parts = [`${sync}: ${status} in ${time(seconds)}`];
  if (streams.length > 0) parts.push(streamTable(streams));
  const rate = seconds > 0 && records > 0 ? ` · ${count(records / seconds)} records/s` : '';
  parts.push(`${count(records)} records · ${bytes(summary.bytes)}${rate} · ${count(saved)} checkpoint${saved === 1 ? '' : 's'} saved`);
  const { nulled_values: nulled = 0 } = summary;
  if (nulled > 0) parts.push(`${count(nulled)} value${nulled === 1 ? '' : 's'} became null, because the destination cannot hold ${nulled === 1 ? 'it' : 'them'}: _airbyte_meta tells which and why`);
  if (summary.error) parts.push(`${summary.error.kind}: ${summary.error.message}`);
  const next = nextStep(summary, directory);
  if (next) parts.push(next);
  return `${parts.join('\n')}\n`;
}

function streamTable(streams: readonly StreamSummary[]): string {
  // What went wrong is what people look for.
  const rank = { failed: 0, incomplete: 1, skipped: 2, succeeded: 3 } as const;
  const sorted = [...streams].sort((a, b) => rank[a.status] - rank[b.status]);
  const row = (stream: StreamSummary): string[] => [streamKey(stream), stream.status, count(stream.records), bytes(stream.bytes)];
  const text = table([['stream', 'status', 'records', 'size'], ...sorted.slice(0, mostRows).map(row)], [2, 3]);
  const rest = sorted.slice(mostRows);
  return rest.length === 0 ? text : `${text}\n  and ${rest.length} more, ${rest.every(({ status }) => status === 'succeeded') ? 'all succeeded' : 'see --json'}`;
}

/** What to do now; undefined after success. */
export function nextStep({ status, error, states_saved: saved }: SyncSummary, directory: string): string | undefined {
  if (status === 'succeeded') return undefined;
  const continues = saved > 0 ? `it continues from the last checkpoint (${directory}/state.json)` : 'nothing new was checkpointed, so it starts where this run started';
  if (status === 'interrupted') return `Stopped. Run it again: ${continues}.`;
  switch (error?.kind) {
    case 'config_error':
      return `Once that is put right, run it again: ${continues}.`;
    case 'transient_error':
      return `Run it again later: ${continues}.`;
    default:
      return `Run it again: ${continues}. If it fails again, --verbose shows what the connectors said.`;
  }
}
