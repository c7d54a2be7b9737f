import type { ConfiguredStream } from '@tapline/protocol';
import type { SourceItem } from '@tapline/sdk';
import { describe, expect, it } from 'vitest';
import { Changes } from './changes.js';
import { Checkpoint } from './checkpoint.js';
import { Table } from './table.js';

const configured = { stream: { name: 't', namespace: 'public', json_schema: { type: 'object', properties: {} } }, sync_mode: 'incremental', destination_sync_mode: 'append', generation_id: 1 } as unknown as ConfiguredStream;
const relation = { oid: 5, schema: 'public', name: 't', identity: 'f', columns: [{ name: 'n', key: true, typeOid: 23, modifier: -1 }] } as const;

function changesOf(put: (item: SourceItem) => Promise<void>): Changes {
  const checkpoint = new Checkpoint({ system_id: '1', timeline: 1, slot: 's', publication: 'p' }, 1n);
  const table = new Table(configured, 5, { v: 1, mode: 'cdc', phase: 'streaming', generation: 1, oid: 5 });
  checkpoint.tables.set(table.key, table);
  return new Changes({
    checkpoint, blockBytes: 65_536, withOrder: true, partial: false, toast: 'reselect',
    typesOf: () => Promise.resolve(new Map()), put, onReplaced: () => {}, log: () => {},
  });
}

describe('a connection that is lost', () => {
  it('while a TRUNCATE is told does not lose it: it comes again, once', async () => {
    const put: SourceItem[] = [];
    let lost = true;
    const changes = changesOf((item) => {
      if (item.kind === 'generation' && lost) return Promise.reject(new Error('lost'));
      put.push(item);
      return Promise.resolve();
    });
    const replay = async (): Promise<(() => Promise<void>) | undefined> => {
      changes.begin(100n, 0n, 7);
      changes.relation(relation);
      await changes.takeTask()!();
      changes.truncate([5]);
      return changes.takeTask();
    };
    await expect((await replay())!()).rejects.toThrow('lost');
    changes.interrupted();
    lost = false;
    await (await replay())!();
    expect(put.filter(({ kind }) => kind === 'generation')).toMatchObject([{ phase: 'begin' }, { phase: 'complete' }]);
    changes.interrupted();
    expect(await replay()).toBeUndefined();
  });

  it('in the middle of a transaction goes on with no other one', () => {
    const changes = changesOf(() => Promise.resolve());
    changes.begin(100n, 0n, 7);
    changes.interrupted();
    expect(() => changes.begin(200n, 0n, 8)).toThrow(/another transaction/);
  });
});
