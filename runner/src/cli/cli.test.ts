import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, test, vi } from 'vitest';
import { Cli, fileDestination, shop } from '../fixtures/cli-connectors/cli.test.support.js';

// Each test starts several processes, on a machine that may be busy.
vi.setConfig({ testTimeout: 60_000 });

const ends = ['--source', shop, '--dest', fileDestination];

describe('help and usage', () => {
  test('help shows examples first, at once, and without loading anything', async () => {
    using cli = new Cli();
    const general = await cli.run(['--help']);
    expect(general.code).toBe(0);
    expect(general.stdout.indexOf('runner sync --source')).toBeLessThan(general.stdout.indexOf('Commands:'));
    const sync = await cli.run(['sync', '--help']);
    expect(sync.stdout.indexOf('Examples:')).toBeLessThan(sync.stdout.indexOf('Flags:'));
    expect((await cli.run(['help', 'sync'])).stdout).toBe(sync.stdout);
    for (const flag of ['source', 'dest', 'source-config', 'dest-config', 'streams', 'mode', 'sync', 'state-dir', 'full-refresh', 'from-destination', 'continuous', 'flush', 'retries', 'transport', 'json']) {
      expect(sync.stdout).toContain(`--${flag} `);
    }
    expect((await cli.run(['--version'])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  test.each([
    [['snyc'], "Did you mean 'sync'?"],
    [['sync', '--sorce', 'x'], "Did you mean '--source'?"],
    [['--source', 'x'], 'the command comes first'],
    [['sync', '--source', '--dest', 'x'], '--source needs a value'],
    [['sync', '--json=1'], '--json takes no value'],
    [['sync', 'a', 'b'], "'b' is one word too many"],
    [['sync'], '--source is missing'],
    [['sync', '--source', shop], '--dest is missing'],
    [['sync', ...ends, '--flush', 'soon'], '--flush soon'],
    [['sync', ...ends, '--retries', 'x'], '--retries x'],
    [['sync', ...ends, '--transport', 'pigeon'], 'json, batch or auto'],
    [['sync', ...ends, '--full-refresh', '--from-destination'], 'contradict'],
    [['state'], 'state list, show, set or reset'],
    [['state', 'lst'], "Did you mean 'list'?"],
    [['help', 'chek'], "Did you mean 'check'?"],
  ])('%j is a usage error, exit 78, that says what was meant', async (args, message) => {
    using cli = new Cli();
    const outcome = await cli.run(args);
    expect(outcome.stderr).toContain(message);
    expect(outcome.code).toBe(78);
    expect(outcome.stdout).toBe('');
  });
});

describe('sync', () => {
  test('runs two executables, and tells people what happened', async () => {
    using cli = new Cli();
    const outcome = await cli.run(['sync', ...ends, '--source-config', cli.file('s.json', { rows: 1234 }), '--dest-config', cli.file('d.json', { file: cli.path('out') })]);
    expect(outcome.stderr).toBe('');
    expect(outcome.code).toBe(0);
    expect(outcome.stdout).toMatch(/^shop-to-file-[0-9a-f]{8}: succeeded in .*\n.*stream .*\n.*public\.orders +succeeded +1,234/);
    expect(readFileSync(cli.path('out'), 'utf8').trim().split('\n')).toHaveLength(1234);
    expect(existsSync(cli.path('.tapline'))).toBe(true);
  });

  test('--json prints JSON lines only: progress, and last the summary', async () => {
    using cli = new Cli();
    const outcome = await cli.run(['sync', ...ends, '--sync', 'mine', '--state-dir', cli.path('state'), '--json']);
    const lines = outcome.json();
    expect(lines[0]).toEqual({ type: 'progress', records: expect.any(Number) as number, bytes: expect.any(Number) as number, seconds: expect.any(Number) as number, streams_done: expect.any(Number) as number, streams_total: 2 });
    expect(lines.at(-1)).toEqual({
      type: 'summary', status: 'succeeded', sync: 'mine', records: 3, bytes: expect.any(Number) as number, seconds: expect.any(Number) as number, states_saved: 2,
      streams: [
        { namespace: 'public', name: 'orders', status: 'succeeded', records: 3, bytes: expect.any(Number) as number },
        { namespace: 'public', name: 'empty', status: 'succeeded', records: 0, bytes: 0 },
      ],
    });
    expect(existsSync(cli.path('state/mine/state.json'))).toBe(true);
  });

  test('a failure says its kind, what to do, and that the next run continues; its exit code is its kind', async () => {
    using cli = new Cli();
    const config = cli.file('s.json', { fail: 'config_error', password: 'open-sesame-1' });
    const outcome = await cli.run(['sync', ...ends, '--source-config', config, '--streams', 'public.orders', '--mode', 'public.orders=incremental:id']);
    expect(outcome.code).toBe(78);
    expect(outcome.stdout).toContain('config_error: ');
    expect(outcome.stdout).toContain('come back tomorrow');
    expect(outcome.stdout).toMatch(/run it again: it continues from the last checkpoint \(.*state\.json\)/);
    expect(outcome.stdout + outcome.stderr).not.toContain('open-sesame-1');
  });

  test('what cannot be planned ends with a summary too, for scripts', async () => {
    using cli = new Cli();
    const outcome = await cli.run(['sync', '--source', 'nosuch', '--dest', './lake', '--sync', 'mine', '--json']);
    expect(outcome.code).toBe(78);
    expect(outcome.json().at(-1)).toMatchObject({ type: 'summary', status: 'failed', sync: 'mine', records: 0, streams: [], error: { kind: 'config_error' } });
    const usage = await cli.run(['sync', '--json']);
    expect(usage.json().at(-1)).toMatchObject({ type: 'summary', status: 'failed', error: { kind: 'config_error' } });
  });

  test('streams, modes and columns reach the connectors, and unknown ones are config_errors with near names', async () => {
    using cli = new Cli();
    const config = cli.file('s.json', { told: cli.path('told.json') });
    const outcome = await cli.run(['sync', ...ends, '--source-config', config, '--streams', 'public.o*', '--mode', 'public.orders=incremental:updated_at/append']);
    expect(outcome.code).toBe(0);
    const { catalog } = JSON.parse(readFileSync(cli.path('told.json'), 'utf8')) as { catalog: { streams: object[] } };
    expect(catalog.streams).toMatchObject([{ stream: { name: 'orders' }, sync_mode: 'incremental', destination_sync_mode: 'append', cursor_field: ['updated_at'], primary_key: [['id']] }]);
    expect((await cli.run(['sync', ...ends, '--streams', 'public.oders'])).stdout).toContain('Did you mean public.orders');
    expect((await cli.run(['sync', ...ends, '--mode', 'public.orders=incremental:udated_at'])).stdout).toContain("Did you mean 'updated_at'");
    const dedup = await cli.run(['sync', ...ends, '--mode', 'public.orders=incremental:id/append_dedup', '--json']);
    expect(dedup.code).toBe(78);
    expect(dedup.json().at(-1)).toMatchObject({ error: { message: expect.stringContaining('it offers append, overwrite') as string } });
  });

  test('other people’s connectors see an allow-list of the environment, and no secret on their command line', async () => {
    using cli = new Cli();
    cli.file('tapline.yaml', `
connections:
  shop: { connector: ${shop}, env: [SHOP_REGION], told: ${cli.path('told.json')}, password: \${SHOP_PASSWORD} }
  file: { connector: ${fileDestination} }
syncs:
  s: { source: shop, destination: file }
`);
    const env = { SHOP_PASSWORD: 'open-sesame-1', SHOP_REGION: 'north', AWS_SECRET_ACCESS_KEY: 'aws-secret', PGPASSWORD: 'pg-secret', TZ: 'UTC', HTTPS_PROXY: 'http://proxy' };
    const outcome = await cli.run(['sync', 's'], env);
    expect(outcome.code, outcome.stderr + outcome.stdout).toBe(0);
    const told = JSON.parse(readFileSync(cli.path('told.json'), 'utf8')) as { argv: string[]; env: Record<string, string>; config: Record<string, string> };
    expect(told.config['password']).toBe('open-sesame-1');
    expect(told.argv.join(' ')).not.toContain('open-sesame-1');
    expect(told.argv.join(' ')).toContain('read');
    expect(Object.keys(told.env).filter((name) => !name.startsWith('__')).sort()).toEqual(['HOME', 'HTTPS_PROXY', 'PATH', 'SHOP_REGION', 'TZ']);
  });
});

describe('check and discover', () => {
  test('check tells of both ends, without the secret, and exits 78 if one fails', async () => {
    using cli = new Cli();
    const fine = await cli.run(['check', ...ends]);
    expect([fine.code, fine.stdout]).toEqual([0, `source ${shop}: ok\ndestination ${fileDestination}: ok\n`]);
    const bad = await cli.run(['check', ...ends, '--source-config', cli.file('s.json', { bad: true, password: 'open-sesame-1' })]);
    expect(bad.code).toBe(78);
    expect(bad.stdout).toContain('config_error: the password **** is wrong: ask for another');
    expect(bad.stdout).toContain(`destination ${fileDestination}: ok`);
    const json = await cli.run(['check', ...ends, '--json']);
    expect(json.json()).toEqual([{ type: 'check', source: { status: 'SUCCEEDED', connector: shop }, destination: { status: 'SUCCEEDED', connector: fileDestination } }]);
  });

  test('discover lists columns, keys and modes', async () => {
    using cli = new Cli();
    const outcome = await cli.run(['discover', '--source', shop]);
    expect(outcome.stdout).toMatch(/public\.orders {2}\(key id; full_refresh, incremental\)\n +id +int64\n +body +text/);
    const json = await cli.run(['discover', '--source', shop, '--streams', 'public.empty', '--json']);
    expect(json.json()).toMatchObject([{ type: 'catalog', streams: [{ name: 'empty' }] }]);
  });

  test('spec asks other people’s connectors once, until the file changes', async () => {
    using cli = new Cli();
    const first = await cli.run(['spec', shop]);
    expect(JSON.parse(first.stdout)).toMatchObject({ connectionSpecification: { properties: { rows: { type: 'integer' } } } });
    expect(existsSync(cli.path('.cache/tapline/specs'))).toBe(true);
    expect((await cli.run(['spec', shop])).stdout).toBe(first.stdout);
    expect((await cli.run(['spec'])).stdout).toContain('sources: postgres\ndestinations: duckdb, postgres, s3, warehouse\n');
    expect((await cli.run(['spec', 'postgress'])).stderr).toContain("Did you mean 'postgres'");
  });
});

describe('state', () => {
  const sync = ['sync', ...ends, '--sync', 'mine', '--mode', 'public.orders=incremental:id'];

  test('list, show, set and reset: what people set is where the next run starts', async () => {
    using cli = new Cli();
    expect((await cli.run(['state', 'list'])).stdout).toContain('no sync has a state');
    expect((await cli.run(sync)).code).toBe(0);
    expect((await cli.run(['state', 'list'])).stdout).toMatch(/mine +\d{4}-.* 2\n/);
    expect((await cli.run(['state', 'show', 'mine', '--stream', 'public.orders'])).stdout).toMatch(/public\.orders: \{"id":3\}\n$/);
    const shown = await cli.run(['state', 'show', 'mine', '--json']);
    expect(shown.json()).toMatchObject([{ type: 'state', sync: 'mine', states: [{ stream: { stream_state: { id: 3 } } }, {}] }]);

    cli.file('position.json', '{"id":2,"exact":12345678901234567890}');
    const set = await cli.run(['state', 'set', 'mine', 'position.json', '--stream', 'public.orders']);
    expect([set.code, set.stderr]).toEqual([0, '']);
    expect((await cli.run(['state', 'show', 'mine'])).stdout).toContain('waiting for the next run');
    expect(readFileSync(cli.path('.tapline/mine/overrides.json'), 'utf8')).toContain('12345678901234567890');
    expect((await cli.run([...sync, '--json'])).json().at(-1)).toMatchObject({ status: 'succeeded', records: 1 });

    expect((await cli.run(['state', 'set', 'mine', cli.file('whole.json', shown.stdout)])).code).toBe(0);
    expect((await cli.run([...sync, '--json'])).json().at(-1)).toMatchObject({ records: 0 });
    expect((await cli.run(['state', 'reset', 'mine', '--stream', 'orders'])).code).toBe(0);
    expect((await cli.run([...sync, '--json'])).json().at(-1)).toMatchObject({ records: 3 });
  });

  test.each([
    [['state', 'show', 'mime'], "Did you mean 'mine'"],
    [['state', 'reset', 'mine', '--stream', 'public.oders'], "Did you mean 'public.orders'"],
    [['state', 'set', 'mine', 'nothere.json'], 'cannot be read'],
    [['state', 'set', 'mine', 'broken.json'], 'not valid JSON'],
    [['state', 'set', 'mine', 'other.json', '--stream', 'public.orders'], 'holds no state of public.orders'],
  ])('%j is a config_error', async (args, message) => {
    using cli = new Cli();
    await cli.run(sync);
    cli.file('broken.json', '[{"type":"STREAM"');
    cli.file('other.json', [{ type: 'STREAM', stream: { stream_descriptor: { name: 'x' }, stream_state: {} } }]);
    const outcome = await cli.run(args);
    expect(outcome.stderr).toContain(message);
    expect(outcome.code).toBe(78);
  });
});

describe('init', () => {
  test('writes a tapline.yaml that reads, without the secret, and never overwrites', async () => {
    using cli = new Cli();
    const outcome = await cli.run(['init', '--source', 'postgres://app:open-sesame-1@db.example/shop?sslmode=require', '--dest', './lake']);
    expect(outcome.code, outcome.stderr).toBe(0);
    const text = readFileSync(cli.path('tapline.yaml'), 'utf8');
    expect(text).not.toContain('open-sesame-1');
    expect(text).toContain('password: ${PGPASSWORD}');
    expect(text).toContain('path: ./lake');
    expect(outcome.stdout).toContain('runner sync shop-to-lake');
    const again = await cli.run(['init']);
    expect([again.code, again.stderr]).toEqual([78, expect.stringContaining('is there already')]);
    expect(readFileSync(cli.path('tapline.yaml'), 'utf8')).toBe(text);
    const unset = await cli.run(['sync', 'shop-to-lake']);
    expect(unset.stderr).toMatch(/tapline\.yaml line \d+: the environment variable PGPASSWORD is not set/);
  });
});
