import type { AirbyteStream } from '@tapline/protocol';
import { describe, expect, test } from 'vitest';
import { chooseStreams, isSelected, nearest, ruleOfModeFlag, rulesOfList, selectionOf, type StreamRule } from './index.js';

const stream = (namespace: string | undefined, name: string, extra: object = {}): AirbyteStream => ({
  name, ...(namespace === undefined ? {} : { namespace }), json_schema: { properties: {} }, ...extra,
});
const catalog = [
  stream('public', 'orders'), stream('public', 'customers'), stream('audit', 'log'), stream('odd', 'dot.ted'),
  stream('public', 'Orders'), stream('public', 'sta*r'),
  stream('public', 'events'), stream('public', 'events_2026', { tapline: { partition_of: 'public.events' } }),
];
const pick = (list: string, streams = catalog): string[] => chooseStreams(streams, rulesOfList(list)).map((chosen) => `${chosen.stream.namespace}/${chosen.stream.name}`);

describe('the list of streams', () => {
  test('without any rule takes every stream but partitions', () => {
    expect(chooseStreams(catalog, [])).toHaveLength(7);
  });
  test('takes names and wildcards, in the order of the catalog', () => {
    expect(pick('audit.*, public.orders')).toEqual(['public/orders', 'audit/log']);
    expect(pick('pub*.c*')).toEqual(['public/customers']);
  });
  test('takes a name alone from any namespace', () => expect(pick('log')).toEqual(['audit/log']));
  test('tells cases apart', () => expect(pick('public.Orders')).toEqual(['public/Orders']));
  test('an exclusion wins wherever it stands', () => {
    expect(pick('!public.orders,public.*')).not.toContain('public/orders');
    expect(pick('!public.*')).toEqual(['audit/log', 'odd/dot.ted']);
  });
  test('a quoted part is a name: neither its dots, commas nor its stars mean anything', () => {
    expect(pick('odd."dot.ted"')).toEqual(['odd/dot.ted']);
    expect(pick('public."sta*r"')).toEqual(['public/sta*r']);
    expect(pick('"a,b"."c""d"', [stream('a,b', 'c"d'), stream('x', 'y')])).toEqual(['a,b/c"d']);
    expect(() => pick('public."orders*"')).toThrow(/no stream matches/);
  });
  test('a dot, a bracket or a backslash in a pattern is itself', () => {
    expect(pick('a+(b.*', [stream('a+(b', 'x'), stream('aab', 'x')])).toEqual(['a+(b/x']);
  });
  test('a partition is taken only when it is named', () => {
    expect(pick('public.e*')).toEqual(['public/events']);
    expect(pick('public.events_2026')).toEqual(['public/events_2026']);
    expect(() => pick('public.events_*')).toThrow(/only partitions.*public\.events/);
  });
  test('a pattern that matches nothing is a config_error that names near streams', () => {
    expect(() => pick('public.ordesr')).toThrow(/no stream matches 'public\.ordesr'\. Did you mean public\.(o|O)rders/);
    expect(() => pick('pubic.orders,audit.*')).toThrow(expect.objectContaining({ kind: 'config_error', code: 'unknown_stream' }));
    expect(() => pick('!public.ordesr')).toThrow(/public\.ordesr/);
    expect(pick('public.customers,!tmp.*')).toEqual(['public/customers']);
  });
  test.each([['', 'empty'], ['a..b', 'empty part'], ['a.b.c', '3 parts'], ['a."b', 'not closed'], ['a.b"c"', 'around the whole part'], ['a.""', 'quote']])(
    'the list %j is a config_error', (list, message) => expect(() => rulesOfList(list)).toThrow(expect.objectContaining({ kind: 'config_error', message: expect.stringContaining(message) as string })),
  );
  test('everything excluded is a config_error', () => expect(() => pick('!*')).toThrow(/no stream is left/));
});

describe('rules', () => {
  const rule = (pattern: string, rest: Partial<StreamRule>): StreamRule => ({ ...rulesOfList(pattern)[0]!, ...rest });
  test('later ones win, and a new mode forgets the cursor of the old one', () => {
    const rules = [
      rule('public.*', { mode: { read: 'incremental' }, cursor: 'updated_at' }),
      rule('public.orders', { cursor: 'seen_at' }),
      rule('public.customers', { mode: { read: 'full_refresh' } }),
      rule('public.events', { enabled: false }),
    ];
    const chosen = new Map(chooseStreams(catalog, rules).map((one) => [one.stream.name, one]));
    expect(chosen.get('orders')).toMatchObject({ cursor: 'seen_at', mode: { read: 'incremental' } });
    expect(chosen.get('customers')).toMatchObject({ cursor: undefined, mode: { read: 'full_refresh' } });
    expect(chosen.has('events')).toBe(false);
    expect(chosen.has('log')).toBe(false);
  });
  test('--mode chooses no streams, and may quote', () => {
    const chosen = chooseStreams(catalog, [ruleOfModeFlag('odd."dot.ted"=incremental:"a=b"/append')]);
    expect(chosen).toHaveLength(7);
    expect(chosen.find((one) => one.stream.namespace === 'odd')?.mode).toEqual({ read: 'incremental', cursor: 'a=b', write: 'append' });
    expect(() => ruleOfModeFlag('public.orders')).toThrow(/STREAM=MODE/);
  });
});

test('nearest finds swaps, beginnings and other cases, and nothing far', () => {
  expect(nearest('ordesr', ['orders', 'customers'])).toEqual(['orders']);
  expect(nearest('post', ['postgres', 's3'])).toEqual(['postgres']);
  expect(nearest('HOST', ['host', 'port'])[0]).toBe('host');
  expect(nearest('zzz', ['host', 'port'])).toEqual([]);
});

describe('the selection as a source gets it', () => {
  const selection = (list: string): string[] => selectionOf([...rulesOfList(list), ruleOfModeFlag('public.orders=full_refresh')]);
  test('is the patterns as they were written, without what only says how', () => {
    expect(selection('!public.tmp_*, public.*,odd."dot.ted"')).toEqual(['public.*', 'odd."dot.ted"', '!public.tmp_*']);
    expect(selectionOf([])).toEqual([]);
  });
  test.each(['public.*', '!public.orders', 'log,odd."dot.ted"', '*,!audit.*', 'public.events_2026'])('%s takes a stream that appears as it takes those that are there', (list) => {
    const taken = catalog.filter((one) => isSelected(selection(list), one)).map(({ namespace, name }) => `${namespace}/${name}`);
    expect(taken).toEqual(pick(list));
  });
  test('that is empty takes all, but no partition', () => {
    expect(catalog.filter((one) => isSelected([], one))).toHaveLength(7);
  });
});
