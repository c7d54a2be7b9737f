import { chooseStreams } from '@tapline/catalog';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { starterFile } from '../cli/starter-file.js';
import { ConfigFile } from './config-file.js';

const folder = mkdtempSync(join(tmpdir(), 'tapline-config-'));
afterAll(() => rmSync(folder, { recursive: true }));
const path = join(folder, 'tapline.yaml');
const read = (text: string, environment: NodeJS.ProcessEnv = {}): ConfigFile => new ConfigFile(text, path, environment);

const example = `
connections:
  pg: { connector: postgres, host: localhost, database: shop, user: app, password: \${PGPASSWORD}, replication: cdc }
  s3: { connector: s3, bucket: lake, prefix: raw, region: eu-west-1 }
syncs:
  shop-to-lake:
    source: pg
    destination: s3
    streams:
      public.*: {}
      public.audit_log: { enabled: false }
      public.orders: { mode: incremental, cursor: updated_at }
`;

describe('tapline.yaml', () => {
  test('the example of the documentation reads', () => {
    const file = read(example, { PGPASSWORD: 'a: {b} "c" #d\n' });
    expect(file.connection('pg')).toEqual({
      connector: 'postgres', env: [], config: { host: 'localhost', database: 'shop', user: 'app', password: 'a: {b} "c" #d\n', replication: 'cdc' },
    });
    const { rules, ...sync } = file.sync('shop-to-lake');
    expect(sync).toEqual({ name: 'shop-to-lake', source: 'pg', destination: 's3' });
    const stream = (name: string) => ({ name, namespace: 'public', json_schema: {} });
    expect(chooseStreams([stream('orders'), stream('audit_log'), stream('x')], rules)).toMatchObject([{ stream: { name: 'orders' }, mode: { read: 'incremental' }, cursor: 'updated_at' }, { stream: { name: 'x' } }]);
  });
  test('a variable that is not set is told with its name, file and line, and only when it is needed', () => {
    const file = read(example);
    expect(file.connection('s3')).toBeDefined();
    expect(() => file.connection('pg')).toThrow(`${path} line 3: the environment variable PGPASSWORD is not set`);
  });
  test('${file:…} is relative to the file, without its last newline; $${…} is text', () => {
    writeFileSync(join(folder, 'secret'), 'line 1\nline 2\n');
    const file = read("connections:\n  a: { connector: x, key: ${file:./secret}, text: '$${NOT} it', mixed: \"a-${B}-c\" }\n  b: { connector: x, key: ${file:nope} }\n", { B: 'b' });
    expect(file.connection('a')).toMatchObject({ config: { key: 'line 1\nline 2', text: '${NOT} it', mixed: 'a-b-c' } });
    expect(() => file.connection('b')).toThrow(/line 3: \$\{file:nope\} cannot be read: ENOENT/);
  });
  test.each([
    ['conections: {}', "line 1: unknown key 'conections'. Did you mean 'connections'?"],
    [example.replace('destination:', 'destinaton:'), "line 8: unknown key 'destinaton' in syncs.shop-to-lake. Did you mean 'destination'?"],
    [example.replace('enabled', 'enable'), "line 11: unknown key 'enable' in syncs.shop-to-lake.streams.public.audit_log. Did you mean 'enabled'?"],
    [example.replace('{ enabled: false }', '{ enabled: 1 }'), 'line 11: syncs.shop-to-lake.streams.public.audit_log.enabled'],
    ['a: [', 'line 1 is not valid YAML'],
    ['- x', 'line 1: the file'],
    ['connections:\n  a: 1', 'line 2: connections.a: a connection is a URI'],
  ])('%j is a config_error with the line', (text, message) => {
    expect(() => read(text)).toThrow(expect.objectContaining({ kind: 'config_error', message: expect.stringContaining(message) as string }));
  });
  test.each([
    [example.replace('incremental', 'increment'), /line 12: 'increment' is no sync mode\. Did you mean 'incremental'/],
    [example.replace('public.audit_log', '"!public.audit_log"'), /line 11: write `public.audit_log: \{ enabled: false \}`/],
    [example.replace('shop-to-lake', 'shop'), /no sync 'shop-to-lake'\. Did you mean 'shop'/],
  ])('a sync that does not make sense is a config_error', (text, message) => expect(() => read(text, {}).sync('shop-to-lake')).toThrow(message));
  test('of a YAML error the text is not repeated: it may hold a secret', () => {
    expect(() => read('connections:\n  a: { password: "hunter2hunter2\n')).toThrow(expect.objectContaining({ message: expect.not.stringContaining('hunter2') as string }));
  });
  test('a connection may be a URI, and options may stand under config', () => {
    const file = read('connections:\n  a: postgres://h/${DB}\n  b: { connector: ./x, env: [TOKEN], config: { env: 1 } }\n  c: { connector: ./x, config: {}, y: 1 }', { DB: 'shop' });
    expect(file.connection('a')).toEqual({ uri: 'postgres://h/shop' });
    expect(file.connection('b')).toEqual({ connector: './x', env: ['TOKEN'], config: { env: 1 } });
    expect(() => file.connection('c')).toThrow(/line 4: 'y' stands beside config/);
    expect(file.connection('toString')).toBeUndefined();
  });
  test('what init writes reads, whatever the values are', () => {
    const { text, sync } = starterFile({ connector: 'postgres', config: { host: 'h', database: 'a: ${b} #', user: 'yes', password: 'x' }, secrets: ['password'] }, undefined);
    const file = read(text, { PGPASSWORD: 'pw' });
    expect(file.connection('source')).toMatchObject({ config: { database: 'a: ${b} #', user: 'yes', password: 'pw' } });
    expect(file.sync(sync)).toMatchObject({ source: 'source', destination: 'destination', rules: [] });
    const warehouse = starterFile(undefined, { connector: 'warehouse', config: { engine: 'postgres', database: 'analytics' }, secrets: [] });
    expect(warehouse.text).toContain('# password: ${WAREHOUSE_PASSWORD}');
    expect(read(warehouse.text, { PGPASSWORD: '' }).syncNames).toEqual(['shop-to-analytics']);
    expect(read(starterFile(undefined, undefined).text, { PGPASSWORD: '' }).syncNames).toEqual(['shop-to-lake']);
  });
});
