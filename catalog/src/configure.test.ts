import type { AirbyteStream } from '@tapline/protocol';
import { describe, expect, test } from 'vitest';
import { configureAppeared, configureCatalog, isCdc, parseMode, reconfigure, rulesOfList, ruleOfModeFlag, type ConfigureOptions, type StreamRule } from './index.js';

const orders: AirbyteStream = {
  name: 'orders', namespace: 'public', supported_sync_modes: ['full_refresh', 'incremental'], source_defined_primary_key: [['id']],
  json_schema: { type: 'object', required: ['id', 'body'], properties: { id: {}, body: {}, updated_at: {} } },
};
const lake: ConfigureOptions = { rules: [], defaultRead: 'full_refresh', destinationModes: ['append', 'overwrite'], destinationLabel: 's3' };
const configure = (stream: AirbyteStream, options: Partial<ConfigureOptions> = {}) => configureCatalog({ streams: [stream] }, { ...lake, ...options }).streams[0]!;
const withMode = (mode: string, options: Partial<ConfigureOptions> = {}, stream = orders) => configure(stream, { rules: [ruleOfModeFlag(`*=${mode}`)], ...options });

describe('MODE', () => {
  test.each([
    ['full_refresh', { read: 'full_refresh' }],
    ['full_refresh/append', { read: 'full_refresh', write: 'append' }],
    ['incremental:updated_at', { read: 'incremental', cursor: 'updated_at' }],
    ['incremental:updated_at/append_dedup', { read: 'incremental', cursor: 'updated_at', write: 'append_dedup' }],
    ['incremental:"odd/""c"/append', { read: 'incremental', cursor: 'odd/"c', write: 'append' }],
    ['cdc/merge', { read: 'cdc', write: 'append_dedup' }],
  ])('%s is read', (text, wish) => expect(parseMode(text)).toEqual(wish));
  test.each([['ful_refresh', "'full_refresh'"], ['full_refresh:id', 'cursor'], ['cdc/overwrite', 'append or merge'], ['incremental:', 'Name a column'], ['full_refresh/', 'There are'], ['', 'There are']])(
    '%j is a config_error that shows the grammar', (text, hint) => expect(() => parseMode(text)).toThrow(expect.objectContaining({ kind: 'config_error', message: expect.stringContaining(hint) as string })),
  );
});

describe('modes of a stream', () => {
  test('full_refresh/overwrite is the default', () => {
    expect(configure(orders)).toMatchObject({ sync_mode: 'full_refresh', destination_sync_mode: 'overwrite', cursor_field: [], primary_key: [['id']] });
  });
  test('incremental appends into a lake, and dedups where the destination can and a key is known', () => {
    expect(withMode('incremental:updated_at')).toMatchObject({ sync_mode: 'incremental', destination_sync_mode: 'append', cursor_field: ['updated_at'] });
    const warehouse = { destinationModes: ['append', 'overwrite', 'append_dedup'] };
    expect(withMode('incremental:updated_at', warehouse).destination_sync_mode).toBe('append_dedup');
    expect(withMode('full_refresh', warehouse).destination_sync_mode).toBe('overwrite');
    const replicated = { ...orders, source_defined_cursor: true };
    const cdc = { ...warehouse, defaultRead: 'cdc' as const };
    expect(configure(replicated, cdc)).toMatchObject({ sync_mode: 'incremental', destination_sync_mode: 'append_dedup', cursor_field: [], primary_key: [['id']] });
    expect(configure({ ...replicated, source_defined_primary_key: [] }, cdc)).toMatchObject({ sync_mode: 'incremental', destination_sync_mode: 'append' });
    expect(withMode('incremental:updated_at', warehouse, { ...orders, source_defined_primary_key: [] }).destination_sync_mode).toBe('append');
  });
  test('a key or a cursor within a nested field is none that rows are merged by, unless somebody says so', () => {
    const warehouse = { destinationModes: ['append', 'overwrite', 'append_dedup'] };
    const [key, cursor] = [{ ...orders, source_defined_primary_key: [['body', 'id']] }, { ...orders, default_cursor_field: ['body', 'at'] }];
    expect([withMode('incremental:updated_at', warehouse, key), withMode('incremental', warehouse, cursor)].map(({ destination_sync_mode }) => destination_sync_mode)).toEqual(['append', 'append']);
    expect(withMode('incremental/append_dedup', warehouse, cursor).destination_sync_mode).toBe('append_dedup');
  });
  test('a key is what the user says where the source does not, and cannot be another than that of a log', () => {
    const bare = { ...orders, source_defined_primary_key: [] };
    const rules = (mode: string, key: readonly string[]): StreamRule[] => [{ ...rulesOfList('*')[0]!, key }, ruleOfModeFlag(`*=${mode}`)];
    const warehouse = { destinationModes: ['append', 'overwrite', 'append_dedup'] };
    expect(configure(bare, { ...warehouse, rules: rules('incremental:updated_at', ['id', 'body']) })).toMatchObject({ destination_sync_mode: 'append_dedup', primary_key: [['id'], ['body']] });
    expect(() => configure(bare, { ...warehouse, rules: rules('incremental:updated_at', ['ids']) })).toThrow(/no column 'ids'. Did you mean 'id'/);
    expect(() => configure({ ...bare, source_defined_cursor: true }, { ...warehouse, rules: rules('cdc', ['id']) })).toThrow(/replica identity/);
  });
  test('a stream that can only be read incrementally is, by its own cursor', () => {
    expect(configure({ ...orders, supported_sync_modes: ['incremental'], default_cursor_field: ['updated_at'] })).toMatchObject({ sync_mode: 'incremental', cursor_field: ['updated_at'] });
  });
  test('where the source replicates, cdc is the default', () => {
    expect(configure({ ...orders, source_defined_cursor: true }, { defaultRead: 'cdc' })).toMatchObject({ sync_mode: 'incremental', destination_sync_mode: 'append', cursor_field: [] });
  });
  test.each([
    ['a cursor that is not there', () => withMode('incremental:udated_at'), "no column 'udated_at'. Did you mean 'updated_at'"],
    ['no cursor at all', () => withMode('incremental'), 'needs a cursor'],
    ['a mode that the stream cannot', () => withMode('incremental:id', {}, { ...orders, supported_sync_modes: ['full_refresh'] }), 'offers full_refresh'],
    ['a mode that the destination cannot', () => withMode('incremental:id/append_dedup'), 's3 cannot append_dedup; it offers append, overwrite'],
    ['dedup without a key', () => withMode('incremental:id/append_dedup', { destinationModes: [] }, { ...orders, source_defined_primary_key: [] }), 'no primary key'],
    ['cdc from a source that does not replicate', () => withMode('cdc'), 'replication=cdc'],
  ])('%s is a config_error', (_, run, message) => {
    expect(run).toThrow(expect.objectContaining({ kind: 'config_error', message: expect.stringContaining(message) as string }));
    expect(run).toThrow(/public\.orders/);
  });
  test('a destination that does not say what it can is not restricted', () => {
    expect(configure(orders, { destinationModes: undefined }).destination_sync_mode).toBe('overwrite');
  });
});

describe('columns', () => {
  const columns = (selection: StreamRule['columns'], mode?: string): StreamRule[] => [
    { ...rulesOfList('*')[0]!, columns: selection }, ...(mode ? [ruleOfModeFlag(`*=${mode}`)] : []),
  ];
  const names = (rules: StreamRule[]) => Object.keys(configure(orders, { rules }).stream.json_schema['properties'] as object);
  test('only those named travel, in the order of the stream', () => {
    expect(names(columns({ only: ['updated_at', 'id'] }))).toEqual(['id', 'updated_at']);
    expect(configure(orders, { rules: columns({ exclude: ['body'] }) }).stream['tapline']).toMatchObject({ left_out: ['body'] });
    expect(configure(orders, { rules: columns({ exclude: ['body'] }) }).stream.json_schema['required']).toEqual(['id']);
  });
  test('keys and the cursor cannot be left out', () => {
    expect(() => names(columns({ exclude: ['id'] }))).toThrow(/'id' cannot be left out/);
    expect(() => names(columns({ only: ['id'] }, 'incremental:updated_at'))).toThrow(/'updated_at' cannot be left out/);
  });
  test('an unknown column is a config_error with the nearest name', () => {
    expect(() => names(columns({ only: ['id', 'boddy'] }))).toThrow(/no column 'boddy'\. Did you mean 'body'/);
  });
});

describe('a stream that its source replicates', () => {
  const changes = { _ab_cdc_lsn: {}, _ab_cdc_updated_at: {}, _ab_cdc_deleted_at: {} };
  const replicated: AirbyteStream = {
    ...orders, source_defined_cursor: true, default_cursor_field: ['_ab_cdc_lsn'], tapline: { order: true },
    json_schema: { type: 'object', properties: { id: {}, body: {}, updated_at: {}, ...changes } },
  };
  const names = (stream: AirbyteStream) => Object.keys(stream.json_schema['properties'] as object);
  const options = { session: true, defaultRead: 'cdc' as const };
  const only = (columns: StreamRule['columns']): StreamRule[] => [{ ...rulesOfList('*')[0]!, columns }];

  test('has the order of its changes as a column with cdc, in a session', () => {
    const configured = configure(replicated, options);
    expect([isCdc(configured), names(configured.stream).at(-1)]).toEqual([true, '_tapline_order']);
    expect(configured.stream.json_schema['properties']).toMatchObject({ _tapline_order: { type: ['null', 'string'], tapline_type: 'text' } });
    expect(names(configure(replicated, { ...options, session: false }).stream)).toEqual(['id', 'body', 'updated_at', ...Object.keys(changes)]);
  });
  test.each([['full_refresh', []], ['incremental:updated_at', ['updated_at']]])('has no columns of changes with %s', (mode, cursor) => {
    const configured = withMode(mode, options, replicated);
    expect([isCdc(configured), configured.cursor_field, names(configured.stream)]).toEqual([false, cursor, ['id', 'body', 'updated_at']]);
  });
  test('incremental without a cursor means its log', () => {
    expect(isCdc(withMode('incremental', { session: true }, replicated))).toBe(true);
  });
  test('keeps the columns of changes whatever columns are chosen', () => {
    const kept = [...Object.keys(changes), '_tapline_order'];
    expect(names(configure(replicated, { ...options, rules: only({ only: ['id'] }) }).stream)).toEqual(['id', ...kept]);
    expect(names(configure(replicated, { ...options, rules: only({ exclude: ['body'] }) }).stream)).toEqual(['id', 'updated_at', ...kept]);
  });
  test('of another source that has columns of such names stays as it is', () => {
    const { tapline: _, ...foreign } = replicated;
    expect(names(configure(foreign, { session: true }).stream)).toEqual(names(replicated));
  });

  test('takes new columns while it runs, and what was left out stays out', () => {
    const before = { ...configure(replicated, { ...options, rules: only({ exclude: ['body'] }) }), generation_id: 3 };
    const now = { ...replicated, source_defined_primary_key: [['id'], ['at']], json_schema: { properties: { id: {}, body: {}, note: {}, ...changes } } };
    const after = reconfigure(before, now);
    expect(names(after.stream)).toEqual(['id', 'note', ...Object.keys(changes), '_tapline_order']);
    expect(after).toMatchObject({ generation_id: 3, sync_mode: 'incremental', primary_key: [['id'], ['at']], stream: { tapline: { left_out: ['body'], order: true } } });
  });
  test('that appears while its source runs is configured if the rules take it', () => {
    const rules = [...rulesOfList('public.*,!public.tmp_*'), ruleOfModeFlag('public.plain=full_refresh')];
    const all: ConfigureOptions = { ...lake, ...options, rules };
    expect(configureAppeared({ ...replicated, name: 'invoices' }, all)).toMatchObject({ sync_mode: 'incremental', destination_sync_mode: 'append' });
    expect(configureAppeared({ ...replicated, name: 'plain' }, all)).toMatchObject({ sync_mode: 'full_refresh' });
    expect(configureAppeared({ ...replicated, name: 'tmp_1' }, all)).toBeUndefined();
    expect(configureAppeared({ ...replicated, namespace: 'audit' }, all)).toBeUndefined();
  });
});
