import { spawnSync } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { specOf } from '@tapline/sdk';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { config } from './config.js';
import { destination } from './destination.js';

const bin = fileURLToPath(new URL('../bin/destination-s3.js', import.meta.url));
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tapline-destination-'));
});
afterAll(() => rm(folder, { recursive: true }));

test('spec.json, which ships beside the code, is what spec prints', async () => {
  const shipped = JSON.parse(await readFile(new URL('../spec.json', import.meta.url), 'utf8')) as unknown;
  expect(shipped).toEqual(JSON.parse(JSON.stringify(specOf(destination))));
});

test('the version is that of the package', async () => {
  const { version } = JSON.parse(await readFile(new URL('../package.json', import.meta.url), 'utf8')) as { version: string };
  expect(destination.version).toBe(version);
});

test('every secret is marked as one', () => {
  const properties = specOf(destination).connectionSpecification['properties'] as Record<string, { airbyte_secret?: boolean }>;
  expect(Object.keys(properties).filter((name) => properties[name]!.airbyte_secret)).toEqual(['secret_access_key', 'session_token']);
});

describe('the configuration', () => {
  test.each<[string, object, RegExp]>([
    ['says neither bucket nor path', {}, /bucket \(S3\), or path/],
    ['says both', { bucket: 'b', path: 'p' }, /not both/],
    ['mixes a folder with what belongs to a bucket', { path: 'p', region: 'eu-west-1' }, /belongs to a bucket/],
    ['has half a key', { bucket: 'b', access_key_id: 'k' }, /needs secret_access_key/],
    ['has an unknown field', { bucket: 'b', buckt: 'b' }, /buckt/],
    ['has an endpoint that is no URL', { bucket: 'b', endpoint: 'localhost:9000' }, /./],
    ['wants files over 512 MB', { bucket: 'b', file_mb: 513 }, /./],
  ])('that %s is refused', (_, value, message) => {
    expect(() => config.parse(value)).toThrow(message);
  });
});

test('append_dedup is refused with the way to the latest row of each key', async () => {
  const configFile = join(folder, 'config.json');
  const catalogFile = join(folder, 'catalog.json');
  await writeFile(configFile, JSON.stringify({ path: join(folder, 'lake') }));
  await writeFile(catalogFile, JSON.stringify({
    streams: [{ stream: { name: 'orders', json_schema: { properties: {} }, supported_sync_modes: ['incremental'] }, sync_mode: 'incremental', destination_sync_mode: 'append_dedup' }],
  }));
  const { status, stdout } = spawnSync(process.execPath, [bin, 'write', '--config', configFile, '--catalog', catalogFile], { input: '', encoding: 'utf8' });
  expect(status).toBe(78);
  expect(stdout).toContain('The latest row of each key');
  expect(await readFile(new URL('../README.md', import.meta.url), 'utf8')).toContain('The latest row of each key');
});

test('a few rows for each of many tables take one commit, and no more open files than one table does', async () => {
  const file = async (name: string, value: object): Promise<string> => {
    const path = join(folder, name);
    await writeFile(path, JSON.stringify(value));
    return path;
  };
  const names = Array.from({ length: 300 }, (_, n) => `t${n}`);
  const catalog = await file('many-catalog.json', {
    streams: names.map((name) => ({ stream: { name, json_schema: { properties: { id: { type: 'integer', tapline_type: 'int64' } } } }, sync_mode: 'incremental', destination_sync_mode: 'append' })),
  });
  const lines = [...names, ...names].map((name, id) => `{"type":"RECORD","record":{"stream":"${name}","emitted_at":1700000000000,"data":{"id":${id}}}}\n`);
  const state = '{"type":"STATE","state":{"id":1,"type":"GLOBAL","global":{"shared_state":{},"stream_states":[]}}}\n';
  const write = [process.execPath, bin, 'write', '--config', await file('many-config.json', { path: join(folder, 'many') }), '--catalog', catalog];
  const { status, stdout } = spawnSync('sh', ['-c', 'ulimit -n 100; exec "$@"', 'sh', ...write], { input: lines.join('') + state, encoding: 'utf8' });
  expect([status, stdout.split('\n').filter((line) => line.includes('"STATE"')).length]).toEqual([0, 1]);
  const published = (await readdir(join(folder, 'many'), { recursive: true })).filter((name) => name.endsWith('.parquet'));
  expect(published).toHaveLength(300);
  expect(new Set(published.map((name) => name.split('-').at(-2)))).toEqual(new Set(['000000000001']));
});

test('a local folder is checked and written without loading the SDK of AWS', () => {
  const dist = (name: string): string => JSON.stringify(new URL(`../dist/${name}`, import.meta.url).href);
  const probe = `
    import { createRequire } from 'node:module';
    const loaded = () => Object.keys(createRequire('/').cache).some((path) => path.includes('@aws-sdk'));
    const { check } = await import(${dist('check.js')});
    await import(${dist('write.js')});
    await check({ config: { path: ${JSON.stringify(join(folder, 'lake2'))}, fencing: 'conditional' } });
    const before = loaded();
    await check({ config: { bucket: 'b', endpoint: 'http://127.0.0.1:9', access_key_id: 'k', secret_access_key: 's', fencing: 'conditional' } }).catch(() => {});
    console.log(before, loaded());`;
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', probe], { encoding: 'utf8', cwd: folder });
  expect(stderr).toBe('');
  expect(stdout.trim()).toBe('false true');
});
