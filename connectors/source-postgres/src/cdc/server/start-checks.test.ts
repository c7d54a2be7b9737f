import { toConnectorError } from '@tapline/protocol';
import { describe, expect, test } from 'vitest';
import type { SharedState } from '../state.js';
import type { Slot } from './slot.js';
import { checkStart, endOfTimeline, type StartQuestion } from './start-checks.js';

const shared: SharedState = { v: 1, mode: 'cdc', system_id: '7', timeline: 2, slot: 's', publication: 's', lsn: '0/500' };
const slot: Slot = {
  name: 's', plugin: 'pgoutput', logical: true, database: 'shop', temporary: false, activePid: undefined, restartLsn: 0x100n, confirmedLsn: 0x400n, walStatus: 'reserved',
  invalid: undefined, safeBytes: undefined, retainedBytes: 0, failover: false,
};
const question: StartQuestion = { shared, slot, names: { slot: 's' }, system: { systemId: '7', timeline: 2, walPosition: 0x900n }, history: '', database: 'shop' };
const history = '1\t0/200\tno recovery target specified\n\n2\t0/500\tbefore 2000-01-01\n';

function outcome(change: Partial<StartQuestion>): string {
  try {
    return checkStart({ ...question, ...change }).lost ?? 'goes on';
  } catch (error) {
    return toConnectorError(error).code;
  }
}

describe('a stored position', () => {
  test.each<[string, Partial<StartQuestion>, string | RegExp]>([
    ['at or behind which nothing was confirmed goes on', {}, 'goes on'],
    ['that is the confirmed one goes on', { slot: { ...slot, confirmedLsn: 0x500n } }, 'goes on'],
    ['at the very end of the log goes on', { system: { ...question.system, walPosition: 0x500n } }, 'goes on'],
    ['behind the confirmed one means loss', { slot: { ...slot, confirmedLsn: 0x501n } }, /0\/501, beyond the stored position 0\/500/],
    ['without its slot means loss', { slot: undefined }, /does not exist any more/],
    ['whose slot has no log any more means loss', { slot: { ...slot, walStatus: 'lost', invalid: 'wal_removed' } }, /max_slot_wal_keep_size/],
    ['whose slot was invalidated otherwise means loss', { slot: { ...slot, invalid: 'idle_timeout' } }, /idle_timeout/],
    ['whose slot keeps nothing means loss', { slot: { ...slot, restartLsn: undefined } }, /no log is kept/],
    ['beyond the end of the log fails', { system: { ...question.system, walPosition: 0x4ffn } }, 'pg_position_ahead'],
    ['of another cluster fails', { system: { ...question.system, systemId: '8' } }, 'pg_other_server'],
    ['of another slot fails', { names: { slot: 'other' } }, 'pg_other_slot'],
    ['whose slot is of another plugin fails', { slot: { ...slot, plugin: 'test_decoding' } }, 'pg_foreign_slot'],
    ['whose slot is of another database fails', { slot: { ...slot, database: 'x' } }, 'pg_foreign_slot'],
    ['whose slot is physical fails', { slot: { ...slot, logical: false } }, 'pg_foreign_slot'],
    ['before the switch to a new timeline goes on', { system: { ...question.system, timeline: 3 }, history }, 'goes on'],
    ['past the switch to a new timeline means loss', { shared: { ...shared, lsn: '0/501' }, system: { ...question.system, timeline: 3 }, history }, /never had/],
    ['past a switch of two promotions ago means loss', { shared: { ...shared, timeline: 1 }, system: { ...question.system, timeline: 3 }, history }, /ends at 0\/200/],
    ['of a timeline that the server does not come from fails', { system: { ...question.system, timeline: 3 }, history: '1\t0/200\tx\n' }, 'pg_other_server'],
    ['on a server of an older timeline fails', { system: { ...question.system, timeline: 1 }, history }, 'pg_other_server'],
  ])('%s', (_what, change, expected) => {
    if (typeof expected === 'string') expect(outcome(change)).toBe(expected);
    else expect(outcome(change)).toMatch(expected);
  });
});

test('a history of timelines tells where each ended', () => {
  expect([1, 2, 3].map((timeline) => endOfTimeline(history, timeline))).toEqual([0x200n, 0x500n, undefined]);
});
