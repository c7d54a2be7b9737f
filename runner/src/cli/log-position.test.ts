/** Positions in a log: one state for all streams as people see it, how far it is behind, and the slots that keep the log. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test, vi } from 'vitest';
import { Cli, fileDestination, shop } from '../fixtures/cli-connectors/cli.test.support.js';

vi.setConfig({ testTimeout: 60_000 });

const log = fileURLToPath(new URL('../fixtures/cli-connectors/source-log.mjs', import.meta.url));
const sync = ['sync', '--source', log, '--dest', fileDestination, '--sync', 'mine', '--json'];
const slotOf = (name: string): string => `tapline_${name}_${createHash('sha256').update(name).digest('hex').slice(0, 8)}`;

describe('state', () => {
  test('show tells the position of all, and under it each stream', async () => {
    using cli = new Cli();
    expect((await cli.run(sync)).code).toBe(0);
    expect((await cli.run(['state', 'show', 'mine'])).stdout).toMatch(/\n {2}all streams: \{"lsn":"0\/10"\}\n {2}public\.orders: \{"id":3\}\n {2}public\.customers: \{"id":3\}\n$/);
    expect((await cli.run(['state', 'show', 'mine', '--stream', 'customers'])).stdout).not.toContain('orders');
  });

  test('show asks the source how far the position is behind, where it knows which one that is', async () => {
    using cli = new Cli();
    await cli.run(sync);
    const shown = await cli.run(['state', 'show', 'mine', '--source', log]);
    expect([shown.code, shown.stdout]).toEqual([0, expect.stringMatching(/\nlag: 16 B of log\n$/)]);
    expect((await cli.run(['state', 'show', 'mine', '--source', log, '--json'])).json()).toMatchObject([{ lag_bytes: 16, states: [{ type: 'GLOBAL' }] }]);
    const down = await cli.run(['state', 'show', 'mine', '--source', log, '--source-config', cli.file('c.json', { down: true })]);
    expect([down.code, down.stdout]).toEqual([0, expect.stringContaining('lag: unknown: the server is down')]);
    cli.file('tapline.yaml', `connections: { log: { connector: ${log} } }\nsyncs: { mine: { source: log, destination: log } }\n`);
    expect((await cli.run(['state', 'show', 'mine'])).stdout).toContain('lag: 16 B of log');
  });

  test('set and reset of one stream leave the others, and their position', async () => {
    using cli = new Cli();
    await cli.run(sync);
    cli.file('position.json', '{"id":1,"exact":12345678901234567890}');
    const set = await cli.run(['state', 'set', 'mine', 'position.json', '--stream', 'public.orders']);
    expect([set.code, set.stderr]).toEqual([0, '']);
    expect(readFileSync(cli.path('.tapline/mine/overrides.json'), 'utf8')).toContain('12345678901234567890');
    expect((await cli.run(sync)).json().at(-1)).toMatchObject({ status: 'succeeded', records: 2 });
    expect((await cli.run(['state', 'reset', 'mine', '--stream', 'customers'])).code).toBe(0);
    expect((await cli.run(sync)).json().at(-1)).toMatchObject({ status: 'succeeded', records: 3 });
  });
});

describe('slot', () => {
  test('list tells which slots there are, whose, and what they keep', async () => {
    using cli = new Cli();
    await cli.run(sync);
    const config = cli.file('c.json', { slots: cli.file('slots', `${slotOf('mine')}\n${slotOf('gone')}\n`) });
    const given = ['--source', log, '--source-config', config];
    const listed = await cli.run(['slot', 'list', ...given]);
    expect(listed.stdout).toMatch(/slot .*sync .*\n.*tapline_mine_\w{8} +mine +no +0\/10 +extended +2\.0 MB\n.*tapline_gone_\w{8} +- +no/);
    expect((await cli.run(['slot', 'list', ...given, '--json'])).json()).toMatchObject([
      { type: 'slots', slots: [{ name: slotOf('mine'), sync: 'mine', retained_bytes: 2_000_000 }, { name: slotOf('gone'), sync: null }] },
    ]);
  });

  test('drop drops one, and says so where there is none', async () => {
    using cli = new Cli();
    const given = ['--source', log, '--source-config', cli.file('c.json', { slots: cli.file('slots', `${slotOf('gone')}\n`) })];
    expect((await cli.run(['slot', 'drop', slotOf('gone'), ...given])).stdout).toBe(`slot ${slotOf('gone')} was dropped\n`);
    expect(readFileSync(cli.path('slots'), 'utf8')).toBe('');
    expect((await cli.run(['slot', 'drop', slotOf('gone'), ...given])).stdout).toBe(`there is no slot ${slotOf('gone')}\n`);
    expect((await cli.run(['slot', 'drop', 'x', ...given, '--json'])).json()).toEqual([{ type: 'slot_dropped', slot: 'x', dropped: false, publication_dropped: false }]);
    expect((await cli.run(['slot', 'list', ...given])).stdout).toContain('has no slots of ours');
  });

  test.each([
    [['slot'], 'slot list or drop'],
    [['slot', 'lst'], "Did you mean 'list'?"],
    [['slot', 'drop', '--source', log], 'which slot'],
    [['slot', 'list'], 'say on which server'],
    [['slot', 'list', '--source', shop], 'has no slots'],
  ])('%j is a usage error', async (args, message) => {
    using cli = new Cli();
    const outcome = await cli.run(args);
    expect([outcome.code, outcome.stderr]).toEqual([78, expect.stringContaining(message)]);
  });
});
