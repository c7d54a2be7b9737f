import { chooseStreams } from '@tapline/catalog';
import { ExitCode } from '@tapline/protocol';
import { callVerb } from '../engine/call-verb.js';
import { catalogText } from '../report/catalog-text.js';
import { UsageError } from './arguments.js';
import type { Context } from './context.js';
import { streamRules } from './plan.js';

/** Lists the streams of a source, all or those that `--streams` takes. */
export async function discoverCommand(context: Context): Promise<number> {
  const sync = context.chosenSync();
  const end = await context.end('source', sync);
  if (!end) throw new UsageError('say where to look: --source postgres://app@localhost/shop.', 'discover');
  const rules = streamRules(context, []);
  // The destination says no more than which sync is meant: one that tapline.yaml names is not looked at.
  const directory = context.syncDirectory(sync, end, sync ? undefined : await context.end('destination', undefined));
  const catalog = await callVerb(end.ref, 'discover', context.verbOptions(directory));
  const streams = rules.length > 0 ? chooseStreams(catalog.streams, rules).map(({ stream }) => stream) : catalog.streams;
  const { out } = context.process;
  if (context.json) out(`${JSON.stringify({ type: 'catalog', ...catalog, streams })}\n`);
  else out(catalogText(streams));
  return ExitCode.ok;
}
