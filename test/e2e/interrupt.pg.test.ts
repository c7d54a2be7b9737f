import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { byTurns } from '../harness/everyday.js';
import { descendantsOf, isGone, signal, until, untilGone } from '../harness/processes.js';
import { countOf } from '../harness/query.js';
import { explain, workspace } from '../harness/workspace.js';

const big = (rows: number) => `
  CREATE TABLE big (id bigint PRIMARY KEY, updated_at timestamptz NOT NULL, body text);
  INSERT INTO big SELECT i, '2026-01-01T00:00:00Z'::timestamptz + i * interval '1 ms', repeat(md5(i::text), 8) FROM generate_series(1, ${rows}) i`;
const incremental = ['--sync', 'big', '--mode', 'public.big=incremental:updated_at'];

describe('a run that is interrupted', () => {
  test.each(byTurns([['SIGINT', 130], ['SIGTERM', 143]] as const))('%s stops at the next boundary, saves, exits %i, and the next run goes on', async (name, code) => {
    const at = await workspace({ seed: big(400_000) });
    const first = at.startSync(incremental);
    const { source, destination } = await first.connectors();
    await new Promise((resolve) => setTimeout(resolve, 800));
    first.kill(name);
    const outcome = await first.done;
    expect(outcome.exitCode, explain(outcome)).toBe(code);
    expect(outcome.summary).toMatchObject({ status: 'interrupted' });
    expect([isGone(source), isGone(destination)]).toEqual([true, true]);
    const next = await at.sync(incremental);
    expect(next.exitCode, explain(next)).toBe(0);
    expect(outcome.summary!.records + next.summary!.records).toBe(400_000);
    expect(await countOf(at.lake, 'public/big/')).toBe('400000 rows, 400000 distinct id');
  });

  test('connectors are gone within 10 s of the runner’s own death', async () => {
    const at = await workspace({ seed: big(400_000) });
    const first = at.startSync(incremental);
    const { source, destination } = await first.connectors();
    first.kill('SIGKILL');
    await first.done;
    await Promise.all([untilGone(source, 10_000), untilGone(destination, 10_000)]);
  });

  test('a connector that is stopped when its runner dies is swept by the next run, and by nothing else', async () => {
    const at = await workspace({ seed: big(100_000) });
    const first = at.startSync(incremental);
    const { source, destination } = await first.connectors();
    signal(destination, 'SIGSTOP');
    first.kill('SIGKILL');
    await first.done;
    await untilGone(source, 10_000);
    expect(isGone(destination)).toBe(false);
    const next = await at.sync(incremental);
    expect(next.exitCode, explain(next)).toBe(0);
    await untilGone(destination, 10_000);
    expect(await countOf(at.lake, 'public/big/')).toBe('100000 rows, 100000 distinct id');
  });

  test('command lines of connectors say what they are and hold no secret; their environment holds none of ours', async () => {
    const at = await workspace({ seed: big(200_000) });
    const run = at.startSync(['--sync', 'big'], { env: { SECRET_OF_OTHERS: 'hunter2', AWS_SECRET_ACCESS_KEY: 'for-s3-only', PGPASSWORD: 'for-pg-only' } });
    const { source, destination } = await run.connectors();
    const commands = descendantsOf(run.pid).map((info) => info.command);
    const environment = (pid: number) => readFileSync(`/proc/${pid}/environ`, 'utf8');
    const [ofSource, ofDestination] = [environment(source), environment(destination)];
    run.kill('SIGTERM');
    await run.done;
    expect(commands.some((command) => /source-postgres.* read/.test(command)), commands.join('\n')).toBe(true);
    expect(commands.some((command) => /destination-s3.* write/.test(command)), commands.join('\n')).toBe(true);
    for (const command of commands) expect(command).not.toContain(at.database.password);
    expect(ofSource + ofDestination).not.toContain('hunter2');
    expect(ofSource).toContain('for-pg-only');
    expect(ofSource).not.toContain('for-s3-only');
    expect(ofDestination).toContain('for-s3-only');
    expect(ofDestination).not.toContain('for-pg-only');
    await until('both are gone', () => isGone(source) && isGone(destination));
  });
});
