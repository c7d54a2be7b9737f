import type { SpecBody } from '@tapline/protocol';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { ConfigFile } from '../config/config-file.js';
import { parseConnectorUri } from './connector-uri.js';
import { environmentOf } from './environment.js';
import { executableAt, findByName } from './executables.js';
import { optionsOfQuery, unknownOption, withTypes } from './options.js';
import { resolveEnd } from './resolve-end.js';
import { cachedSpec } from './spec-cache.js';

const folder = mkdtempSync(join(tmpdir(), 'tapline-connectors-'));
afterAll(() => rmSync(folder, { recursive: true }));
const program = (name: string, mode: number): string => {
  const path = join(folder, name);
  writeFileSync(path, '#!/bin/sh\n');
  chmodSync(path, mode);
  return path;
};
const spec: SpecBody = {
  connectionSpecification: {
    properties: { port: { type: 'integer' }, schemas: { type: 'array' }, path_style: { type: 'boolean' }, sslmode: { type: 'string' }, partition: { type: 'object' }, path: {}, bucket: {}, prefix: {}, engine: {}, deletes: {}, database: {}, host: {}, user: {}, password: {} },
  },
};

describe('URIs', () => {
  test('postgres:// gives host, port, database, user and password, decoded', () => {
    expect(parseConnectorUri('source', 'postgres://app:p%40ss%2Fw@[::1]:6543/my%20db?schemas=a,b&sslmode=require')).toEqual({
      connector: 'postgres', config: { host: '::1', port: 6543, database: 'my db', user: 'app', password: 'p@ss/w' }, options: [['schemas', 'a,b'], ['sslmode', 'require']],
    });
    expect(parseConnectorUri('source', 'postgresql:///shop').config).toEqual({ database: 'shop' });
  });
  test('s3:// gives bucket and prefix, file:// a path', () => {
    expect(parseConnectorUri('destination', 's3://My.bucket/raw//a%20b/?region=eu-west-1')).toMatchObject({ connector: 's3', config: { bucket: 'My.bucket', prefix: 'raw/a b' }, options: [['region', 'eu-west-1']] });
    expect(parseConnectorUri('destination', 's3://lake').config).toEqual({ bucket: 'lake' });
    expect(parseConnectorUri('destination', 'file:///data/my%20lake').config).toEqual({ path: '/data/my lake' });
  });
  test('duckdb: gives the file of a warehouse, relative without slashes; postgres:// as a destination gives its server', () => {
    const duckdb = (path: string) => ({ connector: 'warehouse', config: { engine: 'duckdb', path } });
    expect(parseConnectorUri('destination', 'duckdb:///data/my%20ware.db?deletes=soft&bad_values=fail')).toEqual({ ...duckdb('/data/my ware.db'), options: [['deletes', 'soft'], ['bad_values', 'fail']] });
    expect(parseConnectorUri('destination', 'duckdb:/x.db')).toMatchObject(duckdb('/x.db'));
    expect(parseConnectorUri('destination', 'duckdb:../a b/x.db?history=scd2')).toEqual({ ...duckdb('../a b/x.db'), options: [['history', 'scd2']] });
    expect(parseConnectorUri('destination', 'postgresql://etl:p%40ss@dwh:6543/analytics?schema=freeze')).toEqual({
      connector: 'warehouse', config: { engine: 'postgres', host: 'dwh', port: 6543, database: 'analytics', user: 'etl', password: 'p@ss' }, options: [['schema', 'freeze']],
    });
  });
  test.each([
    ['source', 'postgres://app:p#ss@host/db', 'percent-encoded'],
    ['source', 'postgres://app:p/ss@host/db', 'percent-encoded'],
    ['source', 'postgres://host/a/b', 'one database'],
    ['source', 'postgress://host/db', "Did you mean 'postgres'"],
    ['source', 's3://bucket', 'is no source'],
    ['source', 'docker://airbyte/source-faker', 'not yet supported'],
    ['source', 'singer://tap-github', 'not yet supported'],
    ['source', 'duckdb:///x.db', 'is no source'],
    ['destination', 'duckdb://x.db', 'third slash'],
    ['destination', 'duckdb:', 'names a file'],
    ['destination', 'duckdb:///data/', 'names a file'],
    ['destination', 'duckdb::memory:', 'gone with its process'],
    ['destination', 'postgres://etl:p#ss@dwh/db', 'percent-encoded'],
    ['destination', 'duckbd:///x.db', "Did you mean 'duckdb'"],
    ['destination', 's3://key:secret@bucket/x', 'AWS variables'],
    ['destination', 'file://data/lake', 'three slashes'],
  ] as const)('%s %s is a config_error that repeats no secret', (role, uri, message) => {
    let thrown: Error | undefined;
    try {
      parseConnectorUri(role, uri);
    } catch (error) {
      thrown = error as Error;
    }
    expect(thrown).toMatchObject({ kind: 'config_error', message: expect.stringContaining(message) as string });
    expect(thrown?.message).not.toMatch(/p#ss|p\/ss|key:|secret@/);
  });
});

describe('options', () => {
  test('take the types of the spec, and underscores or not', () => {
    expect(optionsOfQuery([['port', '1'], ['schemas', 'a, b'], ['schemas', 'c'], ['pathstyle', 'true'], ['ssl_mode', 'require']], 'x', spec)).toEqual({ port: 1, schemas: ['a', 'b', 'c'], path_style: true, sslmode: 'require' });
    expect(withTypes({ port: '5432', sslmode: '1', other: '1' }, 'x', spec)).toEqual({ port: 5432, sslmode: '1', other: '1' });
  });
  test.each([[['prot', '1'], "Did you mean 'port'"], [['port', 'x'], 'is a number'], [['path_style', 'maybe'], 'true or false'], [['partition', 'x'], 'tapline.yaml']] as const)('%j is a config_error', (option, message) => {
    expect(() => optionsOfQuery([option], 'x', spec)).toThrow(message);
  });
  test('an unknown key is told with what was meant', () => expect(unknownOption({ host: 'h', pasword: 'x' }, spec)).toEqual({ name: 'pasword', hint: expect.stringContaining("'password'") as string }));
});

describe('executables', () => {
  const path = { PATH: folder };
  test('ours are found by name, and run by this Node with their name on the command line', () => {
    const found = findByName('source', 'pg', path);
    expect(found).toMatchObject({ ours: 'source-postgres', command: process.execPath });
    expect(found.args[0]).toMatch(/source-postgres\.js$/);
  });
  test('others are found on PATH as source-<name>', () => {
    const own = program('source-shop', 0o755);
    expect(findByName('source', 'shop', path)).toMatchObject({ ours: undefined, command: own });
    expect(() => findByName('destination', 'shop', path)).toThrow(/no destination 'shop'.*There are duckdb, postgres, s3, warehouse.*write \.\/shop/);
    expect(() => findByName('source', 'postgrse', path)).toThrow(/Did you mean 'postgres'/);
  });
  test('a regular file without the run bit, a folder, and nothing are config_errors', () => {
    expect(() => executableAt('source', program('plain', 0o644))).toThrow(/chmod \+x/);
    expect(() => executableAt('source', folder)).toThrow(/is no file/);
    expect(() => executableAt('source', join(folder, 'nothing'))).toThrow(/does not exist/);
  });
});

describe('an end', () => {
  const resolve = (role: 'source' | 'destination', text: string, yaml?: string) =>
    resolveEnd({ role, text, configPath: undefined, file: () => (yaml === undefined ? undefined : new ConfigFile(yaml, join(folder, 'conf', 'tapline.yaml'), {})), environment: { PATH: folder }, directory: folder, askSpec: () => Promise.resolve(spec) });
  test('a path is an executable if it is a regular file with the run bit, and for a destination else a folder', async () => {
    const own = program('dest-own', 0o755);
    program('dest-plain', 0o600);
    mkdirSync(join(folder, 'there'), { recursive: true });
    expect((await resolve('destination', './dest-own')).ref).toMatchObject({ command: own, ours: false, label: './dest-own' });
    expect((await resolve('destination', 'exec:dest-own')).ref.command).toBe(own);
    await expect(resolve('destination', './dest-plain')).rejects.toThrow(/chmod \+x/);
    for (const name of ['there', 'not-yet/there']) {
      expect(await resolve('destination', `./${name}`)).toMatchObject({ ref: { ours: true, config: { path: join(folder, name) } }, identity: { connector: 's3', place: [join(folder, name)] } });
    }
    await expect(resolve('source', './there')).rejects.toThrow(/no file/);
    await expect(resolve('source', 'exec:./nothing')).rejects.toThrow(/does not exist/);
    program('ware.db', 0o600);
    await expect(resolve('destination', './ware.db')).rejects.toThrow(/--dest duckdb:.*ware\.db/);
  });
  test('an engine of the warehouse goes by its own name, and its place is a file or a database', async () => {
    const file = { ref: { label: 'warehouse', ours: true, config: { engine: 'duckdb', path: join(folder, 'ware.db') } }, identity: { connector: 'warehouse', place: [join(folder, 'ware.db')] } };
    expect(await resolve('destination', 'duckdb:ware.db')).toMatchObject(file);
    expect(await resolve('destination', `duckdb://${join(folder, 'ware.db')}`)).toMatchObject(file);
    const server = { ref: { config: { engine: 'postgres', host: 'DWH', user: 'etl' } }, identity: { connector: 'warehouse', place: ['dwh', '5432', 'analytics'] } };
    expect(await resolve('destination', 'postgres://etl@DWH/analytics')).toMatchObject(server);
    const yaml = `connections:
  file: { connector: duckdb, path: ware.db, deletes: soft }
  near: duckdb:ware.db
  dwh: { connector: postgres, host: DWH, database: analytics, user: etl }
  long: { connector: warehouse, engine: postgres, host: DWH, database: analytics, user: etl }
  wrong: { connector: duckdb, engine: postgres, path: x }
`;
    const beside = join(folder, 'conf', 'ware.db');
    expect(await resolve('destination', 'file', yaml)).toMatchObject({ ref: { config: { engine: 'duckdb', path: beside, deletes: 'soft' } }, identity: { connector: 'warehouse', place: [beside] } });
    expect((await resolve('destination', 'near', yaml)).identity).toEqual({ connector: 'warehouse', place: [beside] });
    expect(await resolve('destination', 'dwh', yaml)).toMatchObject(server);
    expect(await resolve('destination', 'long', yaml)).toMatchObject(server);
    await expect(resolve('destination', 'wrong', yaml)).rejects.toThrow(/line 6: .*engine: duckdb/);
  });
});

test('connectors see an allow-list of the environment', () => {
  const all = { PGPASSWORD: '1', AWS_PROFILE: '2', HOME: '/h', PATH: '/p', SECRET: 's', TZ: 'UTC', https_proxy: 'x', X: 'x' };
  expect(environmentOf('source-postgres', [], all)).toEqual({ PGPASSWORD: '1', HOME: '/h' });
  expect(environmentOf('destination-s3', [], all)).toEqual({ AWS_PROFILE: '2', HOME: '/h' });
  expect(environmentOf('destination-warehouse', [], all)).toEqual({ PGPASSWORD: '1', HOME: '/h' });
  expect(environmentOf(undefined, ['X'], all)).toEqual({ HOME: '/h', PATH: '/p', TZ: 'UTC', https_proxy: 'x', X: 'x' });
});

test('a spec is asked for again only when the file has changed, and without a place for caches every time', async () => {
  const path = program('asked', 0o755);
  let asked = 0;
  const ask = (): Promise<SpecBody> => Promise.resolve({ connectionSpecification: { asked: ++asked } });
  const cache = join(folder, 'cache');
  await cachedSpec(path, cache, ask);
  expect(await cachedSpec(path, cache, ask)).toEqual({ connectionSpecification: { asked: 1 } });
  utimesSync(path, 1, 1);
  expect(await cachedSpec(path, cache, ask)).toEqual({ connectionSpecification: { asked: 2 } });
  await cachedSpec(path, undefined, ask);
  expect(asked).toBe(3);
});
