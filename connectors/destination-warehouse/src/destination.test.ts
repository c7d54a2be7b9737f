import { readFile } from 'node:fs/promises';
import { specOf } from '@tapline/sdk';
import { describe, expect, test } from 'vitest';
import { config } from './config.js';
import { destination } from './destination.js';

test('spec.json, which ships beside the code, is what spec prints', async () => {
  await expect(`${JSON.stringify(specOf(destination), null, 2)}\n`).toMatchFileSnapshot('../spec.json');
});

test('the version is that of the package', async () => {
  const { version } = JSON.parse(await readFile(new URL('../package.json', import.meta.url), 'utf8')) as { version: string };
  expect(destination.version).toBe(version);
});

test('every secret is marked as one', () => {
  const properties = specOf(destination).connectionSpecification['properties'] as Record<string, { airbyte_secret?: boolean }>;
  expect(Object.keys(properties).filter((name) => properties[name]!.airbyte_secret)).toEqual(['password', 'sslkey']);
});

describe('the configuration', () => {
  test.each<[string, object, RegExp]>([
    ['names no engine', { path: 'w.db' }, /engine/],
    ['names an engine that there is not', { engine: 'snowflake' }, /engine/],
    ['is about a DuckDB file and names none', { engine: 'duckdb' }, /say which file: path/],
    ['mixes a DuckDB file with what belongs to PostgreSQL', { engine: 'duckdb', path: 'w.db', host: 'db' }, /belongs to PostgreSQL/],
    ['mixes PostgreSQL with a file', { engine: 'postgres', path: 'w.db' }, /belongs to DuckDB/],
    ['has an unknown field', { engine: 'duckdb', path: 'w.db', tabel_name: 'x' }, /tabel_name/],
    ['has a policy that there is not', { engine: 'duckdb', path: 'w.db', schema: 'public' }, /schema/],
  ])('that %s is refused', (_, value, message) => {
    expect(() => config.parse(value)).toThrow(message);
  });
});
