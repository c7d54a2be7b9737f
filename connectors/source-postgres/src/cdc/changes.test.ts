import type { ConfiguredStream } from '@tapline/protocol';
import type { SourceItem } from '@tapline/sdk';
import { describe, expect, it } from 'vitest';
import type { Batches } from '../batch/batches.js';
import { Changes } from './changes.js';
import { ChosenForm } from './log-form.js';
import { Checkpoint } from './checkpoint.js';
import { Table } from './table.js';

const configured = { stream: { name: 't', namespace: 'public', json_schema: { type: 'object', properties: {} } }, sync_mode: 'incremental', destination_sync_mode: 'append', generation_id: 1 } as unknown as ConfiguredStream;
const relation = { oid: 5, schema: 'public', name: 't', identity: 'f', columns: [{ name: 'n', key: true, typeOid: 23, modifier: -1 }] } as const;

/** `few`: beyond so many changes there are batches. */
function changesOf(put: (item: SourceItem) => Promise<void>, few?: number): Changes {
  const checkpoint = new Checkpoint({ system_id: '1', timeline: 1, slot: 's', publication: 'p' }, 1n);
  const table = new Table(configured, 5, { v: 1, mode: 'cdc', phase: 'streaming', generation: 1, oid: 5 });
  checkpoint.tables.set(table.key, table);
  return new Changes({
    checkpoint, blockBytes: 65_536, withOrder: true, partial: false, toast: 'reselect', chosen: new ChosenForm(false), fewChanges: few ?? 0,
    batches: few === undefined ? undefined : ({ hold: () => true, batchBytes: 1 << 20 } as unknown as Batches),
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

  it('before a row is out that has to be a line behind its batch does not lose it: it comes again, once', async () => {
    const changes = changesOf(() => Promise.resolve(), 0);
    const int = (n: number): Buffer => { const bytes = Buffer.alloc(4); bytes.writeInt32BE(n); return bytes; };
    const row = (text: string): Buffer => Buffer.concat([Buffer.from([0, 1, 0x74]), int(text.length), Buffer.from(text)]);
    const large = row('1'.repeat(1 << 20));
    const replay = async (): Promise<(() => Promise<void>) | undefined> => {
      changes.begin(100n, 0n, 7);
      changes.relation(relation);
      await changes.takeTask()!();
      changes.insert(5, row('1'), 0);
      changes.settle();
      changes.insert(5, large, 0);
      changes.settle();
      return changes.takeTask();
    };
    expect(await replay()).toBeDefined();
    // What comes before it is taken, and the connection is lost before the task is done.
    expect(changes.takeOut(false).batches.map(({ rows }) => rows)).toEqual([1]);
    changes.interrupted();
    await (await replay())!();
    const { lines, batches } = changes.takeOut(false);
    expect([batches.length, lines?.toString().match(/"type":"RECORD"/g)?.length]).toEqual([0, 1]);
    changes.interrupted();
    expect(await replay()).toBeUndefined();
    expect(changes.takeOut(false)).toMatchObject({ lines: undefined, batches: [] });
  });
});
