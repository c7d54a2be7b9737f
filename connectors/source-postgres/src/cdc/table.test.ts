import type { ConfiguredStream } from '@tapline/protocol';
import { describe, expect, it } from 'vitest';
import { Table } from './table.js';
import { Snapshot } from './visibility.js';

const configured = { stream: { name: 't', namespace: 'public', json_schema: { type: 'object', properties: {} } }, sync_mode: 'incremental', destination_sync_mode: 'append', generation_id: 1 } as unknown as ConfiguredStream;
const point = (text: string, until: bigint) => ({ snapshot: Snapshot.parse(text), until });

describe('a table that is copied while its changes stream', () => {
  it('lets a change follow only if the copy did not see its transaction', () => {
    const table = new Table(configured, 5, undefined);
    expect(table.follows(99, 10n)).toBe(false);
    expect(table.copyFrom(point('101:105:101', 500n))).toBe(true);
    expect([99, 101, 104, 105].map((xid) => table.follows(xid, 100n))).toEqual([false, true, false, true]);
  });

  it('refuses a copy that does not see a transaction whose changes were passed over', () => {
    const table = new Table(configured, 5, undefined);
    table.follows(101, 10n);
    expect(table.copyFrom(point('101:105:101', 500n))).toBe(false);
    expect(table.phase).toBe('pending');
    expect(table.copyFrom(point('102:105:', 500n))).toBe(true);
  });

  it('asks no more once the log has passed the copy, and not before the copy is whole', () => {
    const table = new Table(configured, 5, undefined);
    table.copyFrom(point('101:105:', 500n));
    expect(table.follows(104, 600n)).toBe(false);
    table.phase = 'streaming';
    expect(table.follows(104, 499n)).toBe(false);
    expect(table.follows(104, 500n)).toBe(true);
    expect(table.copied).toBeUndefined();
  });

  it('goes on from its state with the same filter, and starts over for another table of its name', () => {
    const table = new Table(configured, 5, undefined);
    table.copyFrom(point('101:105:101', 500n));
    table.generation = 2;
    table.phase = 'streaming';
    const again = new Table(configured, 5, table.state);
    expect([again.phase, again.generation, again.follows(101, 10n), again.follows(100, 10n)]).toEqual(['streaming', 2, true, false]);
    const other = new Table(configured, 6, table.state);
    expect([other.phase, other.generation]).toEqual(['pending', 2]);
  });

  it('begins its copy anew after a crash in the middle of it, above the generation that was begun', () => {
    const table = new Table(configured, 5, undefined);
    table.copyFrom(point('101:105:', 500n));
    table.generation = 4;
    const again = new Table(configured, 5, table.state);
    expect([again.phase, again.generation, again.copied]).toEqual(['pending', 4, undefined]);
  });
});
