/** What a source has, for people. */
import { columnsOf, formatLogicalType, partitionOf } from '@tapline/catalog';
import { streamKey, type AirbyteStream } from '@tapline/protocol';
import { count, table } from './numbers.js';

export function catalogText(streams: readonly AirbyteStream[]): string {
  if (streams.length === 0) return 'no streams\n';
  const blocks = streams.map((stream) => {
    const key = (stream.source_defined_primary_key ?? []).map((path) => path.join('.')).join(', ');
    const root = partitionOf(stream);
    const facts = [
      key === '' ? 'no key' : `key ${key}`,
      (stream.supported_sync_modes ?? []).join(', '),
      ...(estimateOf(stream) === undefined ? [] : [`about ${count(estimateOf(stream)!)} rows`]),
      ...(root === undefined ? [] : [`partition of ${root}: copied with it`]),
    ].filter((fact) => fact !== '');
    const columns = columnsOf(stream).map(({ name, type }) => [`  ${name}`, formatLogicalType(type)]);
    return `${streamKey(stream)}  (${facts.join('; ')})${columns.length > 0 ? `\n${table(columns)}` : ''}`;
  });
  return `${blocks.join('\n')}\n\n${count(streams.length)} stream${streams.length === 1 ? '' : 's'}\n`;
}

/** The source's guess, an additional property of ours: `tapline.row_estimate`. */
function estimateOf(stream: AirbyteStream): number | undefined {
  const extra = stream['tapline'] as { row_estimate?: unknown } | null | undefined;
  return typeof extra?.row_estimate === 'number' ? extra.row_estimate : undefined;
}
