/** From flags and tapline.yaml to what the engine runs. */
import { configureAppeared, configureCatalog, ruleOfModeFlag, rulesOfList, selectionOf, type ConfigureOptions, type StreamRule } from '@tapline/catalog';
import { join } from 'node:path';
import { derivedSyncName, requireSyncName } from '../sync-name.js';
import type { SyncPlan, Transport } from '../types.js';
import { UsageError } from './arguments.js';
import type { Context } from './context.js';
import { parseCount, parseDuration } from './duration.js';

const defaultRetries = 5;

/** `command`: whose help a usage error points to. */
export async function planSync(context: Context, command = 'sync'): Promise<SyncPlan> {
  const { flags } = context;
  const sync = context.chosenSync();
  // Whatever can be wrong with the words alone is told before anything is looked up.
  const flush = flags.text('flush') ?? sync?.flush;
  const flushMs = flush === undefined ? undefined : parseDuration(flush, '--flush');
  const retries = flags.text('retries') === undefined ? sync?.retries : parseCount(flags.text('retries')!, '--retries');
  const transport = requireTransport(flags.text('transport') ?? sync?.transport);
  const rules = streamRules(context, sync?.rules ?? []);
  const name = flags.text('sync') ?? sync?.name;
  if (name !== undefined) context.syncName = requireSyncName(name);
  if (flags.on('full-refresh') && flags.on('from-destination')) {
    throw new UsageError('--full-refresh and --from-destination contradict each other: forget the position, or take that of the destination.', 'sync');
  }

  const [source, destination] = [await context.end('source', sync), await context.end('destination', sync)];
  if (!source || !destination) {
    throw new UsageError(`${source ? '--dest' : '--source'} is missing. Say where ${source ? 'to, as in --dest ./lake' : 'from, as in --source postgres://app@localhost/shop'}, or name a sync of tapline.yaml.`, command);
  }
  const syncName = name ?? derivedSyncName(source.identity, destination.identity);
  context.syncName = syncName;
  const target = await context.withSpecIfAny(destination.ref);
  const origin = await context.withSpecIfAny(source.ref);
  const wishes: ConfigureOptions = {
    rules,
    defaultRead: source.ref.config['replication'] === 'cdc' ? 'cdc' : 'full_refresh',
    destinationModes: target.shippedSpec?.supported_destination_sync_modes ?? undefined,
    destinationLabel: target.label,
    session: (origin.shippedSpec?.tapline?.extensions.length ?? 0) > 0,
  };
  const continuous = flags.on('continuous') || (sync?.continuous ?? false);
  return {
    sync: syncName,
    directory: join(context.stateDirectory, syncName),
    source: origin,
    destination: target,
    configure: (discovered) => configureCatalog(discovered, wishes),
    appeared: (stream) => configureAppeared(stream, wishes),
    selection: selectionOf(rules),
    fullRefresh: flags.on('full-refresh'),
    fromDestination: flags.on('from-destination'),
    continuous,
    flushMs,
    transport,
    retries: retries ?? defaultRetries,
    patient: continuous && retries === undefined,
  };
}

/** `--streams` replaces the choice that tapline.yaml made, and keeps what it says about each stream; `--mode` comes last. */
export function streamRules(context: Context, configured: readonly StreamRule[]): StreamRule[] {
  const list = context.flags.text('streams');
  const chosen = list === undefined ? configured : [...configured.map((rule) => ({ ...rule, enabled: undefined })), ...rulesOfList(list)];
  return [...chosen, ...context.flags.texts('mode').map(ruleOfModeFlag)];
}

function requireTransport(transport = 'auto'): Transport {
  if (transport === 'auto' || transport === 'json' || transport === 'batch') return transport;
  throw new UsageError(`--transport ${transport} is unknown: take json, batch or auto.`, 'sync');
}
