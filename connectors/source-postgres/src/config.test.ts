import { specOf } from '@tapline/sdk';
import { describe, expect, test } from 'vitest';
import { config } from './config.js';
import { source } from './index.js';
import { cursorStateOf, snapshotStateOf } from './state.js';

describe('configuration', () => {
  test('an unknown field is an error', () => expect(config.safeParse({ hots: 'x' }).success).toBe(false));
  test('spec.json is what spec says', async () => {
    await expect(`${JSON.stringify(specOf(source), null, 2)}\n`).toMatchFileSnapshot('../spec.json');
  });
  test('secrets are marked', () => {
    const { properties } = specOf(source).connectionSpecification as { properties: Record<string, { airbyte_secret?: boolean }> };
    expect(Object.keys(properties).filter((name) => properties[name]?.airbyte_secret)).toEqual(['password', 'sslkey']);
  });
});

describe('states', () => {
  const stream = { name: 'orders', namespace: 'public' };
  const code = (act: () => unknown): string => { try { act(); return ''; } catch (error) { return (error as { code: string }).code; } };
  test.each([[undefined], [null], [{}]])('%o means from the start', (raw) => {
    expect(snapshotStateOf(raw, stream, ['id'])).toBeUndefined();
    expect(cursorStateOf(raw, stream, 'at')).toBeUndefined();
  });
  test('an incremental read of an empty table begins again', () => expect(cursorStateOf({ v: 1, mode: 'cursor', cursor: 'at', value: null, empty: true }, stream, 'at')).toBeUndefined());
  test('a state that stopped by another key is refused, a complete one is not', () => {
    const state = { v: 1, mode: 'snapshot', complete: false, key: ['id'], after: ['7'] };
    expect(snapshotStateOf(state, stream, ['id'])).toEqual(state);
    expect(code(() => snapshotStateOf(state, stream, ['id', 'day']))).toBe('pg_state');
    expect(snapshotStateOf({ v: 1, mode: 'snapshot', complete: true }, stream, ['new'])).toMatchObject({ complete: true });
  });
  test('one of ranges, too; and one of a later version is refused as that', () => {
    const state = { v: 2, mode: 'snapshot', complete: false, key: ['id'], ranges: [{ after: ['3'], until: ['7'] }, { after: ['7'] }] };
    expect(snapshotStateOf(state, stream, ['id'])).toEqual(state);
    expect(code(() => snapshotStateOf(state, stream, ['id', 'day']))).toBe('pg_state');
    expect(code(() => snapshotStateOf(state, stream, []))).toBe('pg_state');
    expect(code(() => cursorStateOf(state, stream, 'at'))).toBe('pg_state');
    expect(() => snapshotStateOf({ ...state, v: 3 }, stream, ['id'])).toThrow('has version 3, which is newer than this program');
    expect(() => cursorStateOf({ v: 2, mode: 'cursor', cursor: 'at', value: '1' }, stream, 'at')).toThrow('has version 2, which is newer than this program');
    expect(() => snapshotStateOf({ ...state, ranges: [{ before: ['3'] }] }, stream, ['id'])).toThrow('is not one that this source writes');
  });
  test.each([[[]], ['x'], [7], [{ v: 9, mode: 'snapshot' }], [{ v: 1, mode: 'snapshot', complete: true, more: 1 }], [{ v: 1, mode: 'cursor', cursor: 'at', value: '1' }]])('%o is refused', (raw) => {
    // An empty list is an empty object to JavaScript: platforms send it for "from the start".
    expect(code(() => snapshotStateOf(raw, stream, ['id']))).toBe(Array.isArray(raw) ? '' : 'pg_state');
  });
});
