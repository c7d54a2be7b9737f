import { execFileSync } from 'node:child_process';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { countOf } from '../harness/query.js';
import type { Outcome } from '../harness/tapline.js';
import { explain, workspace } from '../harness/workspace.js';
import { freePort } from '../services/free-port.js';
import { shop } from './seed.js';

const quick = ['--retries', '0'];
const message = (outcome: Outcome) => outcome.summary?.error?.message ?? outcome.stderr;
const isRoot = process.getuid?.() === 0;

describe('a source that cannot be reached or read', () => {
  test('a wrong host, a closed port, a wrong password and a wrong database each say so, with what to do', async () => {
    const at = await workspace({ seed: shop });
    const wrong = async (change: (url: URL) => void) => {
      const url = new URL(at.database.url);
      change(url);
      return at.sync(['--source', url.href, '--source-config', impatient, ...quick]);
    };
    // A server that is not up gets ten seconds by default: it may be just starting.
    const impatient = join(at.directory, 'source.json');
    await writeFile(impatient, JSON.stringify({ start_timeout: 0 }));
    const host = await wrong((url) => (url.hostname = 'no-such-host.invalid'));
    expect([75, 78], explain(host)).toContain(host.exitCode);
    expect(message(host)).toContain('no-such-host.invalid');

    const closed = await freePort();
    const port = await wrong((url) => (url.port = String(closed)));
    expect([75, 78], explain(port)).toContain(port.exitCode);
    expect(message(port)).toContain(String(closed));

    const password = await wrong((url) => (url.password = 'guess'));
    expect(password.exitCode, explain(password)).toBe(78);
    expect(message(password)).toMatch(/password/i);

    const database = await wrong((url) => (url.pathname = '/nowhere_at_all'));
    expect(database.exitCode, explain(database)).toBe(78);
    expect(message(database)).toContain('nowhere_at_all');

    const user = await wrong((url) => (url.username = 'nobody_at_all'));
    expect(user.exitCode, explain(user)).toBe(78);
    expect((await at.lake.keys()).filter((key) => key.endsWith('.parquet'))).toEqual([]);
  });

  test('check says the same and exits 78; discover lists streams and exits 0', async () => {
    const at = await workspace({ seed: shop });
    const url = new URL(at.database.url);
    url.password = 'guess';
    const check = await at.run(['check', '--source', url.href, '--dest', at.lake.uri]);
    expect(check.exitCode, explain(check)).toBe(78);
    expect(check.stdout + check.stderr).toMatch(/password/i);
    const good = await at.run(['check', '--source', at.database.url, '--dest', at.lake.uri]);
    expect(good.exitCode, explain(good)).toBe(0);
    const discover = await at.run(['discover', '--source', at.database.url]);
    expect(discover.exitCode, explain(discover)).toBe(0);
    expect(discover.stdout).toContain('billing.orders');
  });

  test('a table that is not there is a config_error that names the nearest', async () => {
    const at = await workspace({ seed: shop });
    const outcome = await at.sync(['--streams', 'public.custommers']);
    expect(outcome.exitCode, explain(outcome)).toBe(78);
    expect(message(outcome)).toMatch(/public\.custommers/);
    expect(message(outcome)).toMatch(/public\.customers/);
  });

  test('a mode or cursor that cannot be is a config_error before any row moves', async () => {
    const at = await workspace({ seed: shop });
    for (const [mode, expected] of [
      ['public.orders=incremental:updated', /updated_at/],
      ['public.orders=incremental', /cursor/],
      ['public.orders=sideways', /full_refresh/],
      ['public.order=full_refresh', /public\.orders/],
      ['public.orders=incremental:updated_at/append_dedup', /append_dedup|view/],
    ] as const) {
      const outcome = await at.sync(['--mode', mode]);
      expect(outcome.exitCode, `${mode}\n${explain(outcome)}`).toBe(78);
      expect(message(outcome), mode).toMatch(expected);
    }
    expect((await at.lake.keys()).filter((key) => key.endsWith('.parquet'))).toEqual([]);
  });
});

describe('a destination that cannot take it', () => {
  test('no such bucket is a config_error that names it', async () => {
    const at = await workspace({ lake: 'S3', seed: shop });
    const outcome = await at.sync(['--dest', at.lake.uri.replace(/^s3:\/\/[^/]+/, 's3://no-such-bucket-here'), ...quick]);
    expect(outcome.exitCode, explain(outcome)).toBe(78);
    expect(message(outcome)).toContain('no-such-bucket-here');
  });

  test('wrong keys are a config_error, an endpoint that does not answer is a transient one', async () => {
    const at = await workspace({ lake: 'S3', seed: shop });
    const keys = await at.sync(quick, { env: { AWS_SECRET_ACCESS_KEY: 'wrong-wrong-wrong' } });
    expect(keys.exitCode, explain(keys)).toBe(78);
    expect(keys.stdout + keys.stderr).not.toContain('wrong-wrong-wrong');
    const closed = await freePort();
    const endpoint = await at.sync(['--dest', at.lake.uri.replace(/127\.0\.0\.1%3A\d+/, `127.0.0.1%3A${closed}`), ...quick]);
    expect(endpoint.exitCode, explain(endpoint)).toBe(75);
    expect(message(endpoint)).toContain(String(closed));
  });

  test('a folder without write permission is a config_error that names it', async () => {
    const at = await workspace({ seed: shop });
    const locked = join(at.directory, 'locked');
    await mkdir(locked);
    await chmod(locked, 0o555);
    const args = ['sync', '--source', at.database.url, '--dest', join(locked, 'lake'), '--state-dir', at.stateDir, '--json', ...quick];
    const outcome = await at.run(args, { unprivileged: true });
    expect(outcome.exitCode, explain(outcome)).toBe(78);
    expect(message(outcome)).toContain(locked);
    expect(message(outcome)).toMatch(/permission|not allowed|write/i);
  });

  test('a destination below a regular file is a config_error', async () => {
    const at = await workspace({ seed: shop });
    await writeFile(join(at.directory, 'file'), 'x');
    for (const dest of [join(at.directory, 'file'), join(at.directory, 'file', 'lake')]) {
      const outcome = await at.sync(['--dest', dest, ...quick]);
      expect(outcome.exitCode, explain(outcome)).toBe(78);
      expect(message(outcome)).toContain(join(at.directory, 'file'));
    }
  });

  test.skipIf(!isRoot)('a full disk stops the run with a message that says so, nothing half is visible, and with room the next run succeeds', async () => {
    const at = await workspace({ seed: `CREATE TABLE fat AS SELECT i AS id, (SELECT string_agg(md5(random()::text), '') FROM generate_series(1, 30) WHERE i > 0) AS body FROM generate_series(1, 20000) i` });
    const small = join(at.directory, 'small');
    await mkdir(small);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', small]);
    try {
      const outcome = await at.sync(['--dest', join(small, 'lake'), ...quick]);
      expect([75, 78], explain(outcome)).toContain(outcome.exitCode);
      expect(message(outcome)).toMatch(/space|full|ENOSPC/i);
      expect(execFileSync('find', [small, '-name', '*.parquet'], { encoding: 'utf8' })).toBe('');
      execFileSync('mount', ['-o', 'remount,size=100m', small]);
      const next = await at.sync(['--dest', join(small, 'lake'), ...quick]);
      expect(next.exitCode, explain(next)).toBe(0);
      expect(next.summary).toMatchObject({ records: 20_000 });
      expect(execFileSync('find', [small, '-name', '*.staged'], { encoding: 'utf8' }), 'what the failed run staged is swept').toBe('');
    } finally {
      execFileSync('umount', ['-l', small]);
    }
  });

  test.skipIf(!isRoot)('a full staging directory is named, with how to point it elsewhere', async () => {
    const at = await workspace({ seed: `CREATE TABLE fat AS SELECT i AS id, (SELECT string_agg(md5(random()::text), '') FROM generate_series(1, 30) WHERE i > 0) AS body FROM generate_series(1, 20000) i` });
    const small = join(at.directory, 'small');
    await mkdir(small);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', small]);
    try {
      const config = join(at.directory, 'dest.json');
      await writeFile(config, JSON.stringify({ staging_dir: small }));
      const outcome = await at.sync(['--dest-config', config, ...quick]);
      expect([75, 78], explain(outcome)).toContain(outcome.exitCode);
      expect(message(outcome)).toMatch(/space|full|ENOSPC/i);
      expect(message(outcome)).toContain(`staging directory ${small}`);
      const next = await at.sync(quick);
      expect(next.exitCode, explain(next)).toBe(0);
      expect(await countOf(at.lake, 'public/fat/')).toBe('20000 rows, 20000 distinct id');
    } finally {
      execFileSync('umount', ['-l', small]);
    }
  });
});

describe('a command line or a file that is wrong', () => {
  test('an unknown connector, a file that is none, and one without the run bit', async () => {
    const at = await workspace({ seed: shop });
    const unknown = await at.sync(['--source', 'mystery://host/db']);
    expect(unknown.exitCode, explain(unknown)).toBe(78);
    expect(message(unknown)).toMatch(/mystery/);
    expect(message(unknown)).toMatch(/postgres/);
    const missing = await at.sync(['--source', './not-there']);
    expect(missing.exitCode, explain(missing)).toBe(78);
    expect(message(missing)).toContain('not-there');
    await writeFile(join(at.directory, 'source-x'), '#!/bin/sh\n', { mode: 0o644 });
    const plain = await at.sync(['--source', './source-x']);
    expect(plain.exitCode, explain(plain)).toBe(78);
    expect(message(plain)).toMatch(/chmod \+x/);
  });

  test('an unknown flag or command is 78 and names the nearest', async () => {
    const at = await workspace();
    const flag = await at.run(['sync', '--sourc', 'x']);
    expect(flag.exitCode, explain(flag)).toBe(78);
    expect(flag.stderr).toContain('--source');
    const command = await at.run(['synk']);
    expect(command.exitCode, explain(command)).toBe(78);
    expect(command.stderr).toContain('sync');
    const nothing = await at.run(['sync', '--json']);
    expect(nothing.exitCode, explain(nothing)).toBe(78);
    const none = await at.run([]);
    expect(none.stdout + none.stderr).toContain('sync');
  });

  test('tapline.yaml with an unknown key: the line, and what was meant', async () => {
    const at = await workspace();
    await writeFile(join(at.directory, 'tapline.yaml'), `connections:\n  pg: { connector: postgres, host: localhost, database: shop, user: app }\n  lake: { connector: s3, path: ./lake }\nsyncs:\n  nightly:\n    source: pg\n    destinatoin: lake\n`);
    const outcome = await at.run(['sync', 'nightly', '--json']);
    expect(outcome.exitCode, explain(outcome)).toBe(78);
    expect(message(outcome)).toMatch(/tapline\.yaml:7|line 7/);
    expect(message(outcome)).toContain('destinatoin');
    expect(message(outcome)).toMatch(/\bdestination\b/);
  });

  test('tapline.yaml with a missing ${ENV}: its name and the line', async () => {
    const at = await workspace();
    await writeFile(join(at.directory, 'tapline.yaml'), 'connections:\n  pg: { connector: postgres, host: localhost, database: shop, user: app, password: ${NOT_SET_ANYWHERE} }\n  lake: { connector: s3, path: ./lake }\nsyncs:\n  nightly: { source: pg, destination: lake }\n');
    const outcome = await at.run(['sync', 'nightly', '--json']);
    expect(outcome.exitCode, explain(outcome)).toBe(78);
    expect(message(outcome)).toContain('NOT_SET_ANYWHERE');
    expect(message(outcome)).toMatch(/tapline\.yaml:2|line 2/);
  });

  test('tapline.yaml runs a sync by its name, streams and all, with its state directory beside it', async () => {
    const at = await workspace({ seed: shop });
    const { host, port, name, user } = at.database;
    await writeFile(
      join(at.directory, 'tapline.yaml'),
      `connections:\n  pg: { connector: postgres, host: ${host}, port: ${port}, database: ${name}, user: ${user}, password: \${SHOP_PASSWORD} }\n` +
        `  lake: { connector: s3, path: ${at.lake.uri} }\nsyncs:\n  nightly:\n    source: pg\n    destination: lake\n    streams:\n      public.*: {}\n      public.customers: { enabled: false }\n      public.orders: { mode: incremental, cursor: updated_at }\n`,
    );
    const run = () => at.run(['sync', 'nightly', '--json'], { env: { SHOP_PASSWORD: at.database.password } });
    const first = await run();
    expect(first.exitCode, explain(first)).toBe(0);
    expect(first.summary).toMatchObject({ sync: 'nightly', records: 3000 });
    expect(first.summary?.streams.map((stream) => stream.name).sort()).toEqual(['nothing_yet', 'orders']);
    expect((await run()).summary).toMatchObject({ records: 0 });
    const list = await at.run(['state', 'list']);
    expect(list.stdout, explain(list)).toContain('nightly');
  });

  test('init writes a tapline.yaml that the program itself can read, and never over an old one', async () => {
    const at = await workspace();
    const first = await at.run(['init']);
    expect(first.exitCode, explain(first)).toBe(0);
    const again = await at.run(['init']);
    expect(again.exitCode, explain(again)).toBe(78);
  });
});
