/** How the records of a run travel: as lines, or as files beside them. */
import { BatchFormat, configError, type SpecBody } from '@tapline/protocol';
import type { Transport } from '../types.js';

interface End {
  readonly label: string;
  readonly spec: SpecBody | undefined;
}

/**
 * The form of the files in this run; undefined = records go as lines only. `auto` takes files where both ends know one form, `batch`
 * insists: a `config_error` says which end does not.
 */
export function batchFormatOf(transport: Transport, { source, destination }: { readonly source: End; readonly destination: End }): BatchFormat | undefined {
  if (transport === 'json') return undefined;
  const [written, read] = [formatsOf(source), formatsOf(destination)];
  const common = written.find((format) => read.includes(format));
  if (common || transport === 'auto') return common;
  const lacking = written.length === 0
    ? `the source ${source.label} cannot send batches`
    : read.length === 0
      ? `the destination ${destination.label} cannot take batches`
      : `the source ${source.label} writes ${written.join(', ')}, and the destination ${destination.label} reads ${read.join(', ')}`;
  throw configError(`--transport batch is not possible here: ${lacking}. Take json, or auto`, { code: 'no_batches' });
}

/** Those that we know, too: in the order of the connector's liking. */
function formatsOf({ spec }: End): BatchFormat[] {
  const { extensions = [], batch_formats: formats = [] } = spec?.tapline ?? {};
  return extensions.includes('batch') ? formats.flatMap((format) => BatchFormat.safeParse(format).data ?? []) : [];
}
