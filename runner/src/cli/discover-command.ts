import { chooseStreams } from '@tapline/catalog';
import { ExitCode } from '@tapline/protocol';
import { callVerb } from '../engine/call-verb.js';
import { catalogText } from '../report/catalog-text.js';
import { UsageError } from './arguments.js';
import type { Context } from './context.js';
import { streamRules } from './plan.js';

/** Lists the streams of a source, all or those that `--streams` takes. */
export async function discoverCommand(context: Context): Promise<number> {
  const end = await context.end('source', context.chosenSync());
  if (!end) throw new UsageError('say where to look: --source postgres://app@localhost/shop.', 'discover');
  const rules = streamRules(context, []);
  const catalog = await callVerb(end.ref, 'discover', context.verbOptions);
  const streams = rules.length > 0 ? chooseStreams(catalog.streams, rules).map(({ stream }) => stream) : catalog.streams;
  const { out } = context.process;
  if (context.json) out(`${JSON.stringify({ type: 'catalog', ...catalog, streams })}\n`);
  else out(catalogText(streams));
  return ExitCode.ok;
}
