import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { placeOf } from './connectors/place.js';
import { connectorNameOf, derivedSyncName, requireSyncName, sync8 } from './sync-name.js';

const sha8 = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 8);

describe('the name of a sync', () => {
  test('is made of the bytes that docs/cli.md says', () => {
    const source = { connector: 'postgres', place: placeOf('postgres', { host: 'DB.example', database: 'shop', user: 'app', password: 'x', schemas: ['a'] }, {}) };
    const bucket = { connector: 's3', place: placeOf('s3', { endpoint: 'http://localhost:9000/', bucket: 'lake', prefix: 'raw', path_style: true }, {}) };
    const folder = { connector: 's3', place: placeOf('s3', { path: '/data/lake/' }, {}) };
    expect(derivedSyncName(source, bucket)).toBe(`postgres-to-s3-${sha8('["postgres","db.example","5432","shop","s3","http://localhost:9000","lake","raw"]')}`);
    expect(derivedSyncName(source, folder)).toBe(`postgres-to-s3-${sha8('["postgres","db.example","5432","shop","s3","/data/lake"]')}`);
    const file = { connector: 'warehouse', place: placeOf('warehouse', { engine: 'duckdb', path: '/data/shop.db', deletes: 'soft' }, {}) };
    const server = { connector: 'warehouse', place: placeOf('warehouse', { engine: 'postgres', host: 'DWH', user: 'etl', database: 'analytics' }, {}) };
    expect(derivedSyncName(source, file)).toBe(`postgres-to-warehouse-${sha8('["postgres","db.example","5432","shop","warehouse","/data/shop.db"]')}`);
    expect(derivedSyncName(source, server)).toBe(`postgres-to-warehouse-${sha8('["postgres","db.example","5432","shop","warehouse","dwh","5432","analytics"]')}`);
    expect(derivedSyncName({ connector: 'faker', place: ['/x/source-faker'] }, folder)).toBe(`faker-to-s3-${sha8('["faker","/x/source-faker","s3","/data/lake"]')}`);
  });
  test('takes a place from the environment where the connector does', () => {
    expect(placeOf('postgres', {}, { PGHOST: 'db', PGPORT: '6543', PGDATABASE: 'shop' })).toEqual(['db', '6543', 'shop']);
    expect(placeOf('postgres', { host: 'h', port: 1, database: 'd' }, { PGHOST: 'db', PGPORT: '6543' })).toEqual(['h', '1', 'd']);
    expect(placeOf('s3', { bucket: 'b' }, { AWS_ENDPOINT_URL: 'http://minio' })).toEqual(['http://minio', 'b', '']);
  });
  test('the root folder stays a root', () => expect(placeOf('s3', { path: '/' }, {})).toEqual(['/']));
  test('sync8 is the hash of the name alone', () => expect(sync8('shop-to-lake')).toBe(sha8('shop-to-lake')));
  test.each(['../x', '', '.hidden', 'a/b', 'a b', 'x'.repeat(101)])('%j cannot be one', (name) => expect(() => requireSyncName(name)).toThrow(/cannot be the name/));
  test.each([['/x/source-faker', 'faker'], ['./my-source.py', 'my-source'], ['/y/tap github', 'tap-github'], ['/z/---', 'connector']])('%s is called %s', (path, name) => {
    expect(connectorNameOf(path)).toBe(name);
  });
});
