/** In a run without an end: tables that were made since, and tables that were dropped and made again. */
import { setTimeout as sleep } from 'node:timers/promises';
import { isSelected } from '@tapline/catalog';
import { streamKey, type AirbyteStream, type ConfiguredStream } from '@tapline/protocol';
import { failed, schema, status, type ReadContext } from '@tapline/sdk';
import type { Config } from '../config.js';
import { replicatedStreams } from '../discover.js';
import { label } from '../reading.js';
import { findRelations, type Relation } from '../relations.js';
import type { Checkpoint } from './checkpoint.js';
import type { Control } from './control.js';
import type { Copier } from './copier.js';
import type { Publishing } from './publishing.js';
import type { Replicator } from './replicator.js';
import { Table } from './table.js';

export interface TableWatch {
  readonly control: Control;
  readonly checkpoint: Checkpoint;
  readonly copier: Copier;
  readonly replicator: Replicator;
  readonly publishing: Publishing;
  readonly signal: AbortSignal;
}

/** Looks every `discover_interval` seconds, until the signal. A look that fails is made again: nothing is lost by it. */
export async function watchForTables(context: ReadContext<Config>, watch: TableWatch): Promise<void> {
  const { config, log, session } = context;
  if (config.discover_interval === 0) return;
  // Who is not told of a stream takes none of its records.
  const takesNew = session?.extensions.includes('schema') ?? false;
  const seen = new Set(context.catalog.streams.map(({ stream }) => streamKey(stream)));
  for (;;) {
    try {
      await sleep(config.discover_interval * 1000, undefined, { signal: watch.signal });
    } catch {
      return;
    }
    try {
      const connection = await watch.control.connection();
      const toStream = await replicatedStreams(connection);
      const relations = await findRelations(connection, { schemas: config.schemas });
      for (const relation of relations) {
        const known = watch.checkpoint.tables.get(streamKey({ name: relation.name, namespace: relation.schema }));
        if (known && known.oid !== relation.oid && known.phase === 'streaming') await replaced(known, relation, watch, log);
        if (known || !takesNew) continue;
        const stream = toStream(relation);
        if (seen.has(streamKey(stream)) || stream.source_defined_cursor !== true || !isSelected(session?.selection ?? [], stream)) continue;
        seen.add(streamKey(stream));
        log('INFO', `${label(stream)} is new: it is copied, and followed from now on`);
        await join(stream, relation.oid, watch);
      }
    } catch (error) {
      if (watch.signal.aborted) return;
      log('WARN', `looking for new tables failed, and is done again in ${config.discover_interval} s: ${(error as Error).message}`);
    }
  }
}

async function join(stream: AirbyteStream, oid: number, { control, checkpoint, copier, replicator, publishing }: TableWatch): Promise<void> {
  const configured: ConfiguredStream = { stream, sync_mode: 'incremental', destination_sync_mode: 'append', primary_key: stream.source_defined_primary_key, cursor_field: [] };
  const table = new Table(configured, oid, undefined);
  await replicator.put(schema(stream, 0));
  await replicator.put(status(table.stream, 'STARTED'));
  const refusal = (await publishing.prepare(await control.connection(), [...checkpoint.tables.values(), table])).get(table);
  if (refusal) return replicator.put(failed(table.stream, refusal));
  checkpoint.tables.set(table.key, table);
  checkpoint.touch();
  copier.add([table]);
}

/** The publication lost the old one with its drop, and must get the new one. */
async function replaced(table: Table, relation: Relation, { control, checkpoint, copier, publishing, replicator }: TableWatch, log: ReadContext<Config>['log']): Promise<void> {
  log('WARN', `${label(table.stream)} was dropped and made again: it is copied anew`);
  table.startOver();
  table.oid = relation.oid;
  replicator.progress();
  await replicator.flush();
  const refusal = (await publishing.prepare(await control.connection(), [...checkpoint.tables.values()])).get(table);
  if (refusal) return replicator.put(failed(table.stream, refusal));
  copier.add([table]);
}
